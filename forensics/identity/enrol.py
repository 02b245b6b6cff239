"""`forensics.enrol`: from photos of a person to an identity in the store."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from forensics.errors import UsageError
from forensics.identity.card import ConsentRecord, Gate, IdentityCard, parse_consent
from forensics.identity.gate import MIN_OTHERS, General, centre_of, fit_gate, left_out, strangers
from forensics.identity.known import general_of
from forensics.identity.names import checked_name, slug_of
from forensics.identity.photos import Photo, PhotoReader, Pick, Skipped, listed
from forensics.identity.store import IdentityStore
from forensics.identity.tensors import Identity, digest
from forensics.identity.words import read_words
from forensics.media.raw import RawFile

if TYPE_CHECKING:
    from forensics.faces.tools import FaceConfig
    from forensics.identity.tokens import Learnt, TokenPlan
    from forensics.progress import Progress
    from forensics.verdict.sources import Judgeable

MIN_PHOTOS = 3
_MAX_CONSENT = 1 << 20


@dataclass(frozen=True)
class Enrolled:
    """What an enrolment did.

    Attributes:
        identity: what was stored; place: where.
        used: photos that the centre rests on; skipped: those that could not be used, of all sorts.
        notes: what the user should know, in words.
    """

    identity: Identity
    place: Path
    used: tuple[str, ...]
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = field(default=())


def enrol(
    name: str,
    images: Judgeable | Iterable[Judgeable],
    *,
    consent: ConsentRecord | str | os.PathLike[str] | None = None,
    licence: str = "",
    others: Judgeable | Iterable[Judgeable] | None = None,
    fakes: Judgeable | Iterable[Judgeable] | None = None,
    tokens: TokenPlan | None = None,
    words: str | os.PathLike[str] | None = None,
    pick: Pick = "only",
    faces: FaceConfig | None = None,
    store: IdentityStore | str | os.PathLike[str] | None = None,
    replace: bool = False,
    show_progress: bool = False,
) -> Enrolled:
    """Learn a person from real photos. No photo is kept, and nothing of the file names.

    Args:
        name: as people write it; shown in verdicts, never given to a model.
        images: at least three photos with one face each: a folder, files, or pixels.
        consent: the record, or a JSON file of it; None is noted in every verdict.
        licence: terms under which the photos were given.
        others: photos of other people, for the gate and as negatives of the tokens.
        fakes: known forgeries of the person, for the tokens.
        tokens: the vision-language model that learns the person; None leaves it at the gate.
        words: a CSV file of what photos show, as `forensics.identity.words.read_words` takes it:
            the model then learns reasons, and what the person typically looks like.
        pick: "only" skips photos of several faces; "largest" takes the largest face.
        faces: what finds and embeds faces.
        store: an `IdentityStore` or its folder; None takes the default.
        replace: whoever is enrolled under this name gives way.

    Raises:
        UsageError: a name that cannot be one or is taken, too few usable photos, photos of
            different people, a consent record of somebody else or no longer valid, words that are
            no table or of no photo.
        MissingRequirement: a model is not here.
        MachineError: the store cannot be written.
    """
    from forensics.faces.tools import open_faces

    name = checked_name(name)
    home = store if isinstance(store, IdentityStore) else IdentityStore(store)
    record = _consent(consent)
    if record is not None:
        record.check(name)
    if not replace:
        home.check_free(name)
    for given, what in ((fakes, "known fakes"), (words, "words")):
        if given is not None and tokens is None:
            raise UsageError(f"{what} teach tokens, and no model is named", "name one with --model")
    named = [listed(one) if one is not None else [] for one in (images, others, fakes)]
    told = None
    if words is not None:
        told = read_words(words, [source.name for sources in named for source in sources])
    tools = open_faces(faces)
    learner = None if tokens is None else tokens.open(tools)
    skipped: list[Skipped] = []
    with _progress(sum(map(len, named)), show_progress) as progress:
        reader = PhotoReader(
            tools,
            None if learner is None else learner.vlm.card,
            words=told,
            advance=progress.advance if progress else lambda: None,
        )
        people: list[list[Photo]] = []
        for sources, which in zip(named, (pick, "largest", "largest"), strict=True):
            usable, left = reader.read(sources, which)
            people.append(usable)
            skipped += left
    own, other, fake = people
    _check_enough(own, skipped, len(named[0]))
    gate = _gate(own, other, tools.fingerprint())
    centre = centre_of(_stacked(own))
    learnt = None
    if learner is not None:
        learnt = learner.learn(slug_of(name), own, fake, other, show_progress)
    identity = _identity(
        name,
        centre,
        learnt,
        photos=len(own),
        consent=record,
        licence=licence,
        embedder=tools.fingerprint(),
        gate=gate,
    )
    notes = (*_alike(home, identity), *_remarks(identity))
    place = home.save(identity, replace)
    return Enrolled(identity, place, tuple(p.name for p in own), tuple(skipped), notes)


def _identity(name: str, centre: np.ndarray, learnt: Learnt | None, **known: object) -> Identity:
    rows = (None, None, None)
    if learnt is not None:
        rows = (learnt.input_rows, learnt.output_rows, learnt.model_folder)
    card = IdentityCard.model_validate(
        {
            "name": name,
            "slug": slug_of(name),
            "created": datetime.now(UTC).replace(microsecond=0),
            "tokens": None if learnt is None else learnt.card,
            "sha256": "0" * 64,
            **known,
        }
    )
    made = Identity(card, centre, *rows)
    pinned = card.model_copy(update={"sha256": digest(made.vectors())})
    return Identity(pinned, centre, *rows)


def _consent(named: ConsentRecord | str | os.PathLike[str] | None) -> ConsentRecord | None:
    if named is None or isinstance(named, ConsentRecord):
        return named
    with RawFile(named, _MAX_CONSENT) as raw:
        return parse_consent(raw.read_at(0, _MAX_CONSENT), os.fspath(named))


def _check_enough(own: Sequence[Photo], skipped: Sequence[Skipped], named: int) -> None:
    if len(own) >= MIN_PHOTOS:
        return
    why = "".join(f"\n  {one.name}: {one.reason}" for one in skipped[:20])
    raise UsageError(
        f"{len(own)} of {named} photos can be used, {MIN_PHOTOS} are needed{why}",
        "add photos with one clear face each",
    )


def _gate(own: Sequence[Photo], other: Sequence[Photo], embedder: str) -> Gate:
    """Fit the gate; photos of different people end here."""
    vectors = _stacked(own)
    similarities = left_out(vectors)
    against = np.array([float(p.embedding @ centre_of(vectors)) for p in other])
    general = general_of(embedder)
    typical = general
    if typical is None and len(against) >= MIN_OTHERS:
        typical = General(
            float(np.median(similarities)), float(against.mean()), float(against.std()), ""
        )
    if typical is not None and (wrong := strangers(vectors, typical)):
        files = "".join(f"\n  {own[i].name}" for i in wrong[:20])
        raise UsageError(
            f"{len(wrong)} of {len(own)} photos seem to show somebody else than the others:{files}",
            "enrol one person at a time: take these photos out, or use clearer ones",
        )
    return fit_gate(similarities, against, general)


def _alike(store: IdentityStore, identity: Identity) -> list[str]:
    """Enrolled people whom the gate would take for this one."""
    notes = []
    for slug in store.slugs():
        if slug == identity.card.slug:
            continue
        try:
            known = store.get(slug)
        except Exception as error:
            notes.append(f"{slug} could not be compared: {error}")
            continue
        if known.card.embedder != identity.card.embedder:
            continue
        if known.centre.shape != identity.centre.shape:
            notes.append(
                f"{slug} could not be compared: its face centre has {len(known.centre)} values, "
                f"these face tools give {len(identity.centre)}; enrol that person again"
            )
            continue
        similarity = float(known.centre @ identity.centre)
        if max(identity.card.gate.p_same(similarity), known.card.gate.p_same(similarity)) > 0.5:
            notes.append(
                f"{known.card.name} ({slug}) is alike (similarity {similarity:.2f}): the gate may "
                "take the one for the other; it asks about the likelier"
            )
    return notes


def _remarks(identity: Identity) -> list[str]:
    card = identity.card
    notes = []
    if card.consent is None:
        notes.append("no consent record is stored: verdicts say so (--consent record.json)")
    if card.gate.own_below:
        notes.append(
            f"{card.gate.own_below} of {card.gate.n_own} photos, left out in turn, do not pass the "
            "gate: as many genuine photos may be taken for somebody else's"
        )
    if card.tokens is None:
        notes.append(
            "the gate alone was learnt: whether a photo is manipulated is judged by a detector of "
            "faces or images in general (--model learns tokens of this person)"
        )
    elif card.tokens.trial is None:
        notes.append("too few photos to hold some out: the tokens were not measured")
    elif not card.tokens.trial.beats_similarity:
        notes.append("on the photos held out the tokens do not beat similarity alone for certain")
    return notes


def _stacked(photos: Sequence[Photo]) -> np.ndarray:
    return np.stack([photo.embedding for photo in photos])


def _progress(count: int, show: bool) -> AbstractContextManager[Progress | None]:
    if not show:
        return nullcontext()
    from forensics.progress import Progress

    return Progress(count, "looking at photos", "photos")
