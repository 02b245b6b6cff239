"""Trunks: planes at full size → maps at several fractions of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from forensics.errors import MissingRequirement, UsageError
from forensics.networks.localiser.blocks import Residual, convolved

OURS = "trace"
COARSEST = 16  # coarser maps of a backbone are left out: traces are small


class TraceTrunk(nn.Module):
    """Our small residual network: maps at 1/2, 1/4, 1/8 and 1/16 of the size.

    Half of its work is done at half the size, where the traces are; nothing is pooled before.
    """

    reductions = (2, 4, 8, 16)

    def __init__(self, planes: int, widths: tuple[int, ...]):
        super().__init__()
        self.widths = widths
        stages = []
        for number, width in enumerate(widths):
            inner = planes if number == 0 else widths[number - 1]
            depth = 1 if number < 2 else 2
            stages.append(
                nn.Sequential(
                    convolved(inner, width, stride=2), *(Residual(width) for _ in range(depth))
                )
            )
        self.stages = nn.ModuleList(stages)

    def forward(self, planes: Tensor) -> list[Tensor]:
        maps = []
        for stage in self.stages:
            planes = stage(planes)
            maps.append(planes)
        return maps


class TimmTrunk(nn.Module):
    """Any backbone of `timm` that gives its inner maps; those down to 1/16 of the size.

    Args:
        pretrained: False starts from random weights, True gets the published ones, a path names
            them as .safetensors. The first convolution is stretched to the number of planes by
            repeating its weights.

    Raises:
        MissingRequirement: the weights cannot be had.
        UsageError: no such backbone, one that gives no maps, or pickled weights.
    """

    def __init__(self, planes: int, name: str, pretrained: bool | str):
        super().__init__()
        self.net = _created(name, planes, pretrained)
        info = self.net.feature_info
        self.reductions = tuple(info.reduction())
        self.widths = tuple(info.channels())

    def forward(self, planes: Tensor) -> list[Tensor]:
        return self.net(planes)


def _created(name: str, planes: int, pretrained: bool | str) -> Any:
    import timm

    given: dict[str, Any] = {"in_chans": planes, "features_only": True}
    try:
        probe: Any = timm.create_model(name, features_only=True)
        reductions = probe.feature_info.reduction()
    except (RuntimeError, AttributeError, ValueError) as error:
        raise UsageError(
            f"timm gives no maps of a backbone {name!r}: {error}",
            "timm.list_models() names them; ours is called trace",
        ) from error
    given["out_indices"] = [i for i, reduction in enumerate(reductions) if reduction <= COARSEST]
    if not given["out_indices"]:
        raise UsageError(
            f"backbone {name!r} gives no map at 1/{COARSEST} of the size or finer", "take another"
        )
    if isinstance(pretrained, str):
        path = Path(pretrained)
        if path.suffix != ".safetensors":
            raise UsageError(f"{path} is no .safetensors file", "convert the weights first")
        if not path.is_file():
            raise MissingRequirement(f"there is no {path}", "check the path")
        given["pretrained_cfg_overlay"] = {"file": str(path)}
    try:
        return timm.create_model(name, pretrained=bool(pretrained), **given)
    except (RuntimeError, OSError) as error:
        if not pretrained:
            raise
        raise MissingRequirement(
            f"the pretrained weights of {name} cannot be had: {error}",
            "set architecture.pretrained to false or to the path of a .safetensors file",
        ) from error


def build_trunk(
    planes: int, name: str, widths: tuple[int, ...], pretrained: bool | str
) -> TraceTrunk | TimmTrunk:
    """The trunk of that name: `trace` is ours, all else timm's."""
    if name == OURS:
        return TraceTrunk(planes, widths)
    return TimmTrunk(planes, name, pretrained)
