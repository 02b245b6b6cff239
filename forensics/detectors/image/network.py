"""What image detectors with a torch network share: weights made for them, on a device."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

from forensics.detectors.bundle import Bundle
from forensics.detectors.image.base import ImageDetector
from forensics.errors import CorpusError, MissingRequirement, UsageError

if TYPE_CHECKING:
    import torch
    from torch import nn

N = TypeVar("N", bound="nn.Module")


def bundle_for(detector: type[ImageDetector], folder: Path) -> Bundle:
    """The weights folder, if it is this detector's.

    Raises:
        MissingRequirement, UsageError, CorpusError: as `Bundle.load`; UsageError too when it is
            another detector's.
    """
    bundle = Bundle.load(folder)
    found = bundle.config.detector, bundle.config.detector_version
    if found != (detector.name, detector.version):
        raise UsageError(
            f"{folder} holds weights of {' '.join(found)}, not of {detector.name} "
            f"{detector.version}",
            "name other weights; those of an earlier version must be trained again",
        )
    return bundle


def trained(
    build: Callable[[], N], bundle: Bundle, device: str, threads: int | None
) -> tuple[N, torch.device]:
    """The network with the bundle's weights, in evaluation mode on a device.

    Raises:
        CorpusError: the weights do not fit it.
        MissingRequirement: there is no such device.
    """
    import torch

    from forensics.detectors.torch_runner import available

    chosen = available(device, ("cpu", "cuda"))
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        network = build()
        network.load_state_dict(bundle.tensors(), strict=True)
    except (RuntimeError, ValueError) as error:
        raise CorpusError(
            f"{bundle.folder}: the weights do not fit their architecture ({error})",
            "get the weights again",
        ) from error
    network = network.to(chosen, memory_format=torch.channels_last)  # pyright: ignore
    return network.eval(), chosen


class NetworkImageDetector(ImageDetector, Generic[N]):
    """Subclasses name their network and judge with it.

    Attributes:
        made_by: the command that makes its weights.
    """

    needs_weights: ClassVar[bool] = True
    made_by: ClassVar[str]
    runtime: str = "torch"

    def __init__(self, bundle: Bundle, network: N, device: torch.device):
        import torch

        self.bundle = bundle
        self.runtime = f"torch {torch.__version__}, {device}"
        self._network, self._device = network, device

    @classmethod
    @abstractmethod
    def network(cls, architecture: Mapping[str, Any]) -> N:
        """A new network; `architecture` holds fields of its config.

        Raises:
            UsageError: the architecture cannot be built.
        """

    @classmethod
    def from_folder(
        cls, folder: Path | None, device: str = "cpu", threads: int | None = None
    ) -> Self:
        if folder is None:
            raise MissingRequirement(
                f"{cls.name} needs weights", f"name a folder that {cls.made_by} wrote"
            )
        bundle = bundle_for(cls, folder)
        architecture = bundle.config.architecture
        return cls(bundle, *trained(lambda: cls.network(architecture), bundle, device, threads))
