"""`forensics detect`: what scripts and people read, and the exit codes."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys

import pytest
import typer
from helpers import bad_media, tiny_detector
from typer.testing import CliRunner

from forensics.cli.detect import detect as command
from forensics.errors import MachineError
from forensics.media.av_reader import av_installed
from forensics.verdict.detect import detect
from forensics.verdict.schema import Verdict

app = typer.Typer()
app.command()(command)
ODD = ["new\nline.wav", 'quote".wav', "émoji🎤.wav", "back\\slash.wav", "\x1b[31mred.wav", "{}.wav"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    import torch

    torch.set_num_threads(1)
    return str(tiny_detector.save(tmp_path_factory.mktemp("weights") / "tiny"))


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "good.wav"
    path.write_bytes(bad_media.encoded())
    return str(path)


def run(*arguments, **options):
    return CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False, **options)


def forensics(*arguments, **options):
    """The installed command in a process of its own."""
    line = [sys.executable, "-m", "forensics", "detect", *map(os.fsencode, map(str, arguments))]
    return subprocess.run(line, capture_output=True, timeout=120, **options)


def lines(output: str) -> list[dict]:
    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    return [json.loads(line, parse_constant=refuse) for line in output.splitlines()]


@pytest.mark.parametrize("case", bad_media.CONTENT)
def test_bad_content_is_one_line_and_exit_code_3(tmp_path, weights, case):
    if case in bad_media.NEEDS_PYAV and not av_installed():
        pytest.skip("needs the extra: forensics[av]")
    path, reason = bad_media.write(tmp_path, case)
    result = run("--json", "--weights", weights, path)
    assert result.exit_code == 3
    (line,) = lines(result.stdout)
    assert line["path"] == str(path)
    assert (line["label"], line["reason"]) == ("not_applicable", reason)
    assert line["p_manipulated"] is None
    assert line["llr"] is None
    human = run("--weights", weights, path)
    assert human.exit_code == 3
    assert len(human.stdout.splitlines()) == 1
    assert reason in human.stdout
    assert human.stdout.startswith("not_applicable  p   -    ")


@pytest.mark.parametrize("kind", bad_media.ODD_PLACES)
def test_odd_places_are_one_line_and_exit_code_3(tmp_path, weights, kind):
    path, reason = bad_media.odd_place(tmp_path, kind)
    result = run("--json", "--weights", weights, path)
    assert result.exit_code == 3
    assert lines(result.stdout)[0]["reason"] == reason


def test_a_good_file_is_judged_with_exit_code_0(weights, good):
    result = run("--json", "--weights", weights, good)
    assert result.exit_code == 0
    assert result.stderr == ""
    (line,) = lines(result.stdout)
    verdict = Verdict.model_validate(line)
    (expected,) = detect(good, weights)
    assert verdict.llr == expected.llr
    assert (verdict.label, verdict.reason) == (expected.label, expected.reason)


def test_people_read_one_aligned_line_a_file(weights, good, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ["good.wav", "a longer name.wav", "gone.wav"]
    (tmp_path / names[1]).write_bytes(bad_media.encoded())
    result = run("--weights", weights, *names)
    assert result.exit_code == 3
    first, second, third = result.stdout.splitlines()
    (expected,) = detect(good, weights)
    assert first.startswith(f"{expected.label:14}  p {expected.p_manipulated:.3f}  good.wav")
    assert third.startswith("not_applicable  p   -    gone.wav")
    columns = [first.index(expected.reason), second.index(expected.reason)]
    assert columns == [third.index("not_found")] * 2
    assert "\x1b" not in result.stdout
    assert result.stderr == ""


def test_all_sorts_of_inputs_are_expanded(weights, good, tmp_path):
    folder = tmp_path / "more"
    folder.mkdir()
    (folder / "b.flac").write_bytes(bad_media.encoded("FLAC"))
    with open(good, "rb") as stdin:  # noqa: PTH123
        result = run(
            "--json",
            "--weights",
            weights,
            folder,
            f"{tmp_path}/g*.wav",
            "-",
            good,
            "http://example.org/x.wav",
            input=stdin.read(),
        )
    assert result.exit_code == 3
    found = lines(result.stdout)
    paths = [str(folder / "b.flac"), good, "-", "http://example.org/x.wav"]
    assert [line["path"] for line in found] == paths
    assert found[1]["llr"] == found[2]["llr"]
    assert found[3]["reason"] == "is_url"


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("audio", [True, False])
def test_odd_names_keep_to_their_line(weights, tmp_path, name, audio):
    path = tmp_path / name
    path.write_bytes(bad_media.encoded(samples=bad_media.tone(1.0)) if audio else b"junk")
    result = run("--json", "--weights", weights, path)
    (line,) = lines(result.stdout)
    assert line["path"] == str(path)
    human = run("--weights", weights, path).stdout
    assert len(human.splitlines()) == 1
    assert "\x1b" not in human


def test_names_that_are_not_utf8_survive_processes(weights, tmp_path):
    raw = os.fsencode(tmp_path) + b"/caf\xe9.wav"
    with open(raw, "wb") as file:  # noqa: PTH123
        file.write(b"junk")
    done = forensics("--json", "--weights", weights, os.fsdecode(raw))
    assert done.returncode == 3, done.stderr
    (line,) = lines(done.stdout.decode())
    assert line["path"].endswith("caf\\xe9.wav")


def test_a_terminal_that_knows_ascii_alone_gets_every_name(weights, tmp_path):
    emoji = tmp_path / "🎤.wav"
    emoji.write_bytes(b"junk")
    for flags in (["--json"], []):
        done = forensics(
            *flags, "--weights", weights, emoji, env={**os.environ, "PYTHONIOENCODING": "ascii"}
        )
        assert done.returncode == 3, done.stderr
    assert b"U0001f3a4" in done.stdout


def test_wrong_usage_is_exit_code_2(weights, good):
    assert run().exit_code == 2
    assert run(good, "--weights", weights, "--max-windows", "0").exit_code == 2
    wrong = forensics(good, "--detector", "nonsense")
    assert wrong.returncode == 2
    assert b"neither a detector nor a weights folder" in wrong.stderr


def test_missing_weights_are_exit_code_5_and_name_the_fix(good, tmp_path):
    missing = forensics(good, "--weights", tmp_path / "none")
    assert missing.returncode == 5
    assert missing.stdout == b""
    assert missing.stderr.startswith(b"error: ")
    assert b"\n  fix: " in missing.stderr


def test_a_report_that_cannot_be_written_is_said_before_the_work(weights, good, tmp_path):
    with pytest.raises(MachineError) as caught:
        run(good, "--weights", weights, "--report", tmp_path / "no" / "r.html")
    assert caught.value.exit_code == 6


def test_a_reader_that_leaves_early_is_no_error(weights, good):
    line = [sys.executable, "-m", "forensics", "detect", "--json", "--weights", weights]
    more = [good] + [f"gone{i}.wav" for i in range(500)]
    process = subprocess.Popen(
        [*line, *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stderr is not None
    first = process.stdout.readline()
    process.stdout.close()
    assert json.loads(first)["path"] == good
    assert process.stderr.read() == ""
    assert process.wait(60) in (0, 1)  # click answers a broken pipe with 1, quietly


def test_longer_files_are_sampled_as_asked(weights, tmp_path):
    path = tmp_path / "long.wav"
    path.write_bytes(bad_media.encoded(samples=bad_media.tone(30.0)))
    result = run("--json", "--weights", weights, "--max-windows", "2", path)
    (line,) = lines(result.stdout)
    assert len(line["segments"]) == 2
    assert line["input"]["analysed_s"] < line["input"]["duration_s"]


def test_a_report_is_written_besides(weights, good, tmp_path):
    target = tmp_path / "r.html"
    result = run("--json", "--weights", weights, "--report", target, good, tmp_path / "gone.wav")
    assert result.exit_code == 3
    assert len(lines(result.stdout)) == 2
    html = target.read_text(encoding="utf-8")
    assert good in html
    assert "gone.wav" in html
    assert "data:image/svg" in html


def test_colours_are_for_terminals_alone(weights, tmp_path):
    line = [sys.executable, "-m", "forensics", "detect", "--weights", weights, "gone.wav"]
    for environment, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        leader, follower = pty.openpty()
        plain = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
        subprocess.run(
            line, stdout=follower, cwd=tmp_path, env={**plain, **environment}, check=False
        )
        os.close(follower)
        shown = os.read(leader, 4096)
        os.close(leader)
        assert b"not_found" in shown
        assert (b"\x1b[2m" in shown) == coloured


def test_progress_is_for_terminals_and_many_files(weights, tmp_path):
    line = [sys.executable, "-m", "forensics", "detect", "--json", "--weights", weights]
    for names, shown in ((["a.wav", "b.wav"], True), (["a.wav"], False)):
        leader, follower = pty.openpty()
        done = subprocess.run(
            [*line, *names], stdout=subprocess.PIPE, stderr=follower, cwd=tmp_path, check=False
        )
        os.write(follower, b"|end")
        os.close(follower)
        screen = os.read(leader, 65536)
        os.close(leader)
        assert (b"judging" in screen) == shown
        assert len(lines(done.stdout.decode())) == len(names)
