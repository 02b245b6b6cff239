"""A network, its running average, and how one batch moves them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from forensics.training.detector.processes import Processes, with_shared_statistics


class StepConfig(BaseModel):
    """How a batch moves the weights.

    Attributes:
        optimiser: Adam's weight decay is added to the gradient, AdamW's is not.
        schedule: what becomes of the learning rate after `warmup` steps: a cosine to 0, or nothing.
        ema: share of the running average of the weights that a step keeps; the average is what is
            kept. 0: the weights themselves.
        gradient_clip: largest norm of the gradient; None leaves it.
        accumulate: parts a batch is taken in; the loss of each part counts for itself.
        precision: bf16 is autocast on CUDA; a CPU always computes in float32.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    optimiser: Literal["adamw", "adam"] = "adamw"
    learning_rate: float = Field(default=1e-3, gt=0)
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup: int = Field(default=50, ge=0)
    weight_decay: float = Field(default=0.01, ge=0)
    ema: float = Field(default=0.99, ge=0, lt=1)
    gradient_clip: float | None = Field(default=5.0, gt=0)
    accumulate: int = Field(default=1, ge=1)
    precision: Literal["float32", "bf16"] = "float32"


class Stepper(ABC):
    """One fit's moving parts; subclasses say what a batch costs.

    Args:
        network: with random or pretrained weights, the same in every process.
        steps: after which a cosine schedule is at 0.
        beside: what is trained with the network and not kept, such as a loss with parameters.
    """

    def __init__(
        self,
        network: nn.Module,
        config: StepConfig,
        steps: int,
        seed: int,
        among: Processes,
        beside: nn.Module,
    ):
        self.schedule, self.steps, self.seed, self.among = config, steps, seed, among
        network = with_shared_statistics(network, among)
        self.network = network.to(among.device, memory_format=torch.channels_last)  # pyright: ignore
        self.average = (
            AveragedModel(
                self.network, multi_avg_fn=get_ema_multi_avg_fn(config.ema), use_buffers=True
            )
            if config.ema
            else None
        )
        self.beside = beside.to(among.device)
        self.trained = [p for p in self.network.parameters() if p.requires_grad]
        self.trained += list(self.beside.parameters())
        kind = torch.optim.AdamW if config.optimiser == "adamw" else torch.optim.Adam
        self.optimiser = kind(self.trained, config.learning_rate, weight_decay=config.weight_decay)
        self._run = self._parallel(self.network)

    @property
    def judged(self) -> nn.Module:
        """What is looked at and kept: the average where there is one."""
        return self.network if self.average is None else self.average.module

    def step(self, take: Callable[[], Any], number: int) -> Tensor:
        """One step on a batch, taken in parts; the mean loss of the parts, detached.

        What the network draws (dropout) depends on the seed, the step and the process alone.
        """
        torch.manual_seed(((self.seed * 1_000_003 + number) * 65_537 + self.among.rank) % 2**63)
        for group in self.optimiser.param_groups:
            group["lr"] = self.schedule.learning_rate * self.rate(number)
        self.network.train()
        self.optimiser.zero_grad(set_to_none=True)
        parts = self.schedule.accumulate
        total = torch.zeros((), device=self.among.device)
        for part in range(1, parts + 1):
            with self._travelling(last=part == parts):
                loss = self._loss(take().to(self.among.device)) / parts
                loss.backward()
            total += loss.detach()
        if self.schedule.gradient_clip is not None:
            nn.utils.clip_grad_norm_(self.trained, self.schedule.gradient_clip)
        self.optimiser.step()
        self._moved()
        if self.average is not None:
            self.average.update_parameters(self.network)
        return total

    def rate(self, number: int) -> float:
        """Share of the learning rate at a step: up, then down along a cosine or level."""
        config = self.schedule
        if number <= config.warmup:
            return number / config.warmup
        if config.schedule == "constant":
            return 1.0
        done = (number - config.warmup) / max(1, self.steps - config.warmup)
        return 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {name: part.state_dict() for name, part in self._parts().items()}

    def load_state(self, state: dict[str, Any]) -> None:
        for name, part in self._parts().items():
            part.load_state_dict(state[name])

    @abstractmethod
    def _loss(self, batch: Any) -> Tensor:
        """Of a batch, or of one part of it, on the device."""

    def _moved(self) -> None:  # noqa: B027 most have no constraints
        """After the optimiser moved the weights: restore constraints on them."""

    def _wrapped(self, network: nn.Module) -> nn.Module:
        """The network as a `forward` that data parallelism can wrap: of tensors, to tensors."""
        return network

    def _parallel(self, network: nn.Module) -> nn.Module:
        wrapped = self._wrapped(network)
        if self.among.count == 1:
            return wrapped
        # Unused parameters: a projection head without a contrastive loss, and the like.
        return DistributedDataParallel(
            wrapped, find_unused_parameters=True, broadcast_buffers=False
        )

    def autocast(self) -> AbstractContextManager[Any]:
        """bf16 where the config wants it and the device has it."""
        kind, wanted = self.among.device.type, self.schedule.precision == "bf16"
        return torch.autocast(kind, torch.bfloat16, enabled=wanted and kind == "cuda")

    def _parts(self) -> dict[str, Any]:
        parts = {"network": self.network, "loss": self.beside, "optimiser": self.optimiser}
        return parts if self.average is None else {**parts, "average": self.average}

    def _travelling(self, last: bool) -> AbstractContextManager[Any]:
        """Gradients go between processes once a step, with the last part."""
        if last or not isinstance(self._run, DistributedDataParallel):
            return nullcontext()
        return self._run.no_sync()
