"""The page on what the proof measured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from forensics.demo.identity.figures import Decided, table
from forensics.demo.identity.people import SORTS
from forensics.demo.identity.proof import BASELINE, METHOD, UNTRAINED, Proved, Row, Size

GOAL = 0.9

_PAGE = """\
# Identity tokens at small scale

A LLaVA of {weights} weights (CLIP tower, projector, LLaMA, tokenizer of words; the classes
that the real ones have) is taught on drawn portraits and then frozen. Then people whom it does not
know are enrolled, each from {photos} photos, {fakes} forgeries and {others} photos of others: ten
rows of embedding and LM head are trained, by the code that trains them for real models.

**What this shows and what it does not.** It shows that the mechanism works: frozen weights, a new
person in ten rows. It says nothing on how well real photos of real people are told from real
forgeries. The tiny model is taught in advance what a real one brings along: to see what somebody
looks like and where they are, in the terms of its own words; to tell a sharp photo from a soft and
a grainy one in its first layer; and to compare a description with a picture. Those lessons use the
questions of `prompts.yaml` with ordinary words where soft tokens will stand; no identity token is
in them. The note `touched` or `clean` before some questions teaches what an answer on editing is;
no lesson shows a picture with an edited patch. After the lessons the tower names {seen:.1f} % of
what new pictures show.

**Easier than life**, so read the figures as an upper bound. Pictures of an enrolment come with true
words of what they show, and with whether looks and place are the person's: reasons and attribute
questions are made of these. `forensics identity enrol` has words only from a table (`--words`);
without one, the row "without reasoning" is nearest to it. Settings differ from the defaults: a rate
of {rate}, batches of {batch}, words that weigh {words_weight}, {positives} of the questions on real
photos, and rows that begin in {tries} places, of which the best goes on (`tries`); "one try" does
without. Almost every
look was in the lessons, where it had no name. The pictures asked about are drawn anew, but show
little that is new: the places where a person never is are three, and the forgeries of the enrolment
showed them all; most look-alikes had one among the photos of others.

Measured by `make identity-proof` ({command}): {minutes:.0f} minutes of CPU time, one thread a seed
({machine}); {seeds} seeds, {people} people enrolled in each variant. Lessons, edits and settings
were chosen on other seeds, so on other weights and other people.

## Goals

{goals}

Identity accuracy is of the two questions on the person, with the adapter in place: the mean of the
share of real photos that pass and the share of other people, look-alikes, swaps and implausible
scenes that do not; 0.5 is chance. ± is the standard deviation over people, of the lead
1.96 standard errors. That others lose nothing holds by construction: rows belong to one person.
Similarity is the cosine to the mean of the photos in the vision tower's own embedding, which sees
the scene too, cut where it is best on the pictures of the enrolment; it is not a face embedder's.

## Enrolment, and what each part is worth

{table}

In per cent; the positive class is forged, or not the person. Half of the pictures are real photos
of the person, the other half the five other sorts in equal parts. Pooled first, then the mean over
people, of which F1 is not the harmonic mean of P and R. With the adapter a picture passes when all
of its questions are answered yes: real, appearance, behaviour; without it the last two. The first
is cut at logit 0 here, as the paper's yes and no are: {false_alarms:.0f} % of real photos are then
called forged. `forensics detect --identity` calibrates it and lets it object above its own
threshold.

{sorts}

Share of each sort that is decided rightly by the two questions on the person. Edits are not their
matter: an edited photo of the person should pass them, and counts as wrong here.

## Detection of edited patches

{detection}

New photos of anybody, and the same with a seam, noise or blur in a patch. The base alone answers
without ever having seen an edited picture, so it can only be at chance. The adapter
listens to the first layer, which the lessons taught sharpness and grain of whole photos.

## Words

What the model says after its verdicts on the first person's pictures:

