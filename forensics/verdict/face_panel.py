"""Who is in a picture, and what is said of each of them: the gate first, then one judge a face."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from forensics.detectors.calibration import Calibration, Threshold
from forensics.detectors.image.base import Words
from forensics.identity.gate import assign
from forensics.identity.looking import Box, SeenFace, look
from forensics.identity.questions import questions_of
from forensics.identity.tensors import Identity
from forensics.identity.views import View, view_of
from forensics.media.image import Picture
from forensics.verdict.decision import calibrated, decide

if TYPE_CHECKING:
    from forensics.detectors.image.base import Finding, ImageDetector
    from forensics.faces.tools import FaceTools
    from forensics.identity.asking import AskedModel
    from forensics.networks.vlm.prompts import Question


@dataclass(frozen=True)
class Opinion:
    """What was found of one face.

    Attributes:
        raw: higher = bona fide; None when it could not be judged, and `problem` says why.
        finding: of an image detector; None where identity tokens were asked.
        answers: kind of question → logit of yes less logit of no, of identity tokens.
        real: of the same model's detection adapter, asked whether the face is a real photo.
        view: the part of the picture, as viewers show it, that was judged.
    """

    raw: float | None
    problem: str | None = None
    calibration: Calibration | None = None
    threshold: Threshold | None = None
    finding: Finding | None = None
    answers: dict[str, float] | None = None
    view: Box | None = None
    real: Opinion | None = None

    @property
    def llr(self) -> float | None:
        return None if self.raw is None else calibrated(self.raw, self.calibration)

    @property
    def alarms(self) -> bool:
        """Whether this alone is an alarm."""
        return self.raw is not None and decide(self.llr, self.threshold).label == "manipulated"


@dataclass(eq=False)
class Look:
    """One picture or frame, and what is known of its faces.

    Attributes:
        pixels: uint8 (H, W, 3) RGB as viewers show it.
        similarities: float (faces, people); NaN where a face cannot be compared.
        chosen: face → person it is judged as.
        opinions: by face; `unclaimed`: on a picture with faces of nobody asked for.
        failure: why judging failed, which is a bug of ours.
    """

    picture: Picture
    name: str | None
    time_s: float | None
    pixels: np.ndarray
    faces: list[SeenFace]
    similarities: np.ndarray
    chosen: dict[int, int]
    opinions: dict[int, Opinion]
    unclaimed: Opinion | None = None
    failure: Exception | None = None

    def opinion(self, face: int | None) -> Opinion | None:
        """What was found of a face; of a picture of nobody asked for, what was found of it."""
        return self.unclaimed if face is None else self.opinions.get(face, self.unclaimed)

    @property
    def comparable(self) -> bool:
        return any(face.embedding is not None for face in self.faces)


class Panel:
    """Compares faces with people, and has those judged who are claimed to be somebody.

    Args:
        people: who may be claimed, at least one.
        tools: find and embed faces; the same that enrolled the people.
        model: gives the model that the people's tokens belong to.
        detector: gives what judges people without tokens, and pictures of nobody among them.
    """

    def __init__(
        self,
        people: Sequence[Identity],
        tools: FaceTools,
        model: Callable[[], AskedModel],
        detector: Callable[[], ImageDetector],
    ):
        self.people, self.tools = tuple(people), tools
        self.model, self.detector = model, detector
        self._centres = np.stack([person.centre for person in people])
        self._gates = [person.card.gate for person in people]

    def look(self, picture: Picture, name: str | None = None, time_s: float | None = None) -> Look:
        """Find the faces and whom each may claim to be."""
        pixels = picture.upright(picture.pixels)
        faces = look(pixels, self.tools)
        similarities = np.full((len(faces), len(self.people)), np.nan)
        for i, face in enumerate(faces):
            if face.embedding is not None:
                similarities[i] = self._centres @ face.embedding
        chosen = assign(similarities, self._gates)
        return Look(picture, name, time_s, pixels, faces, similarities, chosen, {})

    def judge(self, looks: Sequence[Look]) -> None:
        """Fill in the opinions. What is found of a picture does not depend on the others."""
        self._ask_tokens(looks)
        for one in looks:
            by_detector = [f for f, p in one.chosen.items() if not self._has_tokens(p)]
            if not by_detector and (one.chosen or not one.comparable):
                continue
            detector = self.detector()  # its failure ends the whole run
            try:
                self._examine(one, by_detector, detector)
            except Exception as error:
                one.failure = error

    def explain(self, one: Look, face: int, genuine: bool) -> Words | None:
        """Words for a verdict on a face: of the model that judged it, if it was one."""
        opinion = one.opinion(face)
        if opinion is None:
            return None
        if opinion.finding is not None:
            return self.detector().explain(one.picture, opinion.finding, genuine)
        person = one.chosen[face]
        answers = opinion.answers or {}
        tokens = self.people[person].card.tokens
        assert tokens is not None  # somebody else would have been judged by the detector
        view = self._view(one, face)
        fits = all(answer > 0 for answer in answers.values())
        if fits and opinion.real is not None and opinion.real.alarms:
            question = _asks_real()
        else:
            questions = questions_of(self.people[person], float(one.similarities[face, person]))
            question = min(questions, key=lambda q: answers[q.kind])  # what speaks most against it
        text = self.model().vlm.explain(view.pixels, question, genuine)
        return Words(text, tokens.model, tokens.prompt_version)

    def _has_tokens(self, person: int) -> bool:
        return self.people[person].card.tokens is not None

    def _ask_tokens(self, looks: Sequence[Look]) -> None:
        asked = [
            (one, face, self.people[person], float(one.similarities[face, person]))
            for one in looks
            for face, person in one.chosen.items()
            if self._has_tokens(person)
        ]
        if not asked:
            return
        model = self.model()
        images, questions, views = [], [], []
        for one, face, person, similarity in asked:
            own = self._questions(person, similarity)
            views.append(self._view(one, face))
            images += [views[-1].pixels] * len(own)
            questions += own
        try:
            scores = iter(model.vlm.score(images, questions).tolist())
        except Exception as error:
            if len(looks) == 1:  # one bad picture fails alone
                looks[0].failure = error
                return
            for one in looks:
                self._ask_tokens([one])
            return
        for (one, face, person, similarity), view in zip(asked, views, strict=True):
            answers = {q.kind: next(scores) for q in self._questions(person, similarity)}
            real = _of_real(model, answers.pop("real", None), view.box)
            one.opinions[face] = _of_tokens(person, answers, view.box, real)

    def _questions(self, person: Identity, similarity: float) -> list[Question]:
        """On the person; and whether the face is a real photo, where the answer has a meaning."""
        own = questions_of(person, similarity)
        return own if self.model().real is None else [*own, _asks_real()]

    def _view(self, one: Look, face: int) -> View:
        return view_of(one.pixels, one.faces, face, self.model().vlm.card)

    def _examine(self, one: Look, faces: Sequence[int], detector: ImageDetector) -> None:
        from forensics.detectors.face.base import JudgesFaces

        if not isinstance(detector, JudgesFaces):
            whole = (0, 0, *one.pixels.shape[1::-1])
            opinion = _of_finding(detector, detector.examine(one.picture), whole)
            one.opinions.update(dict.fromkeys(faces, opinion))
            one.unclaimed = None if one.chosen else opinion
            return
        for face in faces:
            finding = detector.examine_faces(one.picture, [one.faces[face].face])
            one.opinions[face] = _of_finding(detector, finding, _judged(finding))
        if not one.chosen:
            seen = [face.face for face in one.faces if face.embedding is not None]
            finding = detector.examine_faces(one.picture, seen)
            one.unclaimed = _of_finding(detector, finding, _judged(finding))


def _asks_real() -> Question:
    from forensics.networks.vlm.prompts import Question

    return Question("real")


def _of_real(model: AskedModel, raw: float | None, view: Box) -> Opinion | None:
    if raw is None or not np.isfinite(raw) or model.real is None:
        return None
    return Opinion(raw, None, model.real.calibration, model.real.threshold, view=view)


def _of_tokens(
    person: Identity, answers: dict[str, float], view: Box, real: Opinion | None
) -> Opinion:
    """A genuine photo of somebody shows their looks in a scene that is plausible for them, so the
    worse answer counts."""
    raw = min(answers.values())
    if not np.isfinite(raw):
        return Opinion(None, "the model's answer has neither a yes nor a no", real=real)
    tokens = person.card.tokens
    assert tokens is not None  # they were asked
    return Opinion(raw, None, tokens.calibration, tokens.threshold, None, answers, view, real)


def _judged(finding: Finding) -> Box | None:
    """The window of a face detector."""
    box = finding.details.get("box")
    return None if box is None else (box[0], box[1], box[2], box[3])


def _of_finding(detector: ImageDetector, finding: Finding, view: Box | None) -> Opinion:
    known = detector.known
    return Opinion(
        finding.score,
        finding.not_applicable,
        known.calibration,
        known.threshold,
        finding,
        view=view,
    )
