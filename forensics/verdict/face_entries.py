"""What a verdict says of faces and of the people they were compared with."""

from __future__ import annotations

import math
from collections.abc import Sequence

from forensics.identity.tensors import Identity
from forensics.verdict.decision import p_manipulated
from forensics.verdict.face_panel import Look, Opinion, Panel
from forensics.verdict.image_entries import entries, shown_regions
from forensics.verdict.schema import DetectorEntry, FaceResult, IdentityMatch, Region

GATE = "face-similarity"
TOKENS = "identity-tokens"
_VERSION = "1"


def face_results(look: Look, people: Sequence[Identity]) -> tuple[FaceResult, ...]:
    """All faces of a look, in the order in which they were found."""
    found = []
    for number, seen in enumerate(look.faces):
        marks, opinion = seen.face.landmarks, look.opinions.get(number)
        found.append(
            FaceResult(
                box=seen.face.box,
                view=None if opinion is None else opinion.view,
                landmarks=None if marks is None else tuple((float(x), float(y)) for x, y in marks),
                confidence=seen.face.confidence,
                turned=seen.turned,
                identities=() if seen.embedding is None else _matches(look, number, people),
                not_applicable=seen.problem,
            )
        )
    return tuple(found)


def face_entries(
    panel: Panel, look: Look, person: int | None, face: int | None, label: str
) -> tuple[DetectorEntry, ...]:
    """Who decided, and beside it what similarity alone says.

    Of a picture of nobody without an alarm the detector's score stays, its marks do not.
    """
    opinion = look.opinion(face)
    own: tuple[DetectorEntry, ...] = ()
    if opinion is not None and opinion.finding is not None:
        own = entries(panel.detector(), opinion.finding, look.picture)
        if label == "not_applicable":
            own = tuple(_unmarked(entry) for entry in own)
    elif opinion is not None and person is not None:
        own = (_tokens_entry(panel, panel.people[person], opinion),)
        if opinion.real is not None:
            own += (_real_entry(panel, opinion.real),)
    shown = range(len(panel.people)) if person is None else (person,)
    return (*own, *(_gate_entry(panel, look, one, face) for one in shown))


def face_regions(look: Look, face: int | None, label: str) -> tuple[Region, ...]:
    """What is marked: by a detector that draws maps, else the face, where it is an alarm.

    Nothing where nothing is said of whether the picture is genuine.
    """
    if label == "not_applicable":
        return ()
    opinion = look.opinion(face)
    if opinion is not None and opinion.finding is not None and opinion.finding.mask is not None:
        return shown_regions(opinion.finding, look.picture)
    if label != "manipulated" or face is None:
        return ()
    left, top, right, bottom = look.faces[face].face.box
    area = (right - left) * (bottom - top) / (look.pixels.shape[0] * look.pixels.shape[1])
    return (Region(box=(left, top, right, bottom), area=min(area, 1.0)),)


def limits_of(panel: Panel, people: Sequence[Identity]) -> tuple[str, ...]:
    """What a reader must know of those who were asked for."""
    found = []
    for person in people:
        card = person.card
        if card.consent is None:
            found.append(f"consent: no record is stored for {card.name}")
        if card.gate.own_below:
            found.append(
                f"gate: {card.gate.own_below} of {card.gate.n_own} of {card.name}'s own photos, "
                "left out in turn, lie below it"
            )
        if card.tokens is None:
            found.append(f"identity tokens: {card.name} was enrolled without a model")
            continue
        trial = card.tokens.trial
        if trial is None:
            found.append(
                f"identity tokens: those of {card.name} were never measured beside similarity"
            )
            continue
        figures = (
            f"AUC {trial.tokens_auc:.2f}, similarity alone {trial.similarity_auc:.2f}, on "
            f"{trial.n_real} photos held out and {trial.n_fake + trial.n_other} others"
        )
        how = "beat similarity alone"
        if not trial.beats_similarity:
            how = "do NOT beat similarity alone for certain"
        found.append(f"identity tokens: those of {card.name} {how} ({figures})")
    return tuple(found)


def _unmarked(entry: DetectorEntry) -> DetectorEntry:
    if entry.not_applicable is not None:
        return entry
    said = "no alarm; what it marks is left out: it was not asked about anybody who is shown"
    return entry.model_copy(update={"regions": (), "says": said})


