"""Sources and recipes made in code, and an environment in which the odd engines are installed."""

from __future__ import annotations

import csv
import os
import textwrap
from pathlib import Path

import pytest
import soundfile

HELPERS = Path(__file__).resolve().parent.parent / "helpers"
EDITORS = (
    "Plain Slow Regenerates Resizes NotFinite Floats Raises Refuses Nothing Spills NoEdit Details "
    "EmptyMask Hangs Crashes Vandal Pair Plate"
)
FORGERS = "Paste Shade Slow Scene Nobody Refuses Spills"
ENGINES = "Slow Raises Silent NotFinite Short Hangs Crashes WrongRate Listed Details Vandal Noisy"


@pytest.fixture(scope="session")
def plugin(tmp_path_factory):
    """Folder with the entry points of a third-party package."""
    site = tmp_path_factory.mktemp("site")
    info = site / "odd_engines-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: odd-engines\nVersion: 1\n")
    engines = "".join(f"{name.lower()} = odd_engines:{name}\n" for name in ENGINES.split())
    editors = "".join(f"{name.lower()} = odd_editors:{name}\n" for name in EDITORS.split())
    forgers = "".join(f"{name.lower()} = odd_forgers:{name}\n" for name in FORGERS.split())
    (info / "entry_points.txt").write_text(
        f"[forensics.generators]\n{engines}[forensics.editors]\n{editors}"
        f"[forensics.face_forgers]\n{forgers}"
    )
    return site


@pytest.fixture
def environment(plugin):
    path = [str(plugin), str(HELPERS), os.environ.get("PYTHONPATH")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))}


@pytest.fixture
def make_source(tmp_path, speech_like):
    """`make_source(count, speakers, seconds)` → CSV; every second text says "odd"."""

    def make(count=8, speakers=4, seconds=2.0):
        folder = tmp_path / "speech"
        folder.mkdir(exist_ok=True)
        with (folder / "list.csv").open("w", newline="") as handle:
            rows = csv.writer(handle)
            rows.writerow(["path", "speaker", "text", "licence", "corpus"])
            for i in range(count):
                name = f"clip {i}.wav"
                soundfile.write(folder / name, speech_like(seconds, 16_000, seed=i), 16_000)
                text = f"this is {'an odd' if i % 2 else 'a plain'} sentence number {i}"
                rows.writerow([name, f"spk{i % speakers}", text, "CC0", "Home"])
        return folder / "list.csv"

    return make


@pytest.fixture
def make_recipe(tmp_path):
    """`make_recipe(systems)` → path of a small recipe."""

    def make(systems, shard=2, timeout_s=60):
        (tmp_path / "texts.txt").write_text("One sentence.\nAnother sentence, somewhat longer.\n")
        path = tmp_path / "small.yaml"
        path.write_text(
            textwrap.dedent(f"""
            name: small
            version: 1
            modality: speech
            summary: for tests
            sentences: texts.txt
            systems: {systems}
            splits: {{train: 0.5, test: 0.5}}
            conditions: {{probability: 0.5, choose: [{{use: noise}}, {{use: gain}}]}}
            utterances_per_shard: {shard}
            timeout_s: {timeout_s}
            """)
        )
        return path

    return make


@pytest.fixture
def make_image_recipe(tmp_path):
    """`make_image_recipe(systems, more)` → path of a small recipe; `more` are lines of YAML."""

    def make(systems, more="", shard=4, timeout_s=60):
        path = tmp_path / "small-images.yaml"
        path.write_text(
            textwrap.dedent(f"""
            name: small-images
            version: 1
            modality: image
            summary: for tests
            systems: {systems}
            splits: {{train: 0.5, test: 0.5}}
            checks: {{area: [0, 1], exposure: 255, seam: 100}}
            frames_per_shard: {shard}
            timeout_s: {timeout_s}
            """)
            + more
        )
        return path

    return make


@pytest.fixture
def make_face_recipe(tmp_path):
    """`make_face_recipe(systems, more)` → path of a small recipe; `more` are lines of YAML."""

    def make(systems, more="", shard=4, enrol=1):
        path = tmp_path / "small-faces.yaml"
        path.write_text(
            textwrap.dedent(f"""
            name: small-faces
            version: 1
            modality: face
            summary: for tests
            systems: {systems}
            splits: {{train: 0.5, test: 0.5}}
            enrol: {enrol}
            lookalikes: {{per_identity: 1, among: 2}}
            checks: {{area: [0, 1], exposure: 255, seam: 100, psnr_db: 0}}
            photos_per_shard: {shard}
            """)
            + more
        )
        return path

    return make
