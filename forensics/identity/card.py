"""What is stored about a person: the schema of `identity.json` and of a consent record."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from forensics.detectors.calibration import Calibration, Threshold
from forensics.errors import UsageError
from forensics.identity.names import checked_name, slug_of

_SHA256 = r"^[0-9a-f]{64}$"
MAX_SLOPE = 1e4  # of a gate, in natural-log odds per unit of similarity


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ConsentRecord(_Frozen):
    """Why a person's face may be processed. Copied into the identity, never into a verdict.

    Attributes:
        person: whose face it is; must be the name that is enrolled.
        given_by: who said so: the person, or who may speak for them.
        purpose: what for, in words.
        basis: legal ground, e.g. of the GDPR's articles 6 and 9.
        given: the day it was given; expires: the first day on which it no longer holds.
        reference: where the original lies (a file number, a contract).
        contact: whom to ask when the person wants to withdraw.
    """

    person: str = Field(min_length=1, max_length=80)
    given_by: str = Field(min_length=1, max_length=200)
    purpose: str = Field(min_length=1, max_length=1000)
    basis: Literal["consent", "contract", "legal_obligation", "public_interest", "own_face"]
    given: date
    expires: date | None = None
    reference: str = Field(default="", max_length=500)
    contact: str = Field(default="", max_length=200)

    @model_validator(mode="after")
    def _in_order(self) -> ConsentRecord:
        if self.expires is not None and self.expires <= self.given:
            raise ValueError("it expires before it was given")
        return self

    def check(self, name: str, today: date | None = None) -> None:
        """Whether it holds for this person today.

        Raises:
            UsageError: it is somebody else's, not yet given, or expired.
        """
        today = today or datetime.now(UTC).date()
        if self.person.casefold() != name.casefold():
            raise UsageError(
                f"the consent record is of {self.person!a}, not of {name!a}",
                "name the record of this person",
            )
        if self.given > today:
            raise UsageError(f"the consent is given on {self.given}, which is to come", "wait")
        if self.expires is not None and today >= self.expires:
            raise UsageError(
                f"the consent of {name} expired on {self.expires}",
                f"enrol again with a new record, or delete: forensics identity rm {slug_of(name)}",
            )


class Gate(_Frozen):
    """When a face counts as this person's: similarity to the centre against a threshold.

    `p_same = 1 / (1 + e^(-slope * (similarity - threshold)))`: the probability for faces of which
    half are this person's, with two normal distributions of one spread.

    Attributes:
        threshold: similarity (dot product of unit vectors, in [-1, 1]) from which a face passes;
            lies between the two means.
        slope: natural-log odds per unit of similarity.
        own_mean, other_mean: mean similarity of the person's photos, left out one by one, and of
            other people.
        n_own, n_other: on how many each rests; n_other counts what the origin says.
        own_below: own photos below the threshold; others_above: other people's not below it, None
            where none were given.
        origin: where the figures come from, in words.
    """

    threshold: float = Field(ge=-1, le=1)
    slope: float = Field(gt=0, le=MAX_SLOPE)
    own_mean: float = Field(ge=-1, le=1)
    other_mean: float = Field(ge=-1, le=1)
    n_own: int = Field(gt=0)
    n_other: int = Field(ge=0)
    own_below: int = Field(ge=0)
    others_above: int | None = Field(default=None, ge=0)
    origin: str = Field(max_length=500)

    @model_validator(mode="after")
    def _between(self) -> Gate:
        if not self.other_mean <= self.threshold <= self.own_mean:
            raise ValueError("the threshold does not lie between the means of others and of own")
        return self

    def p_same(self, similarity: float) -> float:
        """Probability in [0, 1] that it is this person; never overflows."""
        logit = self.slope * (similarity - self.threshold)
        return 0.5 * (1 + math.tanh(logit / 2))

    def passes(self, similarity: float) -> bool:
        return similarity >= self.threshold


class Trial(_Frozen):
    """How the tokens did on photos that they were not trained on, beside similarity alone.

    Attributes:
        n_real, n_fake, n_other: the person's photos, forgeries, other people's photos.
        tokens_auc, similarity_auc: area under the ROC curve of both on the same photos, the
            person's own against the rest.
        sure_lead: lower end of the 95 % interval of their difference; -1 where too few photos were
            held out to say.
    """

    n_real: int = Field(gt=0)
    n_fake: int = Field(ge=0)
    n_other: int = Field(ge=0)
    tokens_auc: float = Field(ge=0, le=1)
    similarity_auc: float = Field(ge=0, le=1)
    sure_lead: float = Field(default=-1.0, ge=-1, le=1)

    @property
    def beats_similarity(self) -> bool:
        """Not by chance."""
        return self.sure_lead > 0


class TokenCard(_Frozen):
    """What goes with the rows of an identity's tokens: they mean nothing in another model.

    Attributes:
        names: of the tokens, in the order of the rows.
        model: hub id, or the last part of a folder's path; model_fingerprint: hash of what was
            loaded, adapter included.
        prompt_version: of the questions that were asked.
        told_similarity: whether the questions name the face's similarity to the person.
        calibration, threshold: of the logit difference; None where too few photos were held out.
        trial: None where no photos were held out.
        trained_on: how many photos of which sort, in words.
    """

    names: tuple[str, ...] = Field(min_length=1, max_length=128)
    model: str = Field(max_length=300)
    model_fingerprint: str = Field(max_length=300)
    prompt_version: str = Field(max_length=80)
    told_similarity: bool = False
    calibration: Calibration | None = None
    threshold: Threshold | None = None
    trial: Trial | None = None
    trained_on: str = Field(max_length=500)

    @field_validator("names")
    @classmethod
    def _plain(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        plain = all(
            3 <= len(n) <= 96
            and (n[0], n[-1]) == ("<", ">")
            and n[1:-1].isascii()
            and all(c.isalnum() or c in "_-" for c in n[1:-1])
            for n in names
        )
        if not plain or len(set(names)) != len(names):
            raise ValueError("token names are distinct, and like <name_1>")
        return names


class IdentityCard(_Frozen):
    """The content of `identity.json`.

    Attributes:
        name: as people write it; slug: the folder's name.
        created: when it was enrolled, UTC.
        photos: how many photos the centre rests on. None of them is kept.
        licence: terms under which the photos were given, in words.
        embedder: fingerprint of what made the centre; vectors of another are never compared.
        sha256: of the safetensors beside it.
    """

    format: Literal[1] = 1
    name: str = Field(max_length=80)
    slug: str = Field(max_length=64)
    created: datetime
    photos: int = Field(ge=3, le=1_000_000)
    consent: ConsentRecord | None = None
    licence: str = Field(default="", max_length=300)
    embedder: str = Field(min_length=1, max_length=300)
    gate: Gate
    tokens: TokenCard | None = None
    sha256: str = Field(pattern=_SHA256)

    @model_validator(mode="after")
    def _slug_of_name(self) -> IdentityCard:
        try:
            good = checked_name(self.name) == self.name and slug_of(self.name) == self.slug
        except UsageError as error:
            raise ValueError(error.what) from error
        if not good:
            raise ValueError(f"slug {self.slug!r} does not belong to this name")
        return self


def first_problem(error: ValidationError) -> str:
    """The first thing that is wrong, in one line without the value."""
    first = error.errors(include_input=False)[0]
    where = ".".join(map(str, first["loc"])) or "file"
    return f"{where}: {first['msg']}"


def parse_consent(data: bytes, source: str) -> ConsentRecord:
    """A consent record from JSON.

    Raises:
        UsageError: it cannot be read as one.
    """
    try:
        return ConsentRecord.model_validate_json(data)
    except ValidationError as error:
        example = (
            '{"person": NAME, "given_by": …, "purpose": …, "basis": "consent", '
            '"given": "2026-01-31", "expires": "2027-01-31"}'
        )
        raise UsageError(
            f"{source} is no consent record: {first_problem(error)}", f"write {example}"
        ) from error
