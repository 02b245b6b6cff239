"""What the looks at one input come to: per person first, then the label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from forensics.detectors.calibration import Calibration, Threshold
from forensics.identity.tensors import Identity
from forensics.verdict.decision import Decision, calibrated, decide, p_manipulated
from forensics.verdict.face_panel import Look, Opinion
from forensics.verdict.image_judge import middle
from forensics.verdict.schema import FrameResult

_SEVERITY = {"not_applicable": 0, "bonafide": 1, "uncertain": 2, "manipulated": 3}


@dataclass
class Votes:
    """What was found of one person's face over the looks at an input.

    Attributes:
        suspect: the look and face that speak most for manipulation.
    """

    raws: list[float] = field(default_factory=list)
    by_look: dict[int, float] = field(default_factory=dict)
    suspect: tuple[Look, int] | None = None
    least: float = float("inf")
    calibration: Calibration | None = None
    threshold: Threshold | None = None

    def add(self, number: int, look: Look, face: int, opinion: Opinion) -> None:
        if opinion.raw is None:
            return
        self.calibration, self.threshold = opinion.calibration, opinion.threshold
        self.raws.append(opinion.raw)
        self.by_look[number] = opinion.raw
        if opinion.raw < self.least:
            self.least, self.suspect = opinion.raw, (look, face)

    def raw(self) -> float:
        return middle(self.raws)

    def llr(self, raw: float) -> float | None:
        return calibrated(raw, self.calibration)

    def decision(self, modality: str) -> Decision:
        """The label of the median look; nothing is vouched for while one of several alarms."""
        made = decide(self.llr(self.raw()), self.threshold, modality)
        return self._disagreeing(made) if made.label == "bonafide" and self.alarms() else made

    def objection(self, modality: str) -> Decision | None:
        """Of a judge that may object and not vouch: an alarm, or that some looks are alarms."""
        made = decide(self.llr(self.raw()), self.threshold, modality)
        if made.label == "manipulated":
            return made
        return self._disagreeing(made) if self.alarms() else None

    def alarms(self) -> int:
        """How many looks are an alarm."""
        made = (decide(self.llr(raw), self.threshold) for raw in self.raws)
        return sum(one.label == "manipulated" for one in made)

    def _disagreeing(self, made: Decision) -> Decision:
        message = (
            f"the median frame is below the threshold, but {self.alarms()} of {len(self.raws)} are "
            "alarms"
        )
        return Decision("uncertain", made.p_manipulated, "frames_disagree", message)


@dataclass(frozen=True)
class Ruling:
    """A label, and what it rests on.

    Attributes:
        person: who decided it; None where nobody was claimed.
        votes: of that person, or of the pictures of nobody.
        shown: the look that is shown for it; face: the face that decided.
    """

    decision: Decision
    person: int | None
    votes: Votes | None
    shown: Look | None
    face: int | None


class Tally:
    """Collects looks; of those that are not shown only figures stay.

    Args:
        people: who was asked for.
    """

    def __init__(self, people: Sequence[Identity]):
        self.people = people
        self._votes = {person: Votes() for person in range(len(people))}
        self._real = {person: Votes() for person in range(len(people))}
        self._unclaimed = Votes()
        self._problems: dict[int, str] = {}  # of each person the first
        self._frames: list[tuple[str | None, float | None, str | None]] = []
        self._shown: Look | None = None
        self._rank = -1

    def unreadable(self, name: str | None, time_s: float | None, why: str) -> None:
        """A frame that could not be opened."""
        self._frames.append((name, time_s, why))

    def add(self, look: Look) -> None:
        number = len(self._frames)
        self._frames.append((look.name, look.time_s, self._why_not(look)))
        for face, opinion in look.opinions.items():
            person = look.chosen[face]
            self._votes[person].add(number, look, face, opinion)
            if opinion.real is not None:
                self._real[person].add(number, look, face, opinion.real)
            if opinion.problem is not None:
                self._problems.setdefault(person, opinion.problem)
        if look.unclaimed is not None:
            self._unclaimed.add(number, look, 0, look.unclaimed)
        rank = 2 if look.comparable else bool(look.faces)
        if rank > self._rank:
            self._shown, self._rank = look, rank

    def rule(self, modality: Literal["image", "video"]) -> Ruling:
        """The label: of several people the one that fares worst decides.

        Nothing is vouched for while somebody who is claimed could not be judged at all. The
        detection adapter may object to a person's face, and never vouches for one.
        """
        ranked = []
        for person, votes in (*self._votes.items(), *self._real.items()):
            if votes.suspect is None:
                continue
            objects = votes is self._real[person]
            made = votes.objection(modality) if objects else votes.decision(modality)
            if made is None:
                continue
            llr = votes.llr(votes.raw())
            order = -_SEVERITY[made.label], votes.raw() if llr is None else llr, person
            ranked.append((order, person, votes, made))
        if ranked:
            _, person, votes, made = min(ranked, key=lambda one: one[0])
            assert votes.suspect is not None
            return Ruling(self._of(person, votes, made), person, votes, *votes.suspect)
        return self._of_nobody(modality)

    def frames(self, votes: Votes | None) -> tuple[FrameResult, ...]:
        """Each frame, as far as it tells of whom the label is about."""
        found = []
        for number, (name, time_s, why) in enumerate(self._frames):
            raw = votes.by_look.get(number) if votes is not None else None
            llr = None if votes is None or raw is None else votes.llr(raw)
            found.append(
                FrameResult(
                    name=name,
                    time_s=time_s,
                    raw=raw,
                    llr=llr,
                    p_manipulated=None if llr is None else p_manipulated(llr),
                    not_applicable=(why or "shows somebody else") if raw is None else None,
                )
            )
        return tuple(found)

    def _of(self, person: int, votes: Votes, made: Decision) -> Decision:
        assert votes.suspect is not None
        look, face = votes.suspect
        card = self.people[person].card
        similarity = look.similarities[face, person]
        who = f"shows {card.name} by similarity ({similarity:.2f}, gate {card.gate.threshold:.2f})"
        if votes is self._real[person]:
            who += "; the model on whether it is a real photo:"
        else:
            who += ";"
        told = Decision(made.label, made.p_manipulated, made.reason, f"{who} {made.message}")
        return self._beside_unjudged(told)

    def _beside_unjudged(self, made: Decision) -> Decision:
        """What is left of a label when others who are shown could not be judged in any look."""
        unjudged = self._unjudged()
        if not unjudged:
            return made
        message = f"{made.message}; also {unjudged}"
        if made.label != "bonafide":
            return Decision(made.label, made.p_manipulated, made.reason, message)
        return Decision("uncertain", made.p_manipulated, "unsuitable", message)

    def _unjudged(self) -> str:
        """Who is shown and could not be judged in any look, with the first reason."""
        return "; ".join(
            f"shows {self.people[person].card.name} by similarity, but cannot be judged: {problem}"
            for person, problem in sorted(self._problems.items())
            if self._votes[person].suspect is None
        )

    def _of_nobody(self, modality: Literal["image", "video"]) -> Ruling:
        names = " or ".join(person.card.name for person in self.people)
        if unjudged := self._unjudged():
            return self._not_applicable("unsuitable", unjudged)
        if self._rank < 0:
            why = next((why for *_, why in self._frames if why), "there are no frames")
            return self._not_applicable("unsuitable", f"no frame can be judged: {why}")
        if self._rank == 0:
            return self._not_applicable("no_face", "no face was found")
        shown = self._shown
        if self._rank == 1:
            problem = next((f.problem for f in shown.faces if f.problem), "") if shown else ""
            return self._not_applicable("face_too_small", f"no face can be compared: {problem}")
        votes = self._unclaimed
        if votes.suspect is not None:
            made = votes.decision(modality)
            if made.label == "manipulated":  # a poor forgery of somebody resembles nobody
                message = f"no face is like {names}; {made.message}"
                alarm = Decision(made.label, made.p_manipulated, made.reason, message)
                return Ruling(alarm, None, votes, *votes.suspect)
        message = (
            f"no face is like {names}: {_nearest(shown, self.people)}; "
            "that says nothing about whether the picture is genuine"
        )
        return self._not_applicable("other_person", message)

    def _not_applicable(self, reason: str, message: str) -> Ruling:
        made = Decision("not_applicable", None, reason, message)
        return Ruling(made, None, None, self._shown, None)

    def _why_not(self, look: Look) -> str | None:
        if look.opinions:
            return next((o.problem for o in look.opinions.values() if o.problem), None)
        if not look.faces:
            return "no face was found"
        if not look.comparable:
            return next((face.problem for face in look.faces if face.problem), None)
        return "shows somebody else"


def _nearest(shown: Look | None, people: Sequence[Identity]) -> str:
    if shown is None:
        return "nobody"
    found = []
    for person, identity in enumerate(people):
        values = [s for s in shown.similarities[:, person] if s == s]
        if values:
            found.append(
                f"{identity.card.name} {max(values):.2f}, gate {identity.card.gate.threshold:.2f}"
            )
    return "similarity " + ", ".join(found)
