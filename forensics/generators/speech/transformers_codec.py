"""Neural codecs of `transformers`: EnCodec, DAC and Mimi, encoded and decoded again."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from forensics.errors import UsageError
from forensics.generators.base import GeneratorParams, SpeechRequest, register_generator
from forensics.generators.speech.neural import (
    LOCAL_ONLY,
    TorchGenerator,
    TorchParams,
    loaded,
    read_config,
    resynthesised,
)
from forensics.requirements import Requirement, SafetensorsModel, model_folder

_SHORTEST = 1024
_CLASSES = {"encodec": "EncodecModel", "dac": "DacModel", "mimi": "MimiModel"}


class CodecParams(TorchParams):
    """Parameters of `transformers_codec`, besides those of every torch engine.

    Attributes:
        bandwidths: kbit/s that EnCodec's are drawn from, per item. Empty: all that the model has.
        codebooks: numbers of codebooks that DAC's and Mimi's are drawn from, per item. Empty: all.
    """

    bandwidths: tuple[float, ...] = ()
    codebooks: tuple[int, ...] = ()


@register_generator
class TransformersCodec(TorchGenerator[CodecParams]):
    """EnCodec (arXiv 2210.13438), DAC (arXiv 2306.06546) and Mimi (arXiv 2410.00037).

    The output has the codec's own rate and exactly the reference's duration. A stereo EnCodec gets
    the reference on both channels, which are averaged again.
    """

    name = "transformers_codec"
    version = "1"
    kind = "codec"
    licence = "Apache-2.0 (code); weights: see the model's card"
    summary = "EnCodec, DAC and Mimi of transformers, at a drawn bit rate"
    Params: ClassVar[type[GeneratorParams]] = CodecParams

    def requirements(self) -> tuple[Requirement, ...]:
        return (SafetensorsModel(self.params.model, example="facebook/encodec_24khz"),)

    def load(self) -> None:
        import transformers

        folder = model_folder(self.params.model)
        self._family = read_config(folder).get("model_type", "?")
        if self._family not in _CLASSES:
            raise UsageError(
                f"{folder} holds a {self._family}, not a codec that is known here",
                f"name one of {', '.join(_CLASSES)}",
            )
        self._extractor: Any = transformers.AutoFeatureExtractor.from_pretrained(
            str(folder), **LOCAL_ONLY
        )
        cls = getattr(transformers, _CLASSES[self._family])
        self._model = loaded(cls, folder, self.params.device)
        self._levels = self._offered()

    def forge(self, request: SpeechRequest) -> tuple[Any, int, dict[str, Any]]:
        level = self._levels[int(np.random.default_rng(request.seed).integers(len(self._levels)))]
        rate = self._extractor.sampling_rate
        samples = resynthesised(request, rate, _SHORTEST, lambda x: self._there_and_back(x, level))
        named = "bandwidth_kbps" if self._family == "encodec" else "codebooks"
        return samples, rate, {named: level}

    def _there_and_back(self, samples: np.ndarray, level: Any) -> np.ndarray:
        stereo = getattr(self._extractor, "feature_size", 1) == 2
        raw = np.stack([samples, samples]) if stereo else samples
        inputs = self._extractor(
            raw_audio=raw, sampling_rate=self._extractor.sampling_rate, return_tensors="pt"
        ).to(self._model.device)
        values = inputs["input_values"]
        if self._family == "encodec":
            made = self._model(values, inputs["padding_mask"], bandwidth=level)
        elif self._family == "dac":
            made = self._model(values, n_quantizers=level)
        else:
            made = self._model(values, num_quantizers=level)
        audio = made.audio_values.float().cpu().numpy()
        return audio.reshape(-1, audio.shape[-1]).mean(axis=0)

    def _offered(self) -> list[Any]:
        """What bit rates to draw from.

        Raises:
            UsageError: a parameter names one that the model does not have.
        """
        config = self._model.config
        if self._family == "encodec":
            offered, named = list(config.target_bandwidths), list(self.params.bandwidths)
        elif self._family == "dac":
            offered, named = list(range(1, config.n_codebooks + 1)), list(self.params.codebooks)
        else:
            fewest = config.num_semantic_quantizers
            offered = list(range(fewest, config.num_quantizers + 1))
            named = list(self.params.codebooks)
        wrong = [level for level in named if level not in offered]
        if wrong:
            raise UsageError(f"the codec has no level {wrong}", f"it has {offered}")
        return named or offered
