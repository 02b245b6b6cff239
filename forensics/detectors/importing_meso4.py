"""Converts the published Meso4 weights (Keras, HDF5) to a weights folder, once and explicitly."""

from __future__ import annotations

import hashlib
from pathlib import Path

from forensics.detectors.bundle import Bundle, BundleCard
from forensics.detectors.importing import Imported, Origin, converted, differences
from forensics.errors import MediaError, MissingRequirement, UsageError
from forensics.requirements import Package

# By the SHA-256 of the file, as published at github.com/DariusAf/MesoNet.
_PUBLISHED = {
    "036ed30d04ffd9c7506f825b97c86aa64915f5818931da96817b169aad790af5": Origin(
        "deepfake videos collected from the web (Meso4_DF.h5 of DariusAf/MesoNet)", "Apache-2.0"
    )
}
_MAX_BYTES = 64 << 20
_LIMITS = (
    "trained in 2018 on aligned crops of autoencoder deepfake videos: forgeries of other kinds and "
    "still photos are outside what it knows; its scores are not calibrated"
)


def import_meso4(source: Path, folder: Path) -> Imported:
    """Convert a Keras weights file of Meso4 to `folder`; the new bundle has no calibration.

    Raises:
        MissingRequirement: h5py is not installed.
        MediaError: there is no such file, or it is too large.
        UsageError: it is no Keras weights file of Meso4, or `folder` already holds weights.
    """
    from forensics.detectors.face.meso4 import Meso4Detector
    from forensics.networks.meso4 import Meso4, from_keras

    needed = Package("h5py", "forensics[keras]")
    if (missing := needed.missing()) is not None:
        raise MissingRequirement(missing, needed.fix())
    if not source.is_file():
        raise MediaError("not_found", f"{source}: no such file", "check the path")
    if source.stat().st_size > _MAX_BYTES:
        raise MediaError("too_large", f"{source} is larger than {_MAX_BYTES} bytes", "not Meso4?")
    data = converted(source)
    try:
        tensors = from_keras(data)
    except ValueError as error:
        raise _not_meso4(source, str(error)) from error
    wrong = differences(
        {name: tuple(tensor.shape) for name, tensor in Meso4().state_dict().items()},
        {name: tuple(tensor.shape) for name, tensor in tensors.items()},
    )
    if wrong:
        raise _not_meso4(source, "; ".join(wrong[:6]))
    sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
    unknown = Origin(f"unknown ({source.name}, SHA-256 {sha256})", "unknown")
    origin = _PUBLISHED.get(sha256, unknown)
    card = BundleCard(
        detector=Meso4Detector.name,
        detector_version=Meso4Detector.version,
        architecture={},
        trained_on=origin.trained_on,
        limits=_LIMITS,
        licence=origin.licence,
    )
    return Imported(Bundle.save(folder, card, tensors), len(tensors))


def _not_meso4(source: Path, why: str) -> UsageError:
    return UsageError(
        f"{source} is no Keras weights file of Meso4: {why}", "import the unchanged published file"
    )
