"""Identity tokens and a detection adapter, proved on drawn people with a tiny LLaVA.

What is trained and how is the code that real models are trained with; only the model and the
pictures are small.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from forensics.demo.identity.detecting import Detection, detection, trained_adapter
from forensics.demo.identity.figures import Decided
from forensics.demo.identity.people import SORTS, Enrolment, Sort, cast, enrolment, probes
from forensics.demo.identity.portraits import Person
from forensics.demo.identity.school import School
from forensics.demo.identity.seeing import learn_to_see
from forensics.demo.identity.talking import learn_to_talk
from forensics.demo.identity.tiny_llava import build
from forensics.networks.vlm import FaceVlm, IdentityRows, Question, open_vlm
from forensics.networks.vlm.adapter import DetectionAdapter
from forensics.progress import Progress
from forensics.training.vlm.enrol import enrol_tokens
from forensics.training.vlm.enrol_settings import EnrolSettings
from forensics.training.vlm.examples import Forms

ENROL = EnrolSettings(
    tries=3,
    steps=500,
    batch=32,
    learning_rate=0.015,
    positives=0.3,
    fakes=0.6,
    hard_negatives=100,
    text_weight=1.0,
    attribute_questions=0.2,
)
METHOD, UNTRAINED = "10 tokens", "10 tokens that were not trained"
BASELINE = "similarity to the photos alone"
_DIRECT = Forms(direct=1, explained=0, reasoned=0)


@dataclass(frozen=True)
class Size:
    """How large the proof is."""

    school: School = field(default_factory=School)
    adapter_steps: int = 1000
    people: int = 4
    photos: int = 16
    fakes: int = 48
    others: int = 200
    each: int = 16
    enrol: EnrolSettings = ENROL


@dataclass(frozen=True)
class Variant:
    """One way to enrol and to ask.

    Attributes:
        trained: false leaves the tokens as they begin.
        retrieval: whether the negatives are those most like the person, or any.
    """

    name: str
    settings: EnrolSettings
    adapter: bool = True
    trained: bool = True
    retrieval: bool = True


def variants(enrol: EnrolSettings) -> list[Variant]:
    """The method, and with one thing changed at a time."""
    no_words = enrol.model_copy(update={"forms": _DIRECT, "attribute_questions": 0.0})

    def but(**changes: object) -> EnrolSettings:
        return enrol.model_copy(update=changes)

    return [
        Variant(UNTRAINED, enrol, trained=False),
        Variant(METHOD, enrol),
        Variant("4 tokens", but(soft=1)),
        Variant("16 tokens", but(soft=7)),
        Variant("one try", but(tries=1)),
        Variant("without adapter", enrol, adapter=False),
        Variant("without hard negatives", enrol, retrieval=False),
        Variant("without reasoning", no_words),
    ]


@dataclass
class Bench:
    """A tiny model that was taught and frozen, people it does not know, and what they look like."""

    vlm: FaceVlm
    size: Size
    seed: int
    seen: float
    people: dict[str, Person] = field(default_factory=dict)
    enrolments: dict[str, Enrolment] = field(default_factory=dict)
    probes: dict[str, dict[Sort, list[np.ndarray]]] = field(default_factory=dict)
    adapter: DetectionAdapter | None = None

    def use(self, adapter: bool) -> None:
        self.vlm.adapter = self.adapter if adapter else None


def bench(folder: Path, size: Size, seed: int) -> Bench:
    """Build the model in `folder`, teach it, freeze it, and draw people."""
    build(folder, seed)
    vlm = open_vlm(folder)
    vlm.batch_size = 64
    seen = learn_to_see(vlm, size.school, seed)
    learn_to_talk(vlm, size.school, seed)
    vlm.network.save_pretrained(folder)
    vlm = open_vlm(folder)  # as anybody would, with the hash of what was learned
    vlm.batch_size = 64
    made = Bench(vlm, size, seed, seen)
    rng = np.random.default_rng([seed, 3])
    for number, who in enumerate(cast(size.people, rng)):
        name = f"person-{number}"
        made.people[name] = who
        made.enrolments[name] = enrolment(who, rng, size.photos, size.fakes, size.others)
        made.probes[name] = probes(who, rng, size.each)
    made.adapter = trained_adapter(vlm, size.adapter_steps, seed)
    made.use(True)
    return made


def enrolled(made: Bench, variant: Variant, name: str) -> IdentityRows:
    made.use(variant.adapter)
    given = made.enrolments[name]
    if not variant.trained:
        settings = variant.settings
        return made.vlm.identities.initial(name, settings.tokens, made.seed)
    settings, others = variant.settings, given.others
    if not variant.retrieval:
        others = others[: settings.hard_negatives]
        settings = settings.model_copy(update={"hard_negatives": 0})
    settings = settings.model_copy(update={"seed": made.seed})
    return enrol_tokens(made.vlm, name, given.photos, given.fakes, others, settings)


Scores = dict[Sort, np.ndarray]


@dataclass(frozen=True)
class Answers:
    """Of each sort of probes, the least score of the answers.

    Attributes:
        about: to the two questions on the person, as `forensics detect --identity` asks them.
        whole: with an adapter, to these and to whether the photo is real.
    """

    about: Scores
    whole: Scores


def answers_of(made: Bench, variant: Variant, name: str) -> Answers:
    """What is loaded is asked about."""
    made.use(variant.adapter)
    about, whole = {}, {}
    for sort, pictures in made.probes[name].items():

        def least(*asks: Question, shown: list[np.ndarray] = pictures) -> np.ndarray:
            return np.min([made.vlm.score(shown, [one] * len(shown)) for one in asks], axis=0)

        about[sort] = least(Question("appearance", name), Question("behaviour", name))
        real = least(Question("real")) if variant.adapter else about[sort]
        whole[sort] = np.minimum(about[sort], real)
    return Answers(about, whole)


def decided(scores: Scores, cut: float = 0.0) -> Decided:
    """Forged, or not the person, where the score is not above the cut."""
    positive = np.concatenate([scores[sort] <= cut for sort in SORTS])
    truth = np.concatenate([np.full(len(scores[sort]), sort != "real") for sort in SORTS])
    return Decided(positive, truth)


def right_of(scores: Scores, cut: float = 0.0) -> dict[Sort, float]:
    """Share of each sort that is decided rightly."""
    return {
        sort: float(np.mean((scores[sort] > cut) if sort == "real" else (scores[sort] <= cut)))
        for sort in SORTS
    }


def identity_accuracy(right: dict[Sort, float]) -> float:
    """Half real photos, half the four sorts that are about who and where; 0.5 is chance."""
    others = [right[sort] for sort in SORTS if sort not in ("real", "edited")]
    return (right["real"] + float(np.mean(others))) / 2


def baseline(made: Bench, name: str) -> tuple[Answers, float]:
    """Similarity to the mean of the photos alone, and the cut that is best on what was enrolled:
    each photo against the mean of the others, against all forgeries and other people."""
    given = made.enrolments[name]
    own, wrong = (
        made.vlm.embed([one.pixels for one in ones])
        for ones in (given.photos, [*given.fakes, *given.others])
    )
    centre = own.mean(axis=0)
    rest = (own.sum(axis=0) - own) / (len(own) - 1)
    real, fake = _cosines(own, rest), _cosines(wrong, centre)
    cuts = np.sort(np.concatenate([real, fake]))
    balanced = [np.mean(real > cut) + np.mean(fake <= cut) for cut in cuts]
    found: Scores = {
        sort: _cosines(made.vlm.embed(pictures), centre)
        for sort, pictures in made.probes[name].items()
    }
    return Answers(found, found), float(cuts[int(np.argmax(balanced))])


def _cosines(vectors: np.ndarray, to: np.ndarray) -> np.ndarray:
    return (vectors * to).sum(axis=-1) / np.linalg.norm(to, axis=-1)


@dataclass(frozen=True)
class Kept:
    """What enrolling one person did to the answers about another who was enrolled before.

    Attributes:
        before, after: identity accuracy.
        moved: largest change of a score.
    """

    before: float
    after: float
    moved: float


def kept(made: Bench, rows: Sequence[IdentityRows], variant: Variant) -> list[Kept]:
    """Each person alone, then all loaded together."""
    found = []
    for one in rows:
        made.vlm.add_identities([one])
        alone = answers_of(made, variant, one.name).about
        made.vlm.add_identities(rows)
        together = answers_of(made, variant, one.name).about
        moved = max(float(np.abs(alone[sort] - together[sort]).max()) for sort in SORTS)
        before, after = (identity_accuracy(right_of(x)) for x in (alone, together))
        found.append(Kept(before, after, moved))
    return found


@dataclass(frozen=True)
class Row:
    """One way to decide, on all people of a seed.

    Attributes:
        accuracy: `identity_accuracy` of each person.
        right: mean over people, of each sort.
    """

    name: str
    decided: list[Decided]
    accuracy: list[float]
    right: dict[Sort, float]


@dataclass(frozen=True)
class Proved:
    """What one seed gave.

    Attributes:
        weights: how many the model has.
        seen: share of things in new pictures that the vision tower names rightly.
        unchanged: whether every weight of the base was bit-identical after all enrolments.
        words: of some explanations, (question's truth, text).
    """

    seed: int
    weights: int
    seen: float
    detection: list[Detection]
    rows: list[Row]
    kept: list[Kept]
    unchanged: bool
    words: list[tuple[str, str]]


def proved(folder: Path, size: Size, seed: int) -> Proved:
    """Teach a model in `folder`, enrol people in every variant, and measure."""
    made = bench(folder, size, seed)
    before = _digest(made.vlm)
    rows, method = [], []
    ways = variants(size.enrol)
    with Progress(len(ways) * size.people, f"enrolling, seed {seed}", "people") as progress:
        for variant in ways:
            found = []
            for name in made.people:
                learned = enrolled(made, variant, name)
                made.vlm.add_identities([learned])
                found.append(answers_of(made, variant, name))
                progress.advance()
                if variant.name == METHOD:
                    method.append(learned)
            rows.append(_row(variant.name, found, [0.0] * len(found)))
    alike = [baseline(made, name) for name in made.people]
    rows.append(_row(BASELINE, [one for one, _ in alike], [cut for _, cut in alike]))
    whole = next(one for one in ways if one.name == METHOD)
    return Proved(
        seed,
        made.vlm.network.num_parameters(),
        made.seen,
        detection(made.vlm, made.adapter, seed),
        rows,
        kept(made, method, whole),
        _digest(made.vlm) == before,
        _words(made, method[0]),
    )


def _row(name: str, answers: list[Answers], cuts: list[float]) -> Row:
    right = [right_of(one.about, cut) for one, cut in zip(answers, cuts, strict=True)]
    return Row(
        name,
        [decided(one.whole, cut) for one, cut in zip(answers, cuts, strict=True)],
        [identity_accuracy(one) for one in right],
        {sort: float(np.mean([one[sort] for one in right])) for sort in SORTS},
    )


def _words(made: Bench, rows: IdentityRows) -> list[tuple[str, str]]:
    made.vlm.add_identities([rows])
    asked_about: list[tuple[Sort, Question]] = [
        ("real", Question("appearance", rows.name)),
        ("lookalike", Question("appearance", rows.name)),
        ("swap", Question("appearance", rows.name)),
        ("context", Question("behaviour", rows.name)),
    ]
    told = []
    for sort, question in asked_about:
        picture = made.probes[rows.name][sort][0]
        is_yes = bool(made.vlm.score([picture], [question])[0] > 0)
        text = made.vlm.explain(picture, question, is_yes, 24)
        verdict = "yes" if is_yes else "no"
        told.append((f"{sort}, {question.kind}, said {verdict}", text))
    return told


def _digest(vlm: FaceVlm) -> str:
    total = hashlib.sha256()
    for name, value in sorted(vlm.network.state_dict().items()):
        total.update(name.encode() + value.numpy().tobytes())
    return total.hexdigest()
