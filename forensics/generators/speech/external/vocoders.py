"""Vocoders that have a command line: BigVGAN, BigVSAN and the ParallelWaveGAN family."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

from forensics.errors import MissingRequirement, UsageError
from forensics.generators.base import GeneratorParams, SpeechKind, register_generator
from forensics.generators.speech.external.base import ExternalGenerator, ExternalParams, Job
from forensics.generators.speech.external.cloning import ModelEngine, ModelParams
from forensics.requirements import LocalWeights, Requirement


class CheckpointParams(ExternalParams):
    """`checkpoint` is the generator's weights' file; its `config.json` lies beside it."""

    checkpoint: str | None = None


class _BigVgan(ExternalGenerator[CheckpointParams]):
    kind: ClassVar[SpeechKind] = "vocoder"
    module = "torch"
    url: ClassVar[str]
    source: ClassVar[str]
    Params: ClassVar[type[GeneratorParams]] = CheckpointParams

    def weights(self) -> tuple[Requirement, ...]:
        named = self.params.checkpoint
        folder = None if named is None else str(Path(named).expanduser().parent)
        files = ("config.json",) if named is None else (Path(named).name, "config.json")
        return (
            LocalWeights(self.params.repo, ("inference.py",), "repo", self.url),
            LocalWeights(folder, files, "checkpoint", self.source),
        )

    def weight_files(self) -> list[Path]:
        checkpoint = Path(self.params.checkpoint or "").expanduser()
        return [checkpoint, checkpoint.parent / "config.json"]

    def commands(self, job: Job) -> list[list[str]]:
        repo = Path(self.params.repo or "").expanduser().resolve()
        checkpoint = Path(self.params.checkpoint or "").expanduser().resolve()
        return [
            [
                str(repo / "inference.py"),
                f"--checkpoint_file={checkpoint}",
                f"--input_wavs_dir={job.inputs}",
                f"--output_dir={job.out}",
            ]
        ]


@register_generator
class BigVgan(_BigVgan):
    """BigVGAN (arXiv 2206.04658) through inference.py of NVIDIA/BigVGAN; 22.05, 24 or 44.1 kHz.

    Code and weights MIT. It resamples the reference to its config's rate.
    """

    name = "bigvgan"
    licence = "MIT (code and weights)"
    summary = "BigVGAN, copy synthesis (own environment)"
    install = "git clone https://github.com/NVIDIA/BigVGAN, install its requirements.txt"
    url = "github.com/NVIDIA/BigVGAN"
    source = "the hub (nvidia/bigvgan_v2_24khz_100band_256x: bigvgan_generator.pt)"


@register_generator
class BigVsan(_BigVgan):
    """BigVSAN (arXiv 2309.02836) through inference.py of sony/bigvsan; 24 kHz.

    Code MIT (from memory); weights on Zenodo, record 10037439. Its files go over a clone of
    BigVGAN, which holds env.py and meldataset.py.
    """

    name = "bigvsan"
    licence = "MIT (code); weights: see Zenodo 10037439"
    summary = "BigVSAN, copy synthesis (own environment)"
    install = "copy github.com/sony/bigvsan over a clone of BigVGAN, install its requirements.txt"
    url = "github.com/sony/bigvsan"
    source = "zenodo.org/records/10037439 (g_01000000 with config.json)"


class _ParallelWaveGan(ModelEngine[ModelParams]):
    """The analysis-synthesis recipe of kan-bayashi/ParallelWaveGAN's README: extract features,
    normalise them, decode. `model` is a downloaded folder: config.yml, stats, checkpoint.

    The config is copied without `trim_silence`, so that the output keeps the reference's timing.
    Code MIT; the pretrained models have no licence of their own.
    """

    kind: ClassVar[SpeechKind] = "vocoder"
    module = "parallel_wavegan"
    install = "pip install parallel_wavegan"
    licence = "MIT (code); weights: no licence stated"
    files = ("config.yml",)
    source = "the list of pretrained models in github.com/kan-bayashi/ParallelWaveGAN"
    generator: ClassVar[str]

    def reference_rate(self) -> int | None:
        return int(self._config()["sampling_rate"])

    def commands(self, job: Job) -> list[list[str]]:
        import yaml

        config = job.folder / "config.yml"
        config.write_text(yaml.safe_dump(self._config() | {"trim_silence": False}))
        checkpoint, stats = self._checkpoint(), self._stats()
        raw, norm = job.folder / "raw", job.folder / "norm"
        step = "parallel_wavegan.bin."
        return [
            ["-m", step + "preprocess", f"--config={config}", f"--rootdir={job.inputs}",
             f"--dumpdir={raw}"],
            ["-m", step + "normalize", f"--config={config}", f"--rootdir={raw}",
             f"--dumpdir={norm}", f"--stats={stats}"],
            ["-m", step + "decode", f"--checkpoint={checkpoint}", f"--config={config}",
             f"--dumpdir={norm}", f"--outdir={job.out}"],
        ]  # fmt: skip

    def fits(self, config: dict[str, Any]) -> bool:
        """Whether a config is of this family member."""
        return config.get("generator_type", "ParallelWaveGANGenerator") == self.generator

    def _config(self) -> dict[str, Any]:
        import yaml

        config = yaml.safe_load((self.model / "config.yml").read_text(encoding="utf-8"))
        if not self.fits(config):
            kind = config.get("generator_type", "ParallelWaveGANGenerator")
            raise UsageError(f"{self.model} holds a {kind}, not {self.name}", "name its folder")
        return config

    def _checkpoint(self) -> Path:
        """The one with the most steps."""
        found = sorted(
            self.model.glob("checkpoint-*steps.pkl"),
            key=lambda path: int("".join(re.findall(r"\d+", path.name)) or 0),
        )
        if not found:
            raise MissingRequirement(f"no checkpoint-*steps.pkl in {self.model}", self.source)
        return found[-1]

    def _stats(self) -> Path:
        found = [self.model / name for name in ("stats.h5", "stats.npy")]
        present = [path for path in found if path.is_file()]
        if not present:
            raise MissingRequirement(f"no stats.h5 or stats.npy in {self.model}", self.source)
        return present[0]


@register_generator
class ParallelWaveGan(_ParallelWaveGan):
    """Parallel WaveGAN (arXiv 1910.11480)."""

    name = "parallel_wavegan"
    summary = "Parallel WaveGAN, copy synthesis (own environment)"
    generator = "ParallelWaveGANGenerator"


class _MelGan(_ParallelWaveGan):
    generator = "MelGANGenerator"
    bands: ClassVar[bool] = False

    def fits(self, config: dict[str, Any]) -> bool:
        several = config.get("generator_params", {}).get("out_channels", 1) > 1
        return super().fits(config) and several == self.bands


@register_generator
class MelGan(_MelGan):
    """MelGAN (arXiv 1910.06711)."""

    name = "melgan"
    summary = "MelGAN, copy synthesis (own environment)"


@register_generator
class FullBandMelGan(_MelGan):
    """Full-band MelGAN (arXiv 2005.05106): MelGAN's generator with a larger receptive field.

    A config does not tell it from MelGAN: the folder that is named decides.
    """

    name = "full_band_melgan"
    summary = "Full-band MelGAN, copy synthesis (own environment)"


@register_generator
class MultiBandMelGan(_MelGan):
    """Multi-band MelGAN (arXiv 2005.05106): four sub-bands, joined by a filter bank."""

    name = "multi_band_melgan"
    summary = "Multi-band MelGAN, copy synthesis (own environment)"
    bands = True


@register_generator
class StyleMelGan(_ParallelWaveGan):
    """StyleMelGAN (arXiv 2011.01557)."""

    name = "style_melgan"
    summary = "StyleMelGAN, copy synthesis (own environment)"
    generator = "StyleMelGANGenerator"
