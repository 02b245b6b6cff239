"""Self-supervised speech models of the wav2vec 2.0 family, through transformers.

XLS-R (Babu et al., Interspeech 2022, arXiv 2111.09296) and MMS are wav2vec 2.0 (Baevski et al.,
NeurIPS 2020); WavLM is Chen et al. 2022 (arXiv 2110.13900), HuBERT Hsu et al. 2021 (arXiv
2106.07447). Nothing is fetched from a hub, and only safetensors are read.
"""

from __future__ import annotations

import copy
import math
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from forensics.errors import MissingRequirement, UsageError
from forensics.networks import ssl_model
from forensics.networks.backbone import Backbone
from forensics.requirements import Package, SafetensorsModel, model_folder

_NOT_THE_NETWORK = (
    "_name_or_path",
    "architectures",
    "dtype",
    "id2label",
    "label2id",
    "transformers_version",
)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Lora(_Strict):
    """Low-rank adapters instead of all weights (Hu et al., ICLR 2022, arXiv 2106.09685).

    Attributes:
        rank: of the update; alpha: its scale is alpha / rank.
        targets: linear layers that get one.
    """

    rank: int = Field(default=8, ge=1)
    alpha: float = Field(default=16.0, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: tuple[str, ...] = Field(default=("q_proj", "v_proj"), min_length=1)


class SslConfig(_Strict):
    """Which model, and how it is trained.

    Attributes:
        model: a local folder, or a hub id in the local cache, whose weights are taken; else
        transformers: a config of transformers, for random weights or a bundle's.
        normalise: zero mean and unit variance of each window. The published detectors on XLS-R
            feed the samples as they are.
        gradient_checkpointing: compute the layers again in the backward pass, for less memory.
        freeze: "features" the convolutions, "all" the whole backbone, which then also stays in
            evaluation mode.
        freeze_layers: and so many layers, from the input up.
        lora: train adapters; all other weights are frozen.
    """

    kind: Literal["ssl"] = "ssl"
    model: str | None = None
    transformers: dict[str, JsonValue] | None = None
    normalise: bool = False
    gradient_checkpointing: bool = False
    freeze: Literal["nothing", "features", "all"] = "nothing"
    freeze_layers: int = Field(default=0, ge=0)
    lora: Lora | None = None

    @model_validator(mode="after")
    def _one_source(self) -> SslConfig:
        if (self.model is None) == (self.transformers is None):
            raise ValueError("name either model (a folder or hub id) or transformers (a config)")
        if self.lora is not None and (self.freeze != "nothing" or self.freeze_layers):
            raise ValueError("with lora the backbone is frozen already: leave freeze out")
        return self


class SslBackbone(Backbone[SslConfig]):
    """Any model of `ssl_model.FAMILIES`; its layers' raw outputs, before any final normalisation.

    Raises:
        MissingRequirement: the model is not on this machine or has no safetensors, or LoRA is
            wanted without peft.
        UsageError: a model of another family, weights that lack parts, or a config that
            transformers refuses.
    """

    def __init__(self, config: SslConfig):
        super().__init__()
        self.config = config
        self.model: Any = _model(config)
        built = self.model.config
        self.channels, self.depth = built.hidden_size, built.num_hidden_layers
        self.hop = math.prod(built.conv_stride)
        self._kernels = list(zip(built.conv_kernel, built.conv_stride, strict=True))
        if config.gradient_checkpointing:
            _save_memory(self.model)
        self._asleep = _freeze(self.model, config)
        if config.lora is not None:
            self.model = _with_adapters(self.model, config.lora)

    def forward(self, samples: Tensor, hide: Tensor | None = None) -> list[Tensor]:
        if hide is not None:
            raise ValueError("a self-supervised backbone sees no spectrogram to hide parts of")
        if self.config.normalise:
            samples = F.layer_norm(samples, samples.shape[-1:], eps=1e-7)
        out = self.model(input_values=samples, output_hidden_states=True)
        return list(out.hidden_states[1:])  # the first is what goes into layer 1

    def steps(self, samples: int) -> int:
        for kernel, stride in self._kernels:
            samples = (samples - kernel) // stride + 1
        return samples

    def train(self, mode: bool = True) -> SslBackbone:
        """Frozen parts stay in evaluation mode, so that their output does not vary."""
        super().train(mode)
        for module in self._asleep:
            module.eval()
        return self

    def exported(self) -> tuple[SslConfig, dict[str, Tensor]]:
        described = self.config_of_model()
        config = SslConfig(transformers=described, normalise=self.config.normalise)
        if self.config.lora is None:
            return config, self.state_dict()
        merged = copy.deepcopy(self.model).merge_and_unload()
        return config, {f"model.{name}": value for name, value in merged.state_dict().items()}

    def config_of_model(self) -> dict[str, JsonValue]:
        """The transformers config, without where it came from."""
        described = self.model.config.to_diff_dict()
        for name in _NOT_THE_NETWORK:
            described.pop(name, None)
        return {**described, "model_type": self.model.config.model_type}


def _model(config: SslConfig) -> Any:
    if config.transformers is not None:
        return ssl_model.from_fields(config.transformers)
    needed = SafetensorsModel(config.model, example="facebook/wav2vec2-xls-r-300m")
    if (lacking := needed.missing()) is not None:
        raise MissingRequirement(lacking, needed.fix())
    return ssl_model.pretrained(model_folder(config.model))


def _save_memory(model: Any) -> None:
    """Gradient checkpointing, by its name of before and since transformers 5.23."""
    enable = getattr(model, "activation_checkpointing_enable", None)
    (enable or model.gradient_checkpointing_enable)({"use_reentrant": False})


def _freeze(model: Any, config: SslConfig) -> list[nn.Module]:
    """Take gradients off what is not trained; the modules that shall stay in evaluation mode."""
    layers = list(model.encoder.layers)
    if config.freeze_layers > len(layers):
        raise UsageError(
            f"freeze_layers is {config.freeze_layers}, and the model has {len(layers)} layers",
            f"set it to {len(layers)} at most",
        )
    asleep = layers[: config.freeze_layers]
    if config.freeze == "all":
        asleep = [model]
    elif config.freeze == "features":
        asleep = [model.feature_extractor, *asleep]
    for module in asleep:
        module.requires_grad_(False)
    if config.freeze != "nothing":
        model.feature_extractor._freeze_parameters()
    return asleep


def _with_adapters(model: Any, lora: Lora) -> Any:
    package = Package("peft", "forensics[lora]")
    if (lacking := package.missing()) is not None:
        raise MissingRequirement(lacking, package.fix())
    from peft import LoraConfig, get_peft_model

    model.feature_extractor._freeze_parameters()
    adapters = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # pyright: ignore[reportArgumentType]
        lora_dropout=lora.dropout,
        target_modules=list(lora.targets),
    )
    try:
        return get_peft_model(model, adapters)
    except ValueError as error:
        raise UsageError(
            f"no LoRA adapters can be put on {lora.targets}: {error}",
            "name linear layers of the model in lora.targets, such as q_proj",
        ) from error
