"""Whom a detection is asked about, made ready: people from the store, tools and model they need."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from forensics.errors import CorpusError, MissingRequirement, UsageError
from forensics.identity.questions import rows_of
from forensics.identity.store import IdentityStore
from forensics.identity.tensors import Identity

if TYPE_CHECKING:
    from forensics.detectors.face.vlm_calibration import VlmCalibration
    from forensics.faces.tools import FaceConfig, FaceTools
    from forensics.networks.vlm.face_vlm import FaceVlm

MAX_PEOPLE = 256
_HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?", re.ASCII)


@dataclass(frozen=True)
class AskedModel:
    """The model that people's tokens are of, with their tokens loaded.

    Attributes:
        real: what its answers on whether a face is a real photo mean; None where its detection
            adapter was not calibrated, or it has none.
    """

    vlm: FaceVlm
    real: VlmCalibration | None


@dataclass(frozen=True)
class Asking:
    """How people are asked for.

    Attributes:
        store: where they lie; None takes the default.
        faces: what finds and embeds faces, the same as at enrolment.
        model: where the vision-language model of their tokens lies; None takes the folder that
            the enrolment on this machine noted, or the hub id in the local cache. A path that an
            imported identity names is never opened.
        quantisation: of its base, on CUDA.
    """

    store: IdentityStore | str | Path | None = None
    faces: FaceConfig | None = None
    model: str | Path | None = None
    quantisation: Literal["4bit", "8bit"] | None = None

    def people(self, named: Sequence[str | Identity]) -> list[Identity]:
        """Everybody named, once each, with consent that holds today.

        Raises:
            UsageError: somebody was never enrolled, or the consent has expired.
            CorpusError: a damaged or poisoned identity.
        """
        store = self.store if isinstance(self.store, IdentityStore) else IdentityStore(self.store)
        found: dict[str, Identity] = {}
        for one in named:
            person = one if isinstance(one, Identity) else store.get(one)
            if person.card.consent is not None:
                person.card.consent.check(person.card.name)
            found[person.card.slug] = person
        if not found or len(found) > MAX_PEOPLE:
            raise UsageError(
                f"{len(found)} people are asked for", f"name 1 to {MAX_PEOPLE} who are enrolled"
            )
        return list(found.values())

    def tools(self, people: Sequence[Identity]) -> FaceTools:
        """What finds and embeds faces.

        Raises:
            UsageError: somebody was enrolled with another embedder.
            CorpusError: a face centre cannot come from the embedder that its card names.
        """
        from forensics.faces.tools import open_faces

        tools = open_faces(self.faces)
        width = tools.width()
        for person in people:
            if person.card.embedder != tools.fingerprint():
                raise UsageError(
                    f"{person.card.name} was enrolled with the face tools {person.card.embedder}, "
                    f"and these are {tools.fingerprint()}",
                    "name the same face tools with --faces, or enrol again",
                )
            if len(person.centre) != width:
                raise CorpusError(
                    f"the face centre of {person.card.name} ({person.card.slug}) has "
                    f"{len(person.centre)} values, and its face tools give {width}",
                    "enrol the person again, or get the file again from whoever exported it",
                )
        return tools

    def model_of(self, people: Sequence[Identity], device: str) -> Callable[[], AskedModel]:
        """Gives the model with everybody's tokens, loaded at the first call.

        Raises:
            UsageError: people's tokens belong to different models.

        What it gives raises MissingRequirement where nobody knows the model's place, and
        CorpusError where it is another one.
        """
        with_tokens = [person for person in people if person.card.tokens is not None]
        cards = [person.card.tokens for person in with_tokens if person.card.tokens]
        if len({card.model_fingerprint for card in cards}) > 1:
            names = ", ".join(person.card.name for person in with_tokens)
            raise UsageError(
                f"the tokens of {names} belong to different models", "ask for them one by one"
            )

        @cache
        def load() -> AskedModel:
            from forensics.detectors.face.vlm_calibration import VlmCalibration
            from forensics.networks.vlm.loading import open_vlm

            named = self.model or _place_of_model(with_tokens)
            vlm = open_vlm(named, device, self.quantisation)
            if vlm.fingerprint() != cards[0].model_fingerprint:
                raise CorpusError(
                    f"{named} is not the model that {with_tokens[0].card.name}'s tokens are of",
                    "name that model with --model, or enrol again with this one",
                )
            vlm.add_identities([rows_of(person) for person in with_tokens])
            return AskedModel(vlm, VlmCalibration.load(Path(named), vlm.card.tensors_sha256))

        return load


def _place_of_model(people: Sequence[Identity]) -> str | Path:
    """Where the model of these people's tokens, which is one, lies on this machine.

    Raises:
        MissingRequirement: it was in a folder, and nobody here was enrolled with it; or a hub id
            that is not in the local cache.
    """
    from forensics.requirements import find_model

    noted = next((one.model_folder for one in people if one.model_folder is not None), None)
    if noted is not None:
        return noted
    tokens = people[0].card.tokens
    assert tokens is not None
    # The name may come from an imported file: as a hub id it is looked up, as a path never.
    hub_id = _HUB_ID.fullmatch(tokens.model) and not Path(tokens.model).exists()
    if hub_id and find_model(tokens.model) is not None:
        return tokens.model
    raise MissingRequirement(
        f"the tokens of {people[0].card.name} are of the model {tokens.model!a} "
        f"({tokens.model_fingerprint}), and where it lies on this machine is not recorded",
        "name its folder with --model (in Python: Asking(model=...))",
    )