def _matches(look: Look, face: int, people: Sequence[Identity]) -> tuple[IdentityMatch, ...]:
    found = []
    for number, person in enumerate(people):
        similarity, gate = float(look.similarities[face, number]), person.card.gate
        judged = look.chosen.get(face) == number
        opinion = look.opinions.get(face) if judged else None
        answers = (opinion.answers or {}) if opinion else {}
        llr = opinion.llr if opinion else None
        found.append(
            IdentityMatch(
                name=person.card.name,
                slug=person.card.slug,
                similarity=similarity,
                threshold=gate.threshold,
                p_same=gate.p_same(similarity),
                matched=gate.passes(similarity),
                judged=judged,
                raw=opinion.raw if opinion else None,
                llr=llr,
                p_manipulated=None if llr is None else p_manipulated(llr),
                appearance=answers.get("appearance"),
                behaviour=answers.get("behaviour"),
                real=None if opinion is None or opinion.real is None else opinion.real.raw,
            )
        )
    return tuple(sorted(found, key=lambda match: -match.p_same))


def _tokens_entry(panel: Panel, person: Identity, opinion: Opinion) -> DetectorEntry:
    tokens = person.card.tokens
    assert tokens is not None
    answers = opinion.answers or {}  # none that is a yes or a no
    said = {"appearance": "looks", "behaviour": "scene"}
    words = [
        f"the {said[kind]} {'fit' if kind == 'appearance' else 'fits'}"
        if answer > 0
        else f"the {said[kind]} {'do' if kind == 'appearance' else 'does'} not fit"
        for kind, answer in answers.items()
    ]
    return DetectorEntry(
        name=TOKENS,
        version=_VERSION,
        weights_sha256=person.card.sha256,
        runtime=f"{tokens.model}, {panel.model().vlm.device}",
        raw=opinion.raw,
        llr=opinion.llr,
        calibration=str(tokens.calibration) if tokens.calibration else "none",
        not_applicable=opinion.problem,
        details={
            "person": person.card.name,
            "answers": answers,
            "trained_on": tokens.trained_on,
        },
        says=f"{person.card.name}: {', '.join(words)}" if words else None,
    )


def _real_entry(panel: Panel, real: Opinion) -> DetectorEntry:
    """The detection adapter of the model that the tokens are of."""
    from forensics.detectors.face.vlm import FaceVlmDetector

    vlm = panel.model().vlm
    return DetectorEntry(
        name=FaceVlmDetector.name,
        version=FaceVlmDetector.version,
        weights_sha256=vlm.card.tensors_sha256,
        runtime=f"{vlm.card.base}, {vlm.device}",
        raw=real.raw,
        llr=real.llr,
        calibration=str(real.calibration) if real.calibration else "none",
        says="asked whether this is a real photo: " + ("an alarm" if real.alarms else "no alarm"),
    )


def _gate_entry(panel: Panel, look: Look, person: int, face: int | None) -> DetectorEntry:
    """Similarity alone: the baseline that everything else must beat."""
    card, values = panel.people[person].card, look.similarities[:, person]
    known = [float(value) for value in values if not math.isnan(value)]
    if face is not None and not math.isnan(values[face]):
        known = [float(values[face])]
    entry = DetectorEntry(
        name=GATE,
        version=_VERSION,
        runtime=card.embedder,
        calibration=f"threshold {card.gate.threshold:.3f} on: {card.gate.origin}",
    )
    if not known:
        return entry.model_copy(update={"not_applicable": "no face can be compared"})
    similarity = max(known)
    p_same = card.gate.p_same(similarity)
    passed = "passes" if card.gate.passes(similarity) else "does not pass"
    figures = ("threshold", "own_mean", "other_mean", "n_own", "n_other")
    details = {
        "person": card.name,
        "similarity": similarity,
        "p_same": p_same,
        **{name: getattr(card.gate, name) for name in figures},
    }
    says = (
        f"similarity {similarity:.2f} to {card.name} {passed} the gate at "
        f"{card.gate.threshold:.2f}; p same person {p_same:.2f}"
    )
    raw = similarity - card.gate.threshold
    return entry.model_copy(update={"raw": raw, "details": details, "says": says})
