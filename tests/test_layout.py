"""The shape of the repository: what may be imported, what the wheel carries."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

REPO = Path(__file__).resolve().parent.parent
HEAVY = ("torch", "torchaudio", "transformers", "matplotlib", "sklearn", "pyarrow", "ray", "scipy")


@pytest.mark.parametrize("folder", ["configs", "datasets", "pipelines"])
def test_data_folders_are_not_packages(folder):
    assert not list((REPO / folder).rglob("__init__.py"))


@pytest.mark.parametrize(
    "code",
    [
        "import forensics, forensics.cli",
        "from forensics.generators.base import GENERATORS; GENERATORS.names()",
        "from forensics.generators.face.base import FORGERS; FORGERS.names()",
        "from forensics.detectors.base import DETECTORS; DETECTORS.names()",
        "from forensics.conditions.base import CONDITIONS; CONDITIONS.names()",
    ],
)
def test_nothing_heavy_is_imported(code):
    check = f"{code}; import sys; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_resolves():
    import forensics

    assert set(forensics.__all__) == set(forensics._API)
    for name in forensics.__all__:
        assert getattr(forensics, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = forensics.nothing


def test_constraints_name_plain_versions_only():
    lines = (REPO / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert pins and all(line.count("==") == 1 and "/" not in line for line in pins)


@pytest.mark.slow
def test_the_wheel_carries_the_data_folders_and_runs_outside_the_checkout(tmp_path):
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path), str(REPO)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for kind in ("configs", "datasets", "pipelines"):
        assert any(name.startswith(f"forensics/_share/{kind}/") for name in names), kind
    assert {name.split("/")[0].split("-")[0] for name in names} == {"forensics"}
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    listing = subprocess.run(
        [sys.executable, "-c", "from forensics.cli import main; main()", "configs", "ls"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(site), "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "pipelines/audeter" in listing.stdout
    found = "import importlib.util as u; print(u.find_spec('configs'), u.find_spec('pipelines'))"
    outside = subprocess.run(
        [sys.executable, "-c", found], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert outside.stdout.split() == ["None", "None"]


@pytest.mark.parametrize(
    "path", sorted((REPO / "pipelines").glob("*.yaml")), ids=lambda path: path.stem
)
def test_every_shipped_pipeline_is_valid(path):
    from forensics.corpus.modality import modality_of
    from forensics.corpus.recipe import load_recipe
    from forensics.corpus.speech.recipe import SpeechRecipe, read_sentences

    recipe, folder = load_recipe(path.stem)
    assert recipe.name == path.stem == yaml.safe_load(path.read_text())["name"]
    if isinstance(recipe, SpeechRecipe):
        assert len(read_sentences(folder / recipe.sentences)) >= 30
    engines = modality_of(recipe.modality).shard_run.registry
    for system in recipe.systems:
        engines.get(system.use)(**system.params)
