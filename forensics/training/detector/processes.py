"""One training in several processes: who takes part, and what they do together."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from forensics.errors import MissingRequirement, UsageError

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """The processes of a run, as seen from one of them; by default it is alone.

    Objects travel pickled, between processes of one run only.
    """

    device: torch.device
    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def gathered(self, value: T) -> list[T]:
        """Everyone's value, in the order of ranks; everyone must ask."""
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count
        dist.all_gather_object(values, value)
        return values

    def agreed(self, make: Callable[[], T]) -> T:
        """What the first process makes, in all of them; everyone must ask."""
        if self.count == 1:
            return make()
        made: list[Any] = [make() if self.is_first else None]
        dist.broadcast_object_list(made, src=0)
        return made[0]

    def joined(self, own: Tensor) -> Tensor:
        """Everyone's rows (B, ...) as one batch, in the order of ranks.

        A loss of the whole batch may be computed from it in every process. Gradients reach a
        process's own rows only, times the number of processes, because gradients are averaged.
        """
        if self.count == 1:
            return own
        parts = [torch.empty_like(own) for _ in range(self.count)]
        dist.all_gather(parts, own.detach().contiguous())
        if own.requires_grad:
            scaled = own.view_as(own)
            scaled.register_hook(lambda gradient: gradient * self.count)
            parts[self.rank] = scaled
        return torch.cat(parts)


@contextmanager
def processes(device: str | None) -> Iterator[Processes]:
    """Join the processes that torchrun started; without torchrun, be alone.

    Args:
        device: "cpu", "cuda", "cuda:1", …; None takes CUDA where there is some. Under torchrun
            each process takes the CUDA device of its local rank.

    Raises:
        MissingRequirement: no such device here.
        UsageError: not the name of a device.
    """
    count, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    chosen = checked_device(device)
    if count == 1:
        yield Processes(chosen)
        return
    if chosen.type == "cuda":
        chosen = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(chosen)
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Processes(chosen, rank, count)
    finally:
        dist.destroy_process_group()


def checked_device(name: str | None) -> torch.device:
    """The device of that name; None takes CUDA where there is some.

    Raises:
        MissingRequirement: no such device here.
        UsageError: not the name of a device to train on.
    """
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    try:
        device = torch.device(name or ("cuda" if found else "cpu"))
    except RuntimeError as error:
        raise UsageError(f"there is no device {name!r}", "use cpu or cuda") from error
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"training does not run on the device {name!r}", "use cpu or cuda")
    if device.type == "cuda" and not found:
        raise MissingRequirement("torch finds no CUDA device", "use the device cpu")
    if device.type == "cuda" and (device.index or 0) >= found:
        raise MissingRequirement(
            f"there is no {name}: torch finds {found} CUDA devices", "use cuda:0 or cpu"
        )
    return device


def with_shared_statistics(network: nn.Module, among: Processes) -> nn.Module:
    """The network with batch norms that see the whole batch, not one process's part of it."""
    if among.count == 1:
        return network
    if among.device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(network)
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.modules.batchnorm._BatchNorm):
                setattr(parent, name, _SharedBatchNorm(child))
    return network


class _SharedBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch norm over all processes on CPUs, where torch has none, with given parameters."""

    def __init__(self, original: nn.modules.batchnorm._BatchNorm):
        super().__init__(original.num_features, original.eps, original.momentum)
        for name, value in [*original._parameters.items(), *original._buffers.items()]:
            setattr(self, name, value)

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of axes: the original took them."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        axes = [axis for axis in range(input.dim()) if axis != 1]
        shape = [1, -1, *[1] * (input.dim() - 2)]
        rows = input.numel() // input.shape[1] * dist.get_world_size()
        mean = _Summed.apply(input.sum(axes)) / rows
        centred = input - mean.view(shape)
        variance = _Summed.apply(centred.square().sum(axes)) / rows
        self._follow(mean.detach(), variance.detach() * rows / (rows - 1))
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return centred * scale.view(shape) + self.bias.view(shape)

    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        share = 1 / self.num_batches_tracked.item() if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


class _Summed(torch.autograd.Function):
    """The sum of everyone's tensor; gradients are summed likewise."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        value = value.clone()
        dist.all_reduce(value)
        return value

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _Summed.apply(gradient)  # pyright: ignore[reportReturnType]
