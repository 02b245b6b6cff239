"""A chain: another editor's result goes as a whole frame through a latent autoencoder."""

from __future__ import annotations

from typing import Any, ClassVar

from forensics.errors import UsageError
from forensics.generators.base import GeneratorParams
from forensics.generators.image.autoencoder_editor import AutoencoderEditor, AutoencoderParams
from forensics.generators.image.base import EDITORS, Edited, EditRequest, register_editor
from forensics.generators.image.requests import check_request
from forensics.generators.speech.chain import Link
from forensics.generators.speech.neural import seeded
from forensics.requirements import Requirement


class RegenerateParams(AutoencoderParams):
    """As `AutoencoderParams`, and `editor`, the one whose results are regenerated."""

    editor: Link = Link(use="copy-move")


@register_editor
class Regenerate(AutoencoderEditor[RegenerateParams]):
    """Every pixel is the decoder's; the mask is the inner editor's. What the inner editor can do
    and what it needs is asked of this one too.

    Details: `autoencoder`, `editor` (its name), `inner` (its details), `inner_kind`.

    Raises:
        UsageError: the inner editor is itself one that regenerates.
    """

    name = "regenerate"
    version = "1"
    kind = "regeneration"
    summary = "Another editor's frame, all of it put through a latent autoencoder"
    edits = ("removal", "open-ended-replacement", "addition")
    Params: ClassVar[type[GeneratorParams]] = RegenerateParams

    def __init__(self, **params: Any):
        super().__init__(**params)
        link = self.params.editor
        if link.use == self.name:
            raise UsageError(f"{self.name}: {link.use!r} inside of itself", "name another editor")
        self._inner = EDITORS.get(link.use)(**link.params)
        inner = self._inner
        self.edits, self.needs_camera = inner.edits, inner.needs_camera  # pyright: ignore[reportAttributeAccessIssue]
        self.least_frames, self.reads_instruction = inner.least_frames, inner.reads_instruction  # pyright: ignore[reportAttributeAccessIssue]

    def requirements(self) -> tuple[Requirement, ...]:
        return (*super().requirements(), *self._inner.requirements())

    def fingerprint(self) -> str:
        return f"{super().fingerprint()};{self._inner.name} {self._inner.fingerprint()}"

    def load(self) -> None:
        super().load()
        self._inner.load()

    def edit(self, request: EditRequest) -> Edited:
        check_request(self, request)
        inner = self._inner.edit(request)
        with seeded(request.seed, self.params.device, self.params.threads):
            latents = self.autoencoder.latents(inner.pixels)
            pixels = self.autoencoder.pixels(latents, inner.pixels.shape[:2])
        details = {
            "autoencoder": self.autoencoder.name,
            "editor": self._inner.name,
            "inner_kind": self._inner.kind,
            "inner": inner.details,
        }
        return Edited(pixels, inner.mask, "regenerated", details)