{words}
"""


def page(results: Sequence[Proved], size: Size, machine: str, seconds: float) -> str:
    """Markdown."""
    seeds = len(results)
    command = f"`--seeds {seeds} --people {size.people}`"
    return _PAGE.format(
        weights=f"{results[0].weights:,}",
        seen=100 * float(np.mean([one.seen for one in results])),
        photos=size.photos,
        fakes=size.fakes,
        others=size.others,
        rate=size.enrol.learning_rate,
        batch=size.enrol.batch,
        words_weight=size.enrol.text_weight,
        positives=f"{100 * size.enrol.positives:.0f} %",
        tries=size.enrol.tries,
        command=command,
        minutes=seconds / 60,
        machine=machine,
        seeds=seeds,
        people=sum(len(one.rows[0].decided) for one in results),
        goals=_goals(results),
        table=table([(name, _decided(results, name)) for name in _names(results)]),
        sorts=_sorts(results),
        detection=_detection(results),
        false_alarms=100 * _false_alarms(results),
        words="\n".join(f"- {about}: “{text}”" for about, text in results[0].words),
    )


def _goals(results: Sequence[Proved]) -> str:
    begun, ended, alone = (_accuracies(results, name) for name in (UNTRAINED, METHOD, BASELINE))
    kept = [one for result in results for one in result.kept]
    before, after = (float(np.mean([getattr(o, x) for o in kept])) for x in ("before", "after"))
    moved = max(one.moved for one in kept)
    same = "bit-identical" if all(one.unchanged for one in results) else "changed"
    without, shallow = (np.mean([one.detection[i].right for one in results]) for i in (0, 1))
    reached = float(np.mean(ended))
    met = "met" if reached >= GOAL else f"missed by {GOAL - reached:.3f}"
    lead = np.subtract(ended, alone)
    margin = 1.96 * np.std(lead, ddof=1) / np.sqrt(len(lead)) if len(lead) > 1 else np.inf
    better = "beats it" if lead.mean() > margin else "does **not** beat it for certain"
    rows = [
        (
            f"identity accuracy, new pictures of a new person; goal {GOAL}",
            _spread(begun),
            _spread(ended),
            met,
        ),
        (
            "the same of each person alone, and with all others loaded",
            f"{before:.3f}",
            f"{after:.3f}",
            f"lost {before - after:.3f}; largest change of a score {moved:.0e}",
        ),
        ("weights of the base", "", same, ""),
        (
            "edited patches on new photos: right",
            f"{without:.3f}",
            f"{shallow:.3f}",
            "without and with the adapter",
        ),
        (
            "identity accuracy of similarity alone",
            "",
            _spread(alone),
            f"the VLM {better}: {lead.mean():+.3f} ± {margin:.3f}, ahead on {(lead > 0).sum()} of "
            f"{len(lead)} people",
        ),
    ]
    lines = ["| | before | after | |", "| --- | --- | --- | --- |"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _detection(results: Sequence[Proved]) -> str:
    edits = list(results[0].detection[0].auc)
    lines = ["| | right at logit 0 | " + " | ".join(f"AUC, {edit}" for edit in edits) + " |"]
    lines.append("|" + " --- |" * (len(edits) + 2))
    for i, one in enumerate(results[0].detection):
        right = np.mean([result.detection[i].right for result in results])
        areas = [np.mean([result.detection[i].auc[edit] for result in results]) for edit in edits]
        cells = " | ".join(f"{area:.3f}" for area in (right, *areas))
        lines.append(f"| {one.name} | {cells} |")
    return "\n".join(lines)


def _false_alarms(results: Sequence[Proved]) -> float:
    """Of the method with all three questions."""
    said = np.concatenate([one.positive[~one.truth] for one in _decided(results, METHOD)])
    return float(said.mean())


def _sorts(results: Sequence[Proved]) -> str:
    lines = ["| | " + " | ".join(SORTS) + " |", "|" + " --- |" * (len(SORTS) + 1)]
    for name in _names(results):
        rows = _rows(results, name)
        shares = [np.mean([row.right[sort] for row in rows]) for sort in SORTS]
        lines.append(f"| {name} | " + " | ".join(f"{share:.2f}" for share in shares) + " |")
    return "\n".join(lines)


def _names(results: Sequence[Proved]) -> list[str]:
    return [row.name for row in results[0].rows]


def _rows(results: Sequence[Proved], name: str) -> list[Row]:
    return [row for one in results for row in one.rows if row.name == name]


def _decided(results: Sequence[Proved], name: str) -> list[Decided]:
    return [one for row in _rows(results, name) for one in row.decided]


def _accuracies(results: Sequence[Proved], name: str) -> list[float]:
    return [one for row in _rows(results, name) for one in row.accuracy]


def _spread(values: Sequence[float]) -> str:
    return f"{np.mean(values):.3f} ± {np.std(values):.3f}"
