"""The HTML report: hostile names stay text, nothing is loaded, everything is said."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser

import pytest
from helpers import bad_media, tiny_detector

from forensics.errors import MachineError
from forensics.verdict.detect import detect, load_detector
from forensics.verdict.plots import attention_over_time, timeline
from forensics.verdict.report import check_writable, render_report, write_report
from forensics.verdict.schema import Input, Segment, SegmentExplanation, Verdict

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&{{ 7*7 }}.wav"


class Page(HTMLParser):
    """Tags, addresses and text of a page."""

    def __init__(self, html: str):
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    detector = load_detector(tiny_detector.save(folder / "weights"))
    good, hostile, gone = folder / "good.wav", folder / "h.wav", folder / "gone.wav"
    good.write_bytes(bad_media.encoded(samples=bad_media.tone(9.0)))
    hostile.write_bytes(b"no audio")
    sources = [good, hostile, gone]
    verdicts = detect(sources, detector)
    renamed = verdicts[1].model_copy(
        update={"path": HOSTILE, "message": HOSTILE, "provenance": {"tags": {HOSTILE: HOSTILE}}}
    )
    return [verdicts[0], renamed, verdicts[2]], sources


def test_a_page_has_a_row_and_a_card_for_every_file(judged):
    verdicts, sources = judged
    page = Page(render_report(verdicts, sources))
    assert page.tags.count("article") == 3
    assert page.tags.count("tr") == 4
    for verdict in verdicts:
        assert page.text.count(verdict.path) == 2 + (verdict.path == HOSTILE) * 4
        assert verdict.message in page.text
        assert verdict.reason in page.text
        for item in verdict.not_run:
            assert item in page.text
    assert f"{verdicts[0].p_manipulated:.3f}" in page.text
    assert "a test: 20 real, 20 forged" in page.text
    assert "How to read this" in page.text


def test_hostile_names_stay_text(judged):
    verdicts, sources = judged
    page = Page(render_report(verdicts, sources))
    assert "script" not in page.tags
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert page.tags.count("img") == 1
    assert "49.wav" not in page.text


def test_nothing_is_loaded_from_elsewhere(judged):
    verdicts, sources = judged
    html = render_report(verdicts, sources)
    page = Page(html)
    links = [value or "" for name, value in page.attributes if name in ("src", "href")]
    assert links and all(link.startswith(("data:image/", "#")) for link in links)
    assert "url(" not in html and "@import" not in html
    assert "link" not in page.tags


def test_the_picture_shows_the_waveform_and_each_window(judged):
    verdicts, sources = judged
    (encoded,) = re.findall(
        r"data:image/svg\+xml;base64,([^\"]+)", render_report(verdicts, sources)
    )
    drawn = base64.b64decode(encoded).decode()
    bare = render_report(verdicts)
    (without,) = re.findall(r"data:image/svg\+xml;base64,([^\"]+)", bare)
    assert len(drawn) > len(base64.b64decode(without)) + 3000  # the waveform
    assert "seconds" in drawn


def _picture(html: str) -> str:
    (encoded,) = re.findall(r"data:image/svg\+xml;base64,([^\"]+)", html)
    return base64.b64decode(encoded).decode()


def _explained(verdict, **changes):
    """The same verdict from a detector that says what it looked at."""
    step = (1 / 16,) * 16
    explanation = SegmentExplanation(
        start_s=0.0,
        end_s=4.0,
        seconds_per_step=0.25,
        time=step,
        layers=(0.1, 0.2, 0.3, 0.4),
        layer_groups=(0.6, 0.4),
        attention=(step,) * 4,
    )
    entry = verdict.detectors[0].model_copy(update={"explanation": explanation})
    segments = tuple(s.model_copy(update={"attention": step}) for s in verdict.segments)
    return verdict.model_copy(update={"detectors": (entry,), "segments": segments, **changes})


def test_explanations_are_drawn_and_said_to_be_no_evidence(judged):
    verdicts, sources = judged
    plain = render_report(verdicts[:1], sources[:1])
    html = render_report([_explained(verdicts[0]), verdicts[1]], sources[:2])
    page = Page(html)
    pictures = re.findall(r"data:image/svg\+xml;base64,([^\"]+)", html)
    drawn = [base64.b64decode(picture).decode() for picture in pictures]
    assert "attention" in drawn[0] and "attention" not in _picture(plain)
    assert len(drawn) == 2 and "share of each layer" in drawn[1]
    assert "of groups" in drawn[1] and "layer × time" in drawn[1]
    assert "Layers of aasist-l" in page.text and "from 0.00 to 4.00 s" in page.text
    assert "not what it found there" in page.text


def test_an_uncalibrated_detector_shows_its_raw_score_and_no_p(judged, tmp_path):
    _, sources = judged
    weights = tiny_detector.save(tmp_path / "bare", calibration=None, thresholds=())
    verdicts = detect(sources[:1], load_detector(weights))
    html = render_report(verdicts, sources[:1])
    page = Page(html)
    assert f"raw score {verdicts[0].detectors[0].raw:+.4f}" in page.text
    assert "LLR-" not in page.text and "p manipulated0." not in page.text
    assert page.text.count("uncalibrated") == 1
    assert "raw" in _picture(html)


def test_attention_of_overlapping_segments_is_their_mean():
    def segment(start, attention):
        return Segment(start_s=start, end_s=start + 4.0, raw=0.0, attention=attention)

    one = segment(0.0, (0.5, 0.5, 0.0, 0.0))
    other = segment(2.0, (1.0, 0.0, 0.0, 0.0))
    found = attention_over_time((one, other), 8.0)
    assert found is not None
    # 60 columns a second: shares a second, the mean where both lie.
    assert found[[30, 90]].tolist() == [0.5, 0.5]
    assert found[[150, 210]].tolist() == [0.5, 0.0]
    assert found[[270, 330, 450]].tolist() == [0.0, 0.0, 0.0]
    assert attention_over_time((one.model_copy(update={"attention": None}),), 8.0) is None


def test_hours_of_segments_are_a_small_picture():
    segments = tuple(
        Segment(start_s=4.0 * i, end_s=4.0 * i + 4, raw=0.0, llr=0.0, p_manipulated=i % 100 / 100)
        for i in range(2700)
    )
    verdict = Verdict(
        path="a",
        label="uncertain",
        reason="r",
        message="m",
        forensics_version="1",
        segments=segments,
        input=Input(duration_s=10_800.0),
    )
    drawn = timeline(verdict, None)
    assert drawn is not None and len(drawn) < 300_000


def test_a_file_that_is_gone_since_costs_its_waveform_alone(judged, tmp_path):
    verdicts, _ = judged
    html = render_report(verdicts[:1], [tmp_path / "gone.wav"])
    assert "data:image/svg" in html


def test_every_label_can_be_shown():
    base = {"message": "m", "reason": "r", "forensics_version": "1"}
    verdicts = [
        Verdict(path="a", label="bonafide", p_manipulated=0.01, llr=4.6, **base),
        Verdict(path="b", label="uncertain", p_manipulated=0.5, llr=0.0, **base),
        Verdict(path="c", label="manipulated", p_manipulated=1.0, llr=-800.0, **base),
        Verdict(path="d", label="not_applicable", **base),
    ]
    text = Page(render_report(verdicts)).text
    assert "-800.000" in text
    assert "nan" not in text.lower()


def test_an_empty_report_is_a_page():
    assert "0 files" in render_report([])


def test_a_report_is_written_whole_or_not_at_all(judged, tmp_path):
    verdicts, sources = judged
    target = tmp_path / "out.html"
    write_report(verdicts, target, sources)
    assert target.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [path.name for path in tmp_path.iterdir()] == ["out.html"]
    for bad in (tmp_path / "gone" / "out.html", tmp_path):
        with pytest.raises(MachineError):
            check_writable(bad)
        with pytest.raises(MachineError):
            write_report(verdicts, bad)
    check_writable(target)
