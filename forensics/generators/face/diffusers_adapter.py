"""New pictures of a person after a photo, by an IP-Adapter through diffusers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import Field

from forensics.errors import MissingRequirement
from forensics.faces.files import sha256
from forensics.generators.base import GeneratorParams
from forensics.generators.face.base import Portrait, register_forger
from forensics.generators.face.diffusers_whole import WholeFaceForger, WholeFaceParams
from forensics.generators.image.diffusers_prompts import Words
from forensics.generators.image.requests import cut, widened
from forensics.generators.speech.neural import digest
from forensics.requirements import Requirement, RequirementKind, find_model


@dataclass(frozen=True)
class AdapterWeights:
    """Safetensors of an IP-Adapter and the folder of its image encoder, below one folder."""

    adapter: str | None
    file: str
    image_encoder: str
    kind: RequirementKind = "weights"

    def missing(self) -> str | None:
        if self.adapter is None:
            return "no IP-Adapter is named (parameter 'adapter')"
        if not self.file.endswith(".safetensors"):
            return f"{self.file} is not safetensors, and pickled weights are not read"
        root = self._root()
        if root is None or not (root / self.file).is_file():
            return f"IP-Adapter {self.adapter!r} has no {self.file} on this machine"
        encoder = root / self.image_encoder
        if not any(encoder.glob("*.safetensors")) or not (encoder / "config.json").is_file():
            return f"IP-Adapter {self.adapter!r} has no {self.image_encoder} as safetensors"
        return None

    def fix(self) -> str:
        if self.adapter is None:
            return "set 'adapter' to a folder or a hub id, e.g. h94/IP-Adapter"
        return f"hf download {self.adapter}, and set 'adapter_file' and 'image_encoder' to it"

    def root(self) -> Path:
        """The folder.

        Raises:
            MissingRequirement: as `missing` says.
        """
        found = self._root()
        if (what := self.missing()) is not None or found is None:
            raise MissingRequirement(what or "no IP-Adapter", self.fix())
        return found

    def _root(self) -> Path | None:
        encoder_config = f"{self.image_encoder}/config.json"
        found = find_model(self.adapter, encoder_config) if self.adapter else None
        if found is None or self.adapter is None or Path(self.adapter).expanduser().is_dir():
            return found
        for _ in Path(self.image_encoder).parts:  # in the cache, it is the encoder's own folder
            found = found.parent
        return found


class IpAdapterParams(WholeFaceParams):
    """As `WholeFaceParams`, and:

    Attributes:
        adapter: folder, or hub id in the local cache, of an IP-Adapter.
        adapter_file: its safetensors; one for faces keeps a person best.
        image_encoder: folder of its image encoder.
        adapter_scale: how much the photo counts against the words.
    """

    adapter: str | None = None
    adapter_file: str = "models/ip-adapter-plus-face_sd15.safetensors"
    image_encoder: str = "models/image_encoder"
    adapter_scale: float = Field(default=0.7, ge=0, le=1.5)


@register_forger
class IpAdapter(WholeFaceForger):
    """The person of a photo in a new picture, by an IP-Adapter on Stable Diffusion or its kin (Ye
    et al., "IP-Adapter", arXiv 2308.06721).

    Details: as of `face-reference`, and `adapter_file`, `adapter_scale`.
    """

    name = "ip-adapter"
    kind = "idpreserve"
    summary = "A whole picture after a photo of the person, by an IP-Adapter through diffusers"
    donors = "same"
    Params: ClassVar[type[GeneratorParams]] = IpAdapterParams
    params: IpAdapterParams  # pyright: ignore[reportIncompatibleVariableOverride]
    takes = "words"
    example = "stable-diffusion-v1-5/stable-diffusion-v1-5"

    def requirements(self) -> tuple[Requirement, ...]:
        return (*super().requirements(), self._adapter())

    def fingerprint(self) -> str:
        root = self._adapter().root()
        adapter, encoder = root / self.params.adapter_file, root / self.params.image_encoder
        return f"{super().fingerprint()}-{sha256(adapter)[:16]}-{digest(encoder)}"

    def load(self) -> None:
        super().load()
        params = self.params
        self.loaded.adapt(
            self._adapter().root(), params.adapter_file, params.image_encoder, params.adapter_scale
        )
        self._origin |= {
            "adapter_file": params.adapter_file,
            "adapter_scale": params.adapter_scale,
        }

    def _painted(
        self, size: tuple[int, int], told: Words, seed: int, donor: Portrait | None
    ) -> np.ndarray:
        assert donor is not None  # check_request
        margin = (donor.face.box[2] - donor.face.box[0]) // 3
        box = widened(donor.face.box, margin, donor.pixels.shape)
        reference = np.ascontiguousarray(cut(donor.pixels, box))
        return self.loaded.paint(size, told, seed, reference)

    def _adapter(self) -> AdapterWeights:
        params = self.params
        return AdapterWeights(params.adapter, params.adapter_file, params.image_encoder)
