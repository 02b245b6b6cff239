"""Stores and models of the tests on people."""

from __future__ import annotations

import pytest
from helpers import painted_faces
from helpers.painted_faces import ANNA, BEN
from helpers.painted_people import person
from helpers.scripted_vlm import Scripted

from forensics.identity.store import IdentityStore


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr("forensics.faces.tools.open_faces", painted_faces.tools)
    store = IdentityStore(tmp_path / "people")
    for one in (person("Anna Müller", ANNA), person("Ben", BEN)):
        store.save(one)
    for one in (person("Anna T", ANNA, tokens=True), person("Ben T", BEN, tokens=True)):
        store.save(one)
    return store


@pytest.fixture
def vlm(monkeypatch):
    made = Scripted()
    monkeypatch.setattr("forensics.networks.vlm.loading.open_vlm", lambda *_: made)
    return made
