"""Converts a published checkpoint to a weights folder, once and explicitly."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forensics.detectors import checkpoint_worker
from forensics.detectors.bundle import Bundle, BundleCard
from forensics.detectors.fairseq_names import renamed
from forensics.detectors.network_detector import NetworkDetector
from forensics.detectors.speech.aasist import AasistDetector, AasistLDetector
from forensics.detectors.speech.layered import HierConDetector, SlsDetector
from forensics.errors import MediaError, UsageError

if TYPE_CHECKING:
    import torch
    from torch import nn

# Detectors of one family differ in size; ON_FAIRSEQ ones stand on a backbone of any size.
FAMILIES: dict[str, tuple[type[NetworkDetector], ...]] = {
    "aasist": (AasistDetector, AasistLDetector),
    "hiercon": (HierConDetector,),
    "sls": (SlsDetector,),
}
ON_FAIRSEQ = ("hiercon", "sls")
MAX_BYTES = 8 << 30
TIMEOUT_S = 300
LISTED = 12


@dataclass(frozen=True)
class Origin:
    """Where a checkpoint comes from."""

    trained_on: str
    licence: str


# By the SHA-256 of the checkpoint, as published at github.com/clovaai/aasist.
PUBLISHED = {
    "51d2d9cf0738172f61e2a384ec50a54a55363240f67c971ed55a92435bc1a1c0": Origin(
        "ASVspoof 2019 LA, train split (checkpoint AASIST.pth of clovaai/aasist)", "MIT"
    ),
    "814331d088032bb4c3fa61cc014789eadeed464209dd094ab3a2dd6ffbdce27a": Origin(
        "ASVspoof 2019 LA, train split (checkpoint AASIST-L.pth of clovaai/aasist)", "MIT"
    ),
}


@dataclass(frozen=True)
class Imported:
    """The new bundle.

    Attributes:
        keys: of the checkpoint that the bundle took.
        left_out: keys that detection has no use for, such as parts of a backbone's pretraining.
    """

    bundle: Bundle
    keys: int
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Candidate:
    """A network that a checkpoint may be for, and the checkpoint under that network's names."""

    detector: type[NetworkDetector]
    architecture: dict[str, Any] | None
    tensors: dict[str, torch.Tensor]
    left_out: tuple[str, ...] = ()


def import_checkpoint(
    family: str, source: Path, folder: Path, heads: int | None = None
) -> Imported:
    """Convert a state dict to `folder`; which size of the family it is follows from its shapes.

    The file is opened in a separate process that unpickles tensors only, under limits. The new
    bundle has no calibration.

    Args:
        family: "aasist", or "hiercon" and "sls" on a fairseq wav2vec 2.0.
        heads: of the backbone's attention, which shapes do not show; None for published sizes.

    Raises:
        UsageError: an unknown family, a file that is more than a state dict of tensors or does not
            match every key and shape, or a folder that already holds weights.
        MediaError: there is no such file, or it is too large.
    """
    if family not in FAMILIES:
        known = ", ".join([*FAMILIES, "meso4", "fsfm", "taef2", "hifigan"])
        raise UsageError(f"there is no import for {family!r}", f"there are: {known}")
    if not source.is_file():
        raise MediaError("not_found", f"{source}: no such file", "check the path")
    if source.stat().st_size > MAX_BYTES:
        raise MediaError("too_large", f"{source} is larger than {MAX_BYTES} bytes", "not weights?")
    from forensics.networks.export import exported

    tensors = converted(source)
    chosen, network = _matching(family, source, _candidates(family, tensors, heads))
    with source.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    unknown = Origin(f"unknown ({source.name}, SHA-256 {sha256})", "unknown")
    origin = PUBLISHED.get(sha256, unknown)
    card = BundleCard(
        detector=chosen.detector.name,
        detector_version=chosen.detector.version,
        architecture=exported(network)[0],
        sampling_rate=chosen.detector.sampling_rate,
        window_samples=chosen.detector.window_samples,
        trained_on=origin.trained_on,
        licence=origin.licence,
    )
    bundle = Bundle.save(folder, card, chosen.tensors)
    return Imported(bundle, len(chosen.tensors), chosen.left_out)


def converted(source: Path) -> dict[str, torch.Tensor]:
    """A checkpoint's tensors, by way of safetensors written by the worker process.

    Raises:
        UsageError: it is more than a state dict of tensors.
    """
    from safetensors.torch import load_file

    # Not through the network and not onto a GPU; this variable would let code be unpickled.
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    environment.pop("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", None)
    with tempfile.TemporaryDirectory(prefix="forensics-import-") as scratch:
        target = Path(scratch) / "model.safetensors"
        worker = [sys.executable, "-I", str(Path(checkpoint_worker.__file__).resolve())]
        try:
            done = subprocess.run(
                [*worker, str(source.resolve()), str(target)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=TIMEOUT_S,
                env=environment,
                cwd=scratch,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise _refused(source, f"reading it took more than {TIMEOUT_S} s") from error
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
            raise _refused(source, lines[-1][:300])
        return load_file(target)


def _refused(source: Path, why: str) -> UsageError:
    return UsageError(
        f"{source} is refused, nothing of it was run: {why}",
        "only a state dict of tensors is imported; ask its publisher for one, or for safetensors",
    )


def _candidates(
    family: str, tensors: dict[str, torch.Tensor], heads: int | None
) -> list[_Candidate]:
    if family not in ON_FAIRSEQ:
        return [_Candidate(detector, None, tensors) for detector in FAMILIES[family]]
    ours = renamed(family, tensors, heads)
    (detector,) = FAMILIES[family]
    return [_Candidate(detector, ours.architecture, ours.tensors, ours.left_out)]


def _matching(
    family: str, source: Path, candidates: list[_Candidate]
) -> tuple[_Candidate, nn.Module]:
    """The candidate whose network has every key and shape of the checkpoint, and no other."""
    mismatches: list[list[str]] = []
    for candidate in candidates:
        network = candidate.detector.network(candidate.architecture)
        found = {name: tuple(tensor.shape) for name, tensor in candidate.tensors.items()}
        wrong = differences(
            {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}, found
        )
        if not wrong:
            return candidate, network
        mismatches.append([f"nearest is {candidate.detector.name}", *wrong])
    nearest, *wrong = min(mismatches, key=len)
    more = f", and {len(wrong) - LISTED} more" if len(wrong) > LISTED else ""
    raise UsageError(
        f"{source} is no {family} checkpoint ({nearest}): {'; '.join(wrong[:LISTED])}{more}",
        "import the state dict of an unchanged published model",
    )


def differences(
    expected: dict[str, tuple[int, ...]], found: dict[str, tuple[int, ...]]
) -> list[str]:
    """What names and shapes of tensors are missing, unknown or wrong; empty: none."""
    missing = [f"no {name}" for name in expected if name not in found]
    unknown = [f"unknown {name}" for name in found if name not in expected]
    shapes = [
        f"{name} is {found[name]}, not {shape}"
        for name, shape in expected.items()
        if name in found and found[name] != shape
    ]
    return missing + unknown + shapes
