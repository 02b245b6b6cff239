from __future__ import annotations

import pytest
from helpers.training_corpus import build


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """The folder of a corpus of twenty voices and two systems."""
    return build(tmp_path_factory.mktemp("voices"))
