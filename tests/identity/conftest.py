"""Painted faces instead of found ones, and a store of one's own."""

from __future__ import annotations

import pytest
from helpers import painted_faces
from helpers.painted_faces import ANNA, photo, strangers

from forensics.identity.store import IdentityStore


@pytest.fixture
def painted(monkeypatch):
    monkeypatch.setattr("forensics.faces.tools.open_faces", painted_faces.tools)


@pytest.fixture
def store(tmp_path):
    return IdentityStore(tmp_path / "people")


@pytest.fixture
def anna(painted, store):
    """Enrolled with the gate alone."""
    from forensics.identity.enrol import enrol

    photos = [photo(ANNA, i) for i in range(5)]
    return enrol("Anna Müller", photos, others=strangers(), store=store)
