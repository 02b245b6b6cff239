"""Copy synthesis with Vocos (arXiv 2306.00814), a vocoder that predicts Fourier coefficients."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from forensics.errors import UsageError
from forensics.generators.base import GeneratorParams, SpeechRequest, register_generator
from forensics.generators.speech.neural import (
    TorchGenerator,
    TorchParams,
    digest,
    resynthesised,
)
from forensics.requirements import Package, Requirement, SafetensorsModel, model_folder

# A Vocos config names the classes to build by import path; only these are ever built.
_CLASSES = {
    "feature_extractor": ("vocos.feature_extractors.MelSpectrogramFeatures",),
    "backbone": ("vocos.models.VocosBackbone", "vocos.models.VocosResNetBackbone"),
    "head": (
        "vocos.heads.ISTFTHead",
        "vocos.heads.IMDCTSymExpHead",
        "vocos.heads.IMDCTCosHead",
    ),
}


class VocosParams(TorchParams):
    model: str | None = "charactr/vocos-mel-24khz"


class _VocosWeights(SafetensorsModel):
    def fix(self) -> str:
        if self.model is None or self.missing() is None or "pickled" not in str(self.missing()):
            return super().fix()
        return (
            'convert them in an environment that you trust: python -c "import torch; from '
            "safetensors.torch import save_file; save_file({k: v.contiguous() for k, v in "
            "torch.load('pytorch_model.bin', weights_only=True).items()}, 'model.safetensors')\""
        )


@register_generator
class Vocos(TorchGenerator[VocosParams]):
    """Vocos on mel spectrograms, 24 kHz by default; the reference's duration is kept.

    `model` is a folder, or a hub id in the local cache, with `config.yaml` and
    `model.safetensors`. The published folders hold `pytorch_model.bin`, a pickle, which is refused
    with the command that converts it. The EnCodec variant fetches weights when it is built, so it
    is refused too.
    """

    name = "vocos"
    version = "1"
    kind = "vocoder"
    licence = "MIT (code and weights)"
    summary = "Vocos on mel spectrograms"
    Params: ClassVar[type[GeneratorParams]] = VocosParams

    def requirements(self) -> tuple[Requirement, ...]:
        return (
            Package("vocos", "forensics[vocos]"),
            _VocosWeights(self.params.model, config="config.yaml"),
        )

    def folders(self) -> list[Path]:
        return [model_folder(self.params.model, "config.yaml")]

    def fingerprint(self) -> str:
        return f"{self.version}-{digest(self.folders()[0])}"

    def load(self) -> None:
        folder = self.folders()[0]
        self._model, self._rate = _build(folder)
        self._model = self._model.eval().to(self.params.device)

    def forge(self, request: SpeechRequest) -> tuple[Any, int, dict[str, Any]]:
        return resynthesised(request, self._rate, 1024, self._copy), self._rate, {}

    def _copy(self, samples: np.ndarray) -> Any:
        import torch

        mel = self._model.feature_extractor.mel_spec
        padded = np.pad(samples, (0, 2 * mel.hop_length))  # else the last partial frame is lost
        return self._model(torch.from_numpy(padded)[None].to(self.params.device))[0]


def _build(folder: Path) -> tuple[Any, int]:
    """The model and its rate in Hz.

    Raises:
        UsageError: the config asks for classes that are not built here.
    """
    import yaml
    from safetensors.torch import load_file
    from vocos import Vocos as Model
    from vocos.pretrained import instantiate_class

    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    parts = {}
    for part, allowed in _CLASSES.items():
        named = config.get(part, {}).get("class_path")
        if named not in allowed:
            raise UsageError(
                f"{folder}/config.yaml: {part} {named!r} is not built here",
                f"use a Vocos with {' or '.join(allowed)}",
            )
        parts[part] = instantiate_class(args=(), init=config[part])
    model: Any = Model(**parts)
    weights = {}
    for file in sorted(folder.glob("*.safetensors")):
        weights |= load_file(file)
    model.load_state_dict(weights)
    return model, int(model.feature_extractor.mel_spec.sample_rate)
