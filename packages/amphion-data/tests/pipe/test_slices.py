"""Runs in two parts: up to the segments, and on from there."""

import json

import pytest
import soundfile

from amphion_data.engines import make_engine, open_store
from amphion_data.pipe import run_pipe, status
from amphion_data.pipe.units import WorkFailedError


@pytest.fixture
def recordings(tmp_path, speechlike):
    """Four recordings with three segments each, one of them too short, and one of silence."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(4):
        wav = speechlike([(1.0, 5.0 + 0.1 * number), (8.0, 10.0), (13.0, 18.0)], 20.0, seed=number)
        soundfile.write(folder / f"talk {number}.wav", wav, 16_000)
    soundfile.write(folder / "silence.wav", speechlike([], 2.0) * 0, 16_000)
    return folder


def content(out):
    """Every file whose bytes are promised."""
    store = open_store(out)
    return {n: store.read(n) for n in store.names() if n.split("/")[0] in ("shards", "units", "drops.jsonl")}


def used(notes, name):
    return len(list(notes.glob(f"used-{name}-*")))


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("separate", ["none", "probe"])
def test_two_parts_make_what_one_run_makes_and_the_first_part_is_not_done_again(
    separate, workers, recordings, tmp_path, cheap, probes
):
    options = {"probe": {"folder": str(probes)}}
    settings = cheap(unit=45.0, separate=separate, vad="probe", options=options, language="en")
    run_pipe(recordings, tmp_path / "one", settings)
    out = tmp_path / "two"
    first = run_pipe(recordings, out, settings, stages=":segment", engine=make_engine("pool", workers=workers))
    assert (first.sources, first.sources_used, first.segments, first.kept) == (5, 4, 12, 0)
    assert content(out) == {} and bool(open_store(out).names("voices")) == (separate == "probe")
    heard, separated = used(probes, "vad"), used(probes, "separate")
    report = run_pipe(recordings, out, settings, stages="transcribe:", engine=make_engine("pool", workers=workers))
    assert report.kept == 8 and content(out) == content(tmp_path / "one")
    assert (used(probes, "vad"), used(probes, "separate")) == (heard, separated)
    assert open_store(out).names("voices") == []  # they are not needed any more
    assert report.steps["listen"]["seconds"] > 0  # the times of the first part count


def test_a_run_of_all_stages_goes_on_from_segments_that_are_there(recordings, tmp_path, cheap, probes):
    options = {"probe": {"folder": str(probes)}}
    settings = cheap(unit=45.0, vad="probe", options=options)
    run_pipe(recordings, tmp_path / "two", settings, stages=":segment")
    heard = used(probes, "vad")
    run_pipe(recordings, tmp_path / "two", settings)
    assert used(probes, "vad") == heard == 4
    run_pipe(recordings, tmp_path / "one", settings)
    assert content(tmp_path / "two") == content(tmp_path / "one")


def test_rows_taken_out_of_a_manifest_are_dropped_and_changed_ones_refused(recordings, tmp_path, cheap):
    out, settings = tmp_path / "out", cheap(language="en")
    run_pipe(recordings, out, settings, stages=":segment")
    (manifest,) = (out / "segments").glob("*.jsonl")
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    assert len(rows) == 8 and [row["number"] for row in rows[:2]] == [0, 2]
    assert set(rows[0]) == {"source", "number", "start", "end", "speaker", "gain_db"}
    assert rows[0]["source"] == "talk 0.wav" and rows[0]["start"] == pytest.approx(0.9, abs=0.1)
    gone = rows.pop(3)
    manifest.write_text("".join(json.dumps({**row, "start": row["start"] + 0.5}) + "\n" for row in rows))
    with pytest.raises(WorkFailedError, match=r"line 1: .* is no row as it was written; rows can be taken out"):
        run_pipe(recordings, out, settings, stages="transcribe:")
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = run_pipe(recordings, out, settings, stages="transcribe:")
    assert report.kept == 7 and report.drops == {"filtered": 1, "silent_audio": 1, "too_short": 4}
    drops = map(json.loads, (out / "drops.jsonl").read_text().splitlines())
    (drop,) = (drop for drop in drops if drop["reason"] == "filtered")
    assert drop["audio"] == gone["source"] and drop["stage"] == "segment" and drop["id"].endswith("W000002")
    assert "taken out of the manifest" in drop["detail"]


@pytest.mark.parametrize("rates", ["none", "corpus"])
def test_a_unit_whose_manifest_is_changed_when_it_is_done_is_done_again(rates, recordings, tmp_path, cheap):
    settings = cheap(unit=45.0, language="en", filter={"rates": rates})
    outs = [tmp_path / "before", tmp_path / "after"]
    for out, late in zip(outs, (False, True), strict=True):
        run_pipe(recordings, out, settings, stages=":segment")
        if late:
            assert run_pipe(recordings, out, settings, stages="transcribe:").kept == 8
        manifest = min((out / "segments").glob("*.jsonl"))
        written = manifest.read_text()
        manifest.write_text("".join(written.splitlines(keepends=True)[1:]))
        report = run_pipe(recordings, out, settings, stages="transcribe:")
        assert report.kept == 7 and report.drops["filtered"] == 1
    assert content(outs[0]) == content(outs[1])
    manifest.write_text(written)
    assert run_pipe(recordings, out, settings).kept == 8
    manifest.unlink()  # what is done needs it no more
    assert run_pipe(recordings, out, settings).kept == 8


def test_status_shows_both_parts(recordings, tmp_path, cheap):
    out, settings = tmp_path / "out", cheap(unit=45.0)
    run_pipe(recordings, out, settings, stages=":segment")
    found = status(out)
    assert (found.units, found.done, found.segmented, found.running, found.failed) == (2, 0, 2, 0, 0)
    assert "0 of 2 units done, 0 running, 0 failed, segments of 2 kept" in found.to_text()
    assert found.report.hours["segments"] > 0 and found.report.kept == 0
    run_pipe(recordings, out, settings, stages="transcribe:")
    found = status(out)
    assert (found.done, found.segmented, found.report.kept) == (2, 2, 8)


def test_what_is_made_of_segments_may_be_chosen_later_and_the_segments_not(recordings, tmp_path, cheap):
    run_pipe(recordings, tmp_path / "out", cheap(), stages=":segment")
    with pytest.raises(ValueError, match=r"made with other segment\.longest_gap"):
        run_pipe(recordings, tmp_path / "out", cheap(segment={"longest_gap": 0.5}), stages="transcribe:")
    settings = cheap(format="mp3", filter={"min_characters": 3}, language="de")
    run_pipe(recordings, tmp_path / "out", settings, stages="transcribe:")
    run_pipe(recordings, tmp_path / "one", settings)
    assert content(tmp_path / "out") == content(tmp_path / "one")
    with pytest.raises(ValueError, match=r"made with other format"):
        run_pipe(recordings, tmp_path / "out", cheap(language="de", filter={"min_characters": 3}))


def test_a_slice_that_can_t_be_is_named(recordings, tmp_path, cheap):
    with pytest.raises(ValueError, match=r"no slice of stages 'vad:': .* ':segment' .* 'transcribe:'"):
        run_pipe(recordings, tmp_path / "out", cheap(), stages="vad:")
    with pytest.raises(ValueError, match=r"segments of 1 of 1 units are not kept, .* run --stages :segment"):
        run_pipe(recordings, tmp_path / "out", cheap(), stages="transcribe:")
    assert not (tmp_path / "out").exists()
