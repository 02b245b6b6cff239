"""`forensics evaluate`: what is printed and written, and the exit codes."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import typer
from helpers import tiny_detector
from helpers.loudness_detector import Loudness, tone
from typer.testing import CliRunner

import forensics
from forensics.cli.evaluate import evaluate as command
from forensics.errors import UsageError
from forensics.evaluation.html import as_html
from forensics.evaluation.score_files import read_scores
from forensics.evaluation.text import as_text

app = typer.Typer()
app.command()(command)
ODD = "<script>alert(1)</script>"


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    import torch

    torch.set_num_threads(1)
    return tiny_detector.save(tmp_path_factory.mktemp("weights") / "tiny")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """24 clips: real ones loud, forged ones soft, on two pages; two that overlap."""
    root = tmp_path_factory.mktemp("clips")
    rows = ["path,label,system,kind,page,speaker"]
    for n in range(24):
        real = n % 2 == 0
        level = -26 + (3 if real else -3) + (n % 5) - 2 - (9 if n == 12 else 0)
        soundfile.write(root / f"{n}.wav", tone(level, 0.8, seed=n), 16_000, subtype="FLOAT")
        label, system = ("real", "") if real else ("fake", ODD if n % 3 else "world")
        rows.append(f"{n}.wav,{label},{system},vocoder,page-{n // 12},speaker-{n % 6}")
    (root / "list.csv").write_text("\n".join(rows) + "\n")
    return root


def test_a_table_for_people_and_json_for_scripts(folder, weights, tmp_path):
    options = ["--protocol", folder / "list.csv", "--source-column", "page", "--group-column"]
    options += ["speaker", "--detector", weights, "--out", tmp_path, "--replicates", 40]
    text = run(*options)
    assert text.exit_code == 0
    assert "24 of 24 clips judged (12 bonafide, 12 spoof), 6 groups, 2 sources" in text.output
    for name in ("minDCF", "actDCF", "Cllr", "AUC", "mean within sources", "uncertain", "world"):
        assert name in text.output
    report = json.loads(run(*options, "--json").stdout)
    (detector,) = report["detectors"]
    assert detector["weights_sha256"] and detector["threshold"]["manipulated_above"] == 0.6
    (clean,) = detector["conditions"]
    answers = clean["real_answers"]
    shares = [answers[name] for name in ("manipulated", "uncertain", "bonafide")]
    assert sum(shares) == pytest.approx(1)
    assert {part["name"] for part in detector["sources"]} == {"page-0", "page-1"}
    assert len((tmp_path / "scores.jsonl").read_text().splitlines()) == 24


def test_clips_that_were_not_judged_give_exit_code_3(folder, weights, tmp_path):
    text = (folder / "list.csv").read_text() + "gone.wav,fake,world,vocoder,page-1,speaker-1\n"
    listing = tmp_path / "list.csv"
    listing.write_text(text)
    options = ["--protocol", listing, "--audio", folder, "--detector", weights]
    found = run(*options, "--replicates", 20)
    assert found.exit_code == 3
    assert "1 clips were not judged" in found.output and "not_found" in found.output
    report = json.loads(run(*options, "--replicates", 20, "--json").stdout)
    assert (report["clips"], report["judged"]) == (25, 24)
    assert report["not_judged"][0]["key"] == "gone.wav"


def test_score_files_are_written_and_measured_again(folder, weights, tmp_path):
    scores = tmp_path / "scores.tsv"
    options = ["--protocol", folder / "list.csv", "--group-column", "speaker", "--json"]
    options += ["--replicates", 30]
    first = run(*options, "--detector", weights, "--scores", scores)
    assert len(read_scores(scores)) == 24
    again = run(*options, "--scores-from", scores, "--llr")
    conditions = [
        json.loads(result.stdout)["detectors"][0]["conditions"][0] for result in (first, again)
    ]
    for figure in ("eer", "min_dcf", "act_dcf", "cllr", "auc"):
        assert conditions[0][figure] == conditions[1][figure]
    raw = json.loads(run(*options, "--scores-from", scores).stdout)
    assert "uncalibrated" in raw["detectors"][0]["conditions"][0]["cllr"]["note"]
    scores.write_text("".join(scores.read_text().splitlines(keepends=True)[:-1]) + "x\t1\n")
    lacking = run(*options, "--scores-from", scores)
    report = json.loads(lacking.stdout)
    assert lacking.exit_code == 3 and report["not_judged"][0]["reason"] == "no_score"
    assert any("1 scores of scores.tsv" in note for note in report["notes"])


def test_several_conditions_give_a_score_file_each(folder, weights, tmp_path):
    options = ["--protocol", folder / "list.csv", "--detector", weights, "--where", "page=page-0"]
    options += ["--conditions", "telephone", "--replicates", 20, "--report", tmp_path / "r.html"]
    found = run(*options, "--scores", tmp_path / "s.tsv")
    assert found.exit_code == 0 and "telephone" in found.output
    assert len(read_scores(tmp_path / "s.tsv.tiny.telephone")) == 12
    assert "EER by condition" in (tmp_path / "r.html").read_text()


def evaluated(folder, **options):
    detectors = options.pop("detectors", [Loudness()])
    return forensics.evaluate(
        detectors,
        protocol=folder / "list.csv",
        columns={"source": "page", "group": "speaker"},
        replicates=60,
        **options,
    )


def test_detectors_side_by_side_and_a_sweep(folder):
    calibrated, reversed_ = Loudness("louder"), Loudness("softer", -1.0, None)
    found = evaluated(folder, detectors=[calibrated, reversed_], conditions=["noise20"])
    louder, softer = found.report.detectors
    clean = louder.conditions[0]
    assert clean.eer.value < 0.2 < 0.8 < softer.conditions[0].eer.value
    assert clean.cllr.value is not None and "uncalibrated" in softer.conditions[0].cllr.note
    assert softer.threshold is None and softer.conditions[0].real_answers is None
    noisy = louder.conditions[1]
    assert noisy.condition == "noise20"
    assert noisy.eer_ratio.value == pytest.approx(noisy.eer.value / clean.eer.value)
    first = found.report.differences[0]
    assert (first.first, first.second, first.condition) == ("louder", "softer", "clean")
    assert first.figures["eer"].high < 0 and "cllr" not in first.figures
    assert len(found.report.differences) == 2
    assert found.report.settings.conditions["noise20"].startswith('{"use":"noise"')
    text = as_text(found.report)
    assert "louder minus softer, paired" in text and "no shipped threshold" in text


def test_the_same_call_gives_the_same_report(folder):
    one, again = (evaluated(folder).report.model_dump(exclude={"seconds"}) for _ in range(2))
    assert one == again


def test_one_label_alone_measures_false_alarms(folder):
    found = evaluated(folder, where={"label": "real"})
    (detector,) = found.report.detectors
    assert detector.conditions[0].eer.note == "no spoof clips"
    assert detector.conditions[0].real_answers.clips == 12
    assert detector.systems == () and len(detector.sources) == 2
    assert "no spoof clips" in as_text(found.report)
    assert "no spoof clips" in as_html(found)


def test_the_report_escapes_names_and_loads_nothing(folder):
    page = as_html(evaluated(folder, conditions=["noise20"]))
    assert ODD not in page and "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert 'src="http' not in page and page.count("data:image/png;base64,") == 3
    assert ODD in as_text(evaluated(folder).report)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ([], "name one of shards and protocol"),
        (["--shards", "c", "--protocol", "p"], "name one of shards and protocol"),
        (["--shards", "c", "--where", "a=b"], "shards need no"),
        (["--protocol", "{csv}", "--split", "test"], "states no splits"),
        (["--protocol", "{csv}", "--format", "kaldi"], "no format 'kaldi'"),
        (["--protocol", "{csv}", "--where", "tts"], "is not COLUMN=VALUE"),
        (["--protocol", "{csv}", "--conditions", "opus,radio"], "no condition 'radio'"),
        (["--protocol", "{csv}", "--source-column", "studio"], "no column 'studio'"),
        (["--protocol", "{csv}", "--llr"], "about score files"),
        (["--protocol", "{csv}", "--detector", "nothing"], "neither a detector"),
        (["--protocol", "{folder}"], "is a folder"),
        (["--protocol", "{csv}", "--scores-from", "{csv}", "--out", "o"], "without a detector"),
    ],
)
def test_wrong_usage_is_told_before_any_work(folder, options, what):
    names = {"{csv}": str(folder / "list.csv"), "{folder}": str(folder)}
    with pytest.raises(UsageError) as error:
        run(*(names.get(option, option) for option in options))
    assert what in str(error.value)


def test_the_installed_command(folder):
    line = [sys.executable, "-m", "forensics", "evaluate", "--protocol", str(folder / "list.csv")]
    done = subprocess.run([*line, "--format", "x"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "there is no format 'x'" in done.stderr
    assert "asvspoof2019" in done.stderr


def test_the_shipped_detector_on_real_material(shared_data):
    """EER of the published AASIST on these clips is at chance; any figure must be in bounds."""
    root = shared_data("speech_dev")
    found = forensics.evaluate(
        protocol=root / "manifest.csv", columns={"group": "page"}, where={"page": "melgan-demo"}
    )
    report = found.report
    assert report.not_judged == () and report.labels == {"bonafide": 3, "spoof": 6}
    assert {part.remark for part in report.detectors[0].sources} == {"few: 3 bona fide, 6 spoof"}
    assert np.isfinite(next(iter(found.scored.values())).score).all()
