"""Whole runs without networks: what they survive, what they count, that they end the same whatever happens."""

import json
import os
import subprocess
import sys
import time
import uuid

import numpy as np
import pytest
import soundfile

from amphion_core.data import ShardSet
from amphion_data.engines import SetupError, make_engine, open_store
from amphion_data.pipe import PipeSettings, run_pipe, status
from amphion_data.pipe.process import source_hash
from amphion_data.pipe.units import WorkFailedError, plan_units


@pytest.fixture
def recordings(tmp_path, speechlike):
    """Six recordings of 15 s with two segments each."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(6):
        wav = speechlike([(1.0, 5.0 + 0.1 * number), (8.0, 13.0)], 15.0, seed=number)
        soundfile.write(folder / f"talk {number}.wav", wav, 16_000)
    return folder


def content(out):
    """Every file whose bytes are promised."""
    store = open_store(out)
    names = [n for n in store.names() if n.split("/")[0] in ("shards", "units", "drops.jsonl")]
    return {name: store.read(name) for name in names}


def test_segments_come_out_with_their_places_and_all_is_counted(recordings, tmp_path, cheap):
    report = run_pipe(recordings, tmp_path / "out", cheap(language="en"))
    shards = ShardSet.open(tmp_path / "out" / "shards")
    assert len(shards) == report.kept == 12 and report.sources == report.sources_used == 6
    row = shards.utterance(0)
    assert row.language == "en" and row.extra["source"] == "talk 0.wav"
    assert row.extra["start"] == pytest.approx(0.9, abs=0.1) and row.extra["end"] == pytest.approx(5.1, abs=0.1)
    assert row.id == f"EN_{source_hash('talk 0.wav')}_W000000"
    wav, rate = shards.audio(0)
    assert rate == 24_000 and len(wav) / rate == pytest.approx(row.extra["end"] - row.extra["start"], abs=1e-3)
    assert row.duration == pytest.approx(len(wav) / rate)
    assert report.hours["segments"] == pytest.approx(report.hours["kept"])
    assert (tmp_path / "out" / "report.json").is_file() and (tmp_path / "out" / "drops.jsonl").read_text() == ""


def test_a_token_is_no_setting_of_the_output_and_written_nowhere(recordings, tmp_path, cheap):
    for token in ("hf_first", "hf_second"):  # with another one the run goes on
        run_pipe(recordings, tmp_path / "out", cheap(language="en", options={"pyannote": {"token": token}}))
    written = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert b'"pyannote"' in written and b"hf_first" not in written and b"hf_second" not in written


def test_the_readers_of_emilia_read_it(recordings, tmp_path, cheap):
    from amphion_data.corpora.emilia import iter_emilia

    run_pipe(recordings, tmp_path / "out", cheap(format="mp3", language="en"))
    rows = list(iter_emilia(tmp_path / "out" / "shards", require_text=False))
    assert len(rows) == 12 and all(row.language == "en" and row.speaker for row in rows)


def test_what_no_pipeline_should_die_of(tmp_path, speechlike, cheap):
    folder = tmp_path / "in"
    good = speechlike([(1.0, 5.0)], 8.0)

    def put(name, wav, rate=16_000, **options):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, wav, rate, **options)

    put("good.wav", good)
    put("good.flac", good)
    put("silence.wav", np.zeros(16_000))
    put("quiet noise.wav", np.random.default_rng(0).normal(0, 1e-5, 160_000))
    put("20ms.wav", good[16_000:16_320])
    put("6 channels.wav", np.stack([good] * 6, axis=1))
    put("8k.wav", speechlike([(1.0, 5.0)], 8.0, rate=8000), 8000)
    put("96k.flac", speechlike([(1.0, 5.0)], 8.0, rate=96_000), 96_000)
    put("clipped.wav", np.clip(20 * good, -1, 1))
    put("offset.wav", good + 0.3)
    put("über/имя.v2 (1).wav", good)
    put("x" * 200 + ".wav", good)
    put("._hidden.wav", good)
    (folder / "text.wav").write_text("no audio")
    (folder / "empty.mp3").touch()
    (folder / "video.mp4").write_bytes(b"\0\0\0\x20ftypisom" + bytes(200))
    (folder / "cut.wav").write_bytes((folder / "good.wav").read_bytes()[:5000])
    (folder / "notes.txt").write_text("not audio, and does not pretend to be")
    report = run_pipe(folder, tmp_path / "out", cheap(unit=30.0))
    read = (tmp_path / "out" / "drops.jsonl").read_text(encoding="utf-8")
    drops = {d["audio"]: d["reason"] for d in map(json.loads, read.splitlines())}
    assert drops["silence.wav"] == "silent_audio" and drops["._hidden.wav"] == "hidden_file"
    assert drops["text.wav"] == "corrupt_audio" and drops["empty.mp3"] == "empty_audio"
    assert drops["cut.wav"] == "truncated_audio" and drops["video.mp4"] == "unsupported_audio"
    assert drops["quiet noise.wav"] == drops["20ms.wav"] == "filtered"
    shards = ShardSet.open(tmp_path / "out" / "shards")
    kept = {shards.utterance(number).extra["source"] for number in range(report.kept)}
    wanted = {"good.wav", "good.flac", "6 channels.wav", "8k.wav", "96k.flac", "clipped.wav", "über/имя.v2 (1).wav"}
    assert wanted | {"x" * 200 + ".wav"} <= kept
    assert report.others == 1
    assert report.sources == report.sources_used + sum(reason != "too_short" for reason in drops.values())


def test_one_gain_for_a_source_and_no_sample_over_the_peak(tmp_path, speechlike, cheap):
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in" / "loud.wav", np.clip(30 * speechlike([(1, 5), (8, 12)], 14.0), -1, 1), 16_000)
    soundfile.write(tmp_path / "in" / "low.wav", 0.05 * speechlike([(1, 5), (8, 12)], 14.0), 16_000, subtype="FLOAT")
    run_pipe(tmp_path / "in", tmp_path / "out", cheap(options={"energy": {"floor": "-70"}}))
    shards = ShardSet.open(tmp_path / "out" / "shards")
    gains = {}
    for number in range(len(shards)):
        row = shards.utterance(number)
        gains.setdefault(row.extra["source"], set()).add(row.extra["gain_db"])
        assert np.abs(shards.audio(number)[0]).max() <= 10 ** (-1 / 20) + 1e-3
    assert gains["low.wav"] == {3.0} and len(gains["loud.wav"]) == 1 and max(gains["loud.wav"]) <= -1


def test_the_bytes_do_not_depend_on_engine_or_place(recordings, tmp_path, cheap):
    settings = cheap(unit=30.0)
    run_pipe(recordings, tmp_path / "one", settings)
    run_pipe(recordings, tmp_path / "two", settings, engine=make_engine("pool", workers=2))
    memory = f"memory://{uuid.uuid4().hex}"
    run_pipe(f"file://{recordings}", memory, settings)
    first = content(tmp_path / "one")
    assert len([name for name in first if name.endswith(".tar")]) == 3
    for other in (content(tmp_path / "two"), content(memory)):
        assert other == first


def test_what_is_said_of_damaged_recordings_does_not_depend_on_where_they_lie(tmp_path, speechlike, cheap):
    here, there = tmp_path / "here", f"memory://{uuid.uuid4().hex}"
    here.mkdir()
    wav = speechlike([(1.0, 5.0)], 8.0)
    soundfile.write(here / "good.wav", wav, 16_000)
    wav[9000] = np.nan
    soundfile.write(here / "nan.wav", wav, 16_000, subtype="FLOAT")
    soundfile.write(here / "cut.flac", speechlike([(1.0, 5.0)], 60.0), 16_000)
    (here / "cut.flac").write_bytes((here / "cut.flac").read_bytes()[:60_000])
    (here / "empty.mp3").touch()
    (here / "text.wav").write_text("no audio")
    for place in here.iterdir():
        open_store(there).write(place.name, place.read_bytes())
    lists = []
    for number, folder in enumerate((str(here), there)):
        run_pipe(folder, tmp_path / str(number), cheap())
        lists.append((tmp_path / str(number) / "drops.jsonl").read_text(encoding="utf-8"))
    assert lists[0] == lists[1] and str(here) not in lists[0]
    drops = [json.loads(line) for line in lists[0].splitlines()]
    assert [d["audio"] for d in drops] == ["cut.flac", "empty.mp3", "nan.wav", "text.wav"]
    assert all(d["detail"].startswith(d["audio"]) for d in drops)


def test_a_finished_run_is_not_done_again_and_new_recordings_are(recordings, tmp_path, cheap, speechlike):
    settings = cheap(unit=30.0)
    run_pipe(recordings, tmp_path / "out", settings)
    marks = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out" / "units").iterdir()}
    run_pipe(recordings, tmp_path / "out", settings)
    assert marks == {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out" / "units").iterdir()}
    soundfile.write(recordings / "talk 9.wav", speechlike([(1, 6)], 8.0), 16_000)
    report = run_pipe(recordings, tmp_path / "out", settings)
    after = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out" / "units").iterdir()}
    assert report.kept == 13 and marks.items() <= after.items() and len(after) == 4


def test_other_settings_are_refused_and_named(recordings, tmp_path, cheap):
    run_pipe(recordings, tmp_path / "out", cheap())
    with pytest.raises(ValueError, match=r"made with other filter\.min_score; choose another folder"):
        run_pipe(recordings, tmp_path / "out", cheap(filter={"min_score": 3.5}))
    run_pipe(recordings, tmp_path / "out", cheap(format="mp3"), overwrite=True)
    assert {p.suffix for p in (tmp_path / "out" / "shards").iterdir()} == {".tar", ".idx"}
    assert len(list((tmp_path / "out" / "units").iterdir())) == 1


def test_status_reads_the_marks_alone(recordings, tmp_path, cheap):
    with pytest.raises(FileNotFoundError, match="no run was begun"):
        status(tmp_path / "out")
    settings = cheap(unit=30.0)
    with pytest.raises(WorkFailedError, match=r"3 units are not done; the time limit is 0 s"):
        run_pipe(recordings, tmp_path / "out", settings, time_limit=0.0)
    before = status(tmp_path / "out")
    assert (before.units, before.done, before.running, before.failed) == (3, 0, 0, 0)
    run_pipe(recordings, tmp_path / "out", settings)
    after = status(tmp_path / "out")
    assert after.done == 3 and after.hours_done == after.hours == pytest.approx(90 / 3600)


def test_given_texts_come_to_the_segments_that_hold_them(recordings, tmp_path, cheap):
    rows = [{"start": 1.2, "end": 4.8, "text": " This is what was said at first, when nobody was there. "}]
    (recordings / "talk 0.json").write_text(json.dumps(rows))
    srt = "1\n00:00:08,100 --> 00:00:12,900\nAnd this came later,\nin two lines, I think.\n"
    (recordings / "talk 1.wav.srt").write_text(srt)
    report = run_pipe(recordings, tmp_path / "out", cheap(transcribe="given", language="en", filter={"rates": "none"}))
    shards = ShardSet.open(tmp_path / "out" / "shards")
    texts = {shards.utterance(k).extra["source"]: shards.utterance(k).text for k in range(len(shards))}
    assert texts == {
        "talk 0.wav": "This is what was said at first, when nobody was there.",
        "talk 1.wav": "And this came later, in two lines, I think.",
    }
    assert report.drops == {"missing_text": 10}
    (recordings / "talk 0.json").write_text(json.dumps([{**rows[0], "text": "It was something else, they said."}]))
    run_pipe(recordings, tmp_path / "out", cheap(transcribe="given", language="en", filter={"rates": "none"}))
    shards = ShardSet.open(tmp_path / "out" / "shards")
    assert "It was something else, they said." in {shards.utterance(k).text for k in range(len(shards))}


def test_a_folder_that_is_not_there_is_said_to_be_so(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder at .*nowhere"):
        plan_units(tmp_path / "nowhere", PipeSettings())
    with pytest.raises(FileNotFoundError, match=r"no recording in .*; it holds nothing"):
        plan_units(tmp_path, PipeSettings())


def test_an_input_without_recordings_says_what_it_holds(tmp_path, cheap):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(FileNotFoundError, match=r"no recording in .*; it holds notes\.txt"):
        plan_units(tmp_path, cheap())


def test_an_unknown_part_is_named_with_those_there_are(recordings, tmp_path):
    with pytest.raises(LookupError, match=r"no part named 'silence' for the stage vad; there are: energy, silero"):
        run_pipe(recordings, tmp_path / "out", PipeSettings(vad="silence"))
    options = {"energi": {"above": 3}}
    with pytest.raises(LookupError, match=r"options for 'energi', but no part has that name; did you mean 'energy'"):
        run_pipe(recordings, tmp_path / "out", PipeSettings(vad="energy", options=options))
    assert not (tmp_path / "out").exists()


def test_a_format_that_cannot_hold_the_rate_is_refused_before_any_work(recordings, tmp_path, cheap):
    with pytest.raises(ValueError, match=r"opus can't hold 44100 Hz, only .* 48000 Hz; change one of them"):
        run_pipe(recordings, tmp_path / "out", cheap(format="opus", sample_rate=44_100))
    assert not (tmp_path / "out").exists()


def test_a_run_that_could_not_begin_binds_no_later_one_to_its_settings(recordings, tmp_path, cheap):
    with pytest.raises(SetupError, match="uvr"):
        run_pipe(recordings, tmp_path / "out", cheap(separate="uvr"))
    assert run_pipe(recordings, tmp_path / "out", cheap()).kept == 12
    with pytest.raises(ValueError, match="was made with other level"):
        run_pipe(recordings, tmp_path / "out", cheap(level=-23.0))


def test_what_a_killed_driver_left_beside_the_folders_goes_when_no_one_writes_it_any_more(recordings, tmp_path, cheap):
    old, young = (tmp_path / "out" / f".tmp-plan.json-{number}-aa" for number in (1, 2))
    old.parent.mkdir()
    for place in (old, young):
        place.write_bytes(b"half")
    os.utime(old, (time.time() - 300,) * 2)
    run_pipe(recordings, tmp_path / "out", cheap())
    assert not old.exists() and young.exists()


def test_what_killed_writers_left_goes_with_the_next_run_unless_another_is_at_work(recordings, tmp_path, cheap):
    left = [tmp_path / "out" / folder / ".tmp-x.json-1-aa" for folder in ("units", "tries", "shards", "times")]
    for place in left:
        place.parent.mkdir(parents=True)
        place.write_bytes(b"half")
    lease = tmp_path / "out" / "leases" / "other.json"
    lease.parent.mkdir()
    lease.write_text("{}")
    run_pipe(recordings, tmp_path / "out", cheap())
    assert all(place.exists() for place in left)
    lease.unlink()
    run_pipe(recordings, tmp_path / "out", cheap())
    assert not any(place.exists() for place in left)


@pytest.mark.parametrize("step", ["standardise", "listen"])
def test_a_recording_that_ends_its_process_is_set_aside_and_costs_nothing_else(recordings, tmp_path, cheap, step):
    settings = cheap(unit=30.0)
    from amphion_data.pipe.steps import Job, UnitWork

    unit = plan_units(recordings, settings).units[0]
    name = f"tries/{unit.key}.json" if step == "standardise" else f"tries/{unit.key}.listen.json"
    deaths = {"run": "this", "tries": {"talk 0.wav": 4}}
    open_store(tmp_path / "out").write(name, json.dumps(deaths).encode())
    other = UnitWork(Job(settings, str(recordings), str(tmp_path / "other"), "this"))(unit)
    facts = UnitWork(Job(settings, str(recordings), str(tmp_path / "out"), "this"))(unit)
    assert other["rows"] == 4 and facts["rows"] == 2 and facts["sources_used"] == 1
    assert [(d["audio"], d["reason"]) for d in facts["drops"]] == [("talk 0.wav", "quarantined")]
    assert open_store(tmp_path / "out").names("tries") == []


@pytest.mark.slow
def test_a_recording_that_a_step_dies_of_is_found_out_and_the_others_of_its_unit_kept(
    recordings, tmp_path, cheap, probes
):
    settings = cheap(vad="probe", options={"probe": {"folder": str(probes), "deadly": "2.5"}})
    (recordings / "talk 5.wav").unlink()
    wav, rate = soundfile.read(recordings / "talk 3.wav")
    soundfile.write(recordings / "talk 3.wav", wav[: 2 * rate + rate // 2], rate)  # the deadly length
    report = run_pipe(recordings, tmp_path / "out", settings, engine=make_engine("pool", workers=1, retries=6))
    assert report.drops == {"quarantined": 1} and report.sources_used == 4 and report.kept == 8


_PEAK = """
import sys
from pathlib import Path
from amphion_data.pipe import PipeSettings, run_pipe
settings = PipeSettings(vad="energy", diarise="none", score="none", format="flac", block=60.0)
run_pipe(sys.argv[1], sys.argv[2], settings)
print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_memory_does_not_grow_with_the_length_of_a_recording(tmp_path, speechlike):
    wav, peaks = speechlike([(1.0, 9.0), (12.0, 25.0)], 30.0, rate=8000), []
    for repeats in (20, 60):  # 10 and 30 minutes
        folder = tmp_path / f"in{repeats}"
        folder.mkdir()
        soundfile.write(folder / "long.flac", np.tile(wav, repeats), 8000)
        command = [sys.executable, "-c", _PEAK, str(folder), str(tmp_path / f"out{repeats}")]
        peaks.append(int(subprocess.run(command, capture_output=True, text=True, check=True).stdout) / 1024)
    assert peaks[1] - peaks[0] < 30  # MB; the samples of 20 minutes at 24 and 16 kHz are 190 MB
