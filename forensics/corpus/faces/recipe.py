"""The recipe of a corpus of faces."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from forensics.conditions.image.draw import ImageConditionPolicy
from forensics.corpus.pictures.settings import CheckLimits, Encoder
from forensics.corpus.recipe import Recipe, Strict, SystemSpec
from forensics.draws import Range, within
from forensics.faces.tools import FaceConfig

ForgedRole = Literal["swap", "selfblend", "regeneration", "fullsynth", "idpreserve", "context"]
# Whose box would not be known any more; `framing` crops.
_LOSES_THE_FACE = "crop"


class FaceSystemSpec(SystemSpec):
    """One system of the corpus.

    Attributes:
        claims: of a forger that puts somebody else's face into a photo, who the result claims to
            show: the `donor` (that person's face on another's body), the `target` (the person in
            whose photo the other's face is), or `either`, drawn per item.
        donors: photos that the forger gets of the donor, at most.
        prompts: for engines that read words; one is drawn per item.
        role: what the result plays where the forger's kind does not say it: with prompts of places
            where nobody would expect the person, a picture made after photos is a `context`.
    """

    claims: Literal["donor", "target", "either"] = "either"
    donors: int = Field(default=1, ge=1, le=16)
    prompts: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    role: ForgedRole | None = None


class Photos(Strict):
    """What is taken of the source, and how.

    Attributes:
        max_side: photos whose longer side is above are made smaller, before anything else is done
            to them; None keeps every size.
        min_side: photos whose shorter side is below (after that) are not used.
        dominant: a photo of several faces is used where the largest box has so many times the area
            of the next one; otherwise nobody can say whose photo it is.
        dedupe: of photos of one person that show the same to the eye, keep the first.
        join_bits: people that share photos whose perceptual hashes differ in so many of 64 bits at
            most are one group: one person under two names, or one photo listed twice.
    """

    max_side: int | None = Field(default=1024, ge=64)
    min_side: int = Field(default=48, ge=16)
    dominant: float = Field(default=2.0, ge=1)
    dedupe: bool = True
    join_bits: int = Field(default=4, ge=0, le=20)

    @model_validator(mode="after")
    def _check(self) -> Photos:
        if self.max_side is not None and self.min_side > self.max_side:
            raise ValueError("min_side is above max_side")
        return self


class LookAlikes(Strict):
    """Real photos that claim to show somebody similar.

    Attributes:
        per_identity: how many photos of others claim to show each person.
        among: of how many of the most similar people of the split they are.
    """

    per_identity: int = Field(default=3, ge=0)
    among: int = Field(default=3, ge=1)


class Framing(Strict):
    """How every item is cut around the face and scaled, drawn from its seed alone.

    Attributes:
        margin: added to the face's box on each of four sides, each drawn by itself, in units of
            the box's longer side; where the photo ends the cut ends too.
        scale: of the cut; enlarged further where the face would be too small to be looked at.
    """

    margin: Annotated[Range, within(0, 8)] = (0.2, 0.9)
    scale: Annotated[Range, within(0.1, 4)] = (0.75, 1.25)


class FaceRecipe(Recipe):
    """A corpus of faces.

    Attributes:
        faces: who finds and compares faces; photos whose face is smaller than its
            `locator.least_side` are not used.
        enrol: photos of each person that are set apart for enrolment: never forged, never a
            donor's. A person with fewer than two more than that enrols none.
        among: donors of another person's face are drawn from so many of the most similar people.
        forgeries_per_photo: how many of the systems forge a photo, drawn; None: all that can.
        checks: when a forgery passes.
        conditions: the channel, drawn per item from its seed.
    """

    modality: Literal["face"]  # pyright: ignore[reportIncompatibleVariableOverride]
    systems: tuple[FaceSystemSpec, ...] = Field(  # pyright: ignore[reportIncompatibleVariableOverride]
        min_length=1
    )
    faces: FaceConfig = FaceConfig()
    photos: Photos = Photos()
    enrol: int = Field(default=4, ge=0)
    lookalikes: LookAlikes = LookAlikes()
    among: int = Field(default=5, ge=1)
    forgeries_per_photo: int | None = Field(default=None, ge=1)
    framing: Framing = Framing()
    checks: CheckLimits = CheckLimits(area=(0.001, 1.0))
    conditions: ImageConditionPolicy = ImageConditionPolicy()
    encoder: Encoder = Encoder()
    photos_per_shard: int = Field(default=25, ge=1)

    @model_validator(mode="after")
    def _face_stays(self) -> FaceRecipe:
        if any(choice.use == _LOSES_THE_FACE for choice in self.conditions.choose):
            raise ValueError(f"conditions: no {_LOSES_THE_FACE!r} here; framing.margin crops")
        return self
