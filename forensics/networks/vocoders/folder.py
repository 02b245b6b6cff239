"""A trained vocoder on disk: `config.json` and `model.safetensors`, pinned by its SHA-256."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors.torch import load, save
from torch import nn

from forensics.errors import CorpusError, MissingRequirement, UsageError
from forensics.networks.vocoders.build import VocoderNetworkConfig, build_vocoder
from forensics.shards import storage

CONFIG, WEIGHTS = "config.json", "model.safetensors"


class VocoderQuality(BaseModel):
    """Copy synthesis of recordings that training did not hear, beside the recordings.

    Attributes:
        clips, speakers: how many.
        mel_distance: mean absolute difference of natural log mel magnitudes.
        log_spectral_distance_db: root mean square over frequency of the level difference, mean
            over frames; levels end 60 dB below the loudest.
        griffinlim_mel_distance, griffinlim_log_spectral_distance_db: of Griffin-Lim from the same
            mel spectrograms.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    clips: int
    speakers: int
    mel_distance: float
    log_spectral_distance_db: float
    griffinlim_mel_distance: float
    griffinlim_log_spectral_distance_db: float


class VocoderCard(BaseModel):
    """What a trained vocoder is.

    Attributes:
        steps: of training.
        trained_on: recordings, hours, licences.
        quality: None when no speaker was held out.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    network: VocoderNetworkConfig
    weights_sha256: str
    steps: int
    trained_on: str
    licence: str
    quality: VocoderQuality | None

    def __str__(self) -> str:
        lines = [f"{self.network.family} vocoder, {self.steps} steps on {self.trained_on}"]
        if self.quality:
            found = self.quality
            lines += [
                f"held out: {found.clips} recordings of {found.speakers} speakers",
                f"  mel distance            {found.mel_distance:.3f}"
                f"  (Griffin-Lim {found.griffinlim_mel_distance:.3f})",
                f"  log-spectral distance   {found.log_spectral_distance_db:.2f} dB"
                f"  (Griffin-Lim {found.griffinlim_log_spectral_distance_db:.2f} dB)",
            ]
        return "\n".join(lines)


def save_vocoder(
    folder: Path,
    network: nn.Module,
    config: VocoderNetworkConfig,
    steps: int,
    trained_on: str,
    licence: str,
    quality: VocoderQuality | None,
) -> VocoderCard:
    """Write the folder; weights are kept in float16, which halves them and is not heard."""
    tensors = {k: v.detach().cpu().half().contiguous() for k, v in network.state_dict().items()}
    data = save(tensors)
    card = VocoderCard(
        network=config,
        weights_sha256=hashlib.sha256(data).hexdigest(),
        steps=steps,
        trained_on=trained_on,
        licence=licence,
        quality=quality,
    )
    folder.mkdir(parents=True, exist_ok=True)
    storage.publish(str(folder / WEIGHTS), data)
    storage.publish(str(folder / CONFIG), card.model_dump_json(indent=2).encode() + b"\n")
    return card


def load_vocoder(folder: Path) -> tuple[nn.Module, VocoderCard]:
    """The network in `eval`, float32 on the CPU.

    Raises:
        MissingRequirement: there is no such folder.
        UsageError: its config is not a vocoder's.
        CorpusError: the weights do not match their pinned hash or their config.
    """
    if not (folder / CONFIG).is_file() or not (folder / WEIGHTS).is_file():
        raise MissingRequirement(
            f"{folder} is not a trained vocoder",
            "name the folder vocoder/ that forensics train wrote",
        )
    try:
        card = VocoderCard.model_validate_json((folder / CONFIG).read_bytes())
    except ValidationError as error:
        raise UsageError(
            f"{folder / CONFIG} is not a vocoder's: {error.errors()[0]['msg']}", "train it again"
        ) from error
    data = (folder / WEIGHTS).read_bytes()
    if hashlib.sha256(data).hexdigest() != card.weights_sha256:
        raise CorpusError(f"{folder / WEIGHTS} does not match its config", "get it again")
    network = build_vocoder(card.network)
    try:
        network.load_state_dict({name: tensor.float() for name, tensor in load(data).items()})
    except RuntimeError as error:
        raise CorpusError(f"{folder}: weights do not fit ({error})", "train it again") from error
    return network.eval(), card


@torch.inference_mode()
def copy_synthesis(
    network: nn.Module, mel: nn.Module, hop: int, samples: torch.Tensor
) -> torch.Tensor:
    """float32 (T,) → the vocoder's version of it (T,), drawn from torch's generator."""
    missing = -samples.shape[0] % hop
    padded = torch.nn.functional.pad(samples, (0, missing))
    return network(mel(padded[None]))[0, : samples.shape[0]]
