"""Speaking rates: bounds from counts, tables, and the second pass of a run over the whole corpus."""

import json
import math
import uuid
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from amphion_core.data import ShardSet
from amphion_data.cli import app
from amphion_data.engines import make_engine, open_store
from amphion_data.pipe import PipeSettings, run_pipe, status
from amphion_data.pipe.corpus_pass import FIRST
from amphion_data.pipe.rates import RateCounts, count_rates, read_table, write_table


def counted(rates, language="en"):
    counts = RateCounts()
    for rate in rates:
        assert counts.add("x" * 20, 20 * rate, language)
    return counts


def test_bounds_are_the_quartiles_of_the_log_and_one_and_a_half_distances_beyond():
    rates = np.exp(np.random.default_rng(0).normal(math.log(0.07), 0.3, 1001))
    found = counted(rates).bounds()["en"]
    first, median, third = np.quantile(np.log(rates), [0.25, 0.5, 0.75])
    wanted = np.exp([first - 1.5 * (third - first), median, third + 1.5 * (third - first)])
    # Bins of 0.1 % round each quartile by 0.05 %, and the reach takes four of them.
    assert [found.low, found.median, found.high] == pytest.approx(wanted, rel=3e-3)
    assert found.rows == 1001 and found.measured


def test_equal_rates_leave_room_for_others():
    found = counted([0.08] * 60).bounds()["en"]
    assert found.low == pytest.approx(0.08 * math.exp(-0.2), rel=1e-2)
    assert found.high == pytest.approx(0.08 * math.exp(0.2), rel=1e-2)


def test_few_rows_keep_the_wide_bounds_and_unknown_languages_have_none():
    counts = counted([0.08] * 49)
    counts.update(counted([0.1] * 3, "eo").to_dict())
    found = counts.bounds()
    assert found["en"][:2] == (0.04, 0.15) and not found["en"].measured and "eo" not in found
    assert counts.few() == {"en": 49, "eo": 3}
    assert counts.bounds({"eo": (0.1, 0.2)})["eo"][:2] == (0.1, 0.2)
    counts.update(counted([0.08]).to_dict())
    assert counts.bounds()["en"].measured


def test_counts_of_parts_sum_to_those_of_the_whole_in_any_order():
    rates = np.exp(np.random.default_rng(1).normal(-2.6, 0.4, 300))
    parts = [counted(rates[200:]), counted(rates[:90]), counted(rates[90:200])]
    whole = RateCounts()
    for part in parts:
        whole.update(json.loads(json.dumps(part.to_dict())))
    assert whole.to_dict() == counted(rates).to_dict() and whole.bounds() == counted(rates).bounds()


def test_rows_without_text_length_or_language_are_not_counted():
    counts = RateCounts()
    assert (
        not counts.add("...", 3.0, "en") and not counts.add("hello", 0.0, "en") and not counts.add("hello", 1.0, None)
    )
    assert not counts.add(None, 1.0, "en") and counts.bounds() == {}


def test_the_command_makes_a_table_of_a_manifest_that_a_run_takes(tmp_path):
    lines = [{"text": "word " * 10, "duration": 40 * 0.06 * 1.01 ** (k % 21), "language": "en"} for k in range(60)]
    lines += [{"text": "Wort " * 10, "start": 1.0, "end": 4.0, "language": "de"}] * 5 + [{"text": None, "duration": 1}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    table = tmp_path / "table.json"
    done = CliRunner().invoke(app, ["rates", str(tmp_path / "rows.jsonl"), "--out", str(table)])
    assert done.exit_code == 0, done.output
    assert (
        "under 50 rows: the wide bounds of the package are kept" in done.stdout and "1 rows have no text" in done.stdout
    )
    bounds = read_table(table)
    assert bounds["de"] == (0.04, 0.15) and 0.04 < bounds["en"][0] < 0.06 * 1.1 < bounds["en"][1] < 0.15
    error = (
        CliRunner().invoke(app, ["emilia", str(tmp_path), str(tmp_path / "out"), "--rates", "nowhere.json"]).exception
    )
    assert "no table of rates at nowhere.json; 'amphion-data rates" in str(error)


def test_rates_are_counted_of_what_prepare_and_emilia_wrote(tmp_path, speechlike, cheap):
    from amphion_core.data import write_shards
    from amphion_core.schema import Utterance

    rows = [
        Utterance(id=f"r{k:03d}", duration=2.0 + 0.01 * k, sample_rate=8000, text="eleven chars", language="en")
        for k in range(60)
    ]
    for folder in ("prepared/train", "emilia/shards"):
        write_shards(rows, _encode, tmp_path / folder, per_shard=25, progress=False)
    found = [count_rates([tmp_path / name])[0].to_dict() for name in ("prepared", "emilia", "emilia/shards")]
    assert found[0] == found[1] == found[2] and sum(found[0]["en"].values()) == 60
    both, without = count_rates([tmp_path / "prepared", tmp_path / "emilia"])
    assert both.bounds()["en"].rows == 120 and without == 0
    with pytest.raises(FileNotFoundError):
        count_rates([tmp_path / "nowhere"])


def _encode(row):
    """A row as a record with silence of its length."""
    from amphion_core import audio
    from amphion_core.data import Record

    data = audio.encode(np.zeros(round(row.duration * 8000), np.float32), 8000, "flac")
    return Record(row.id, {"flac": data, "json": (json.dumps(row.to_dict()) + "\n").encode()})


def test_tables_that_are_none_are_refused(tmp_path):
    (tmp_path / "a.json").write_text("[1]")
    with pytest.raises(ValueError, match="no table of rates"):
        read_table(tmp_path / "a.json")
    (tmp_path / "b.json").write_text('{"rates": {"en": {"low": 0.2, "high": 0.1}}}')
    with pytest.raises(ValueError, match=r"bounds of en must be two positive numbers in order, got 0\.2 and 0\.1"):
        read_table(tmp_path / "b.json")
    write_table(tmp_path / "c.json", counted([0.07] * 60).bounds())
    assert set(read_table(tmp_path / "c.json")) == {"en"}


@pytest.fixture
def recordings(tmp_path, speechlike):
    """Twelve recordings of five segments of 4 s; in the last one, two of them are spoken ten times too fast."""
    folder = tmp_path / "in"
    folder.mkdir()
    spans = [(1.0 + 6 * k, 5.0 + 6 * k) for k in range(5)]
    letters = "the quick brown fox jumps over a lazy dog while it is raining again"
    for number in range(12):
        soundfile.write(folder / f"{number:02d}.wav", speechlike(spans, 32.0, rate=8000, seed=number), 8000)
        texts = [
            {"start": a, "end": b, "text": letters[: 40 + 3 * k], "language": "en"} for k, (a, b) in enumerate(spans)
        ]
        if number == 11:
            many = "Ann one Bob two Cleo three Dora four Emil five Finn six Gus seven Hal eight Ines nine Jo ten"
            for k in (1, 3):
                texts[k]["text"] = f"{letters} {many} {letters[::-1]} {many[::-1]}"
        (folder / f"{number:02d}.json").write_text(json.dumps(texts))
    return folder


def content(out):
    store = open_store(out)
    kinds = ("shards", "units", FIRST, "rated", "drops.jsonl", "rates.json")
    return {name: store.read(name) for name in store.names() if name.split("/")[0] in kinds}


@pytest.mark.slow
def test_rows_outside_the_rates_of_the_corpus_are_dropped_in_a_second_pass(recordings, tmp_path, cheap):
    settings = cheap(transcribe="given", unit=70.0, segment={"longest_gap": 0.5}, filter={"rates": "corpus"})
    report = run_pipe(recordings, tmp_path / "out", settings)
    assert report.segments == 60 and report.kept == 58 and report.drops == {"filtered": 2}
    assert report.hours["kept"] + report.dropped_hours["filtered"] == pytest.approx(
        report.hours["transcribed"], abs=1e-8
    )
    assert report.languages["en"] == pytest.approx(report.hours["kept"], abs=1e-8)
    shards = ShardSet.open(tmp_path / "out" / "shards")
    assert len(shards) == 58 and len(ShardSet.open(tmp_path / "out" / FIRST)) == 60
    drops = [json.loads(line) for line in (tmp_path / "out" / "drops.jsonl").read_text().splitlines()]
    assert [(d["audio"], d["stage"]) for d in drops] == [("11.wav", "rates")] * 2
    assert "s a character" in drops[0]["detail"] and "in this corpus" in drops[0]["detail"]
    assert not {d["id"] for d in drops} & set(shards.keys)
    assert status(tmp_path / "out").report.kept == 58


@pytest.mark.slow
def test_both_passes_give_the_same_bytes_on_any_engine_and_after_an_interruption(recordings, tmp_path, cheap):
    settings = cheap(transcribe="given", unit=70.0, segment={"longest_gap": 0.5}, filter={"rates": "corpus"})
    run_pipe(recordings, tmp_path / "one", settings)
    first = content(tmp_path / "one")
    run_pipe(recordings, tmp_path / "two", settings, engine=make_engine("pool", workers=2))
    memory = f"memory://{uuid.uuid4().hex}"
    run_pipe(recordings, memory, settings)
    assert content(tmp_path / "two") == first == content(memory)
    store = open_store(tmp_path / "two")
    for name in [*store.names("rated")[:3], *store.names("shards")[:4], *store.names("units")[:1]]:
        store.remove(name)  # as if it had been killed there: marks are written last
    for name in store.names("rated"):
        if json.loads(store.read(name))["shard"]["name"] not in store.names("shards"):
            store.remove(name)
    run_pipe(recordings, tmp_path / "two", settings)
    assert content(tmp_path / "two") == first


def drive(folder, out, settings):
    """A driver to be killed."""
    run_pipe(folder, out, PipeSettings.parse(json.loads(settings)), patience=5.0)


@pytest.mark.slow
def test_a_driver_that_is_killed_in_the_second_pass_leaves_whole_units_only(recordings, tmp_path, cheap):
    from amphion_core.testing.kill import run, run_killed_after

    settings = cheap(transcribe="given", unit=70.0, segment={"longest_gap": 0.5}, filter={"rates": "corpus"})
    run_pipe(recordings, tmp_path / "whole", settings)
    whole, out, kills = content(tmp_path / "whole"), tmp_path / "out", 0
    arguments = (f"{Path(__file__)}:drive", recordings, out, json.dumps(settings.to_dict()))
    for count in range(4):

        def begun(wanted=count):
            return len(list((out / "rated").glob("*.json"))) >= wanted if wanted else (out / "rates.json").is_file()

        kills += run_killed_after(0.02 * count, *arguments, ready=begun)
        assert all(content(out)[name] == whole[name] for name in open_store(out).names("rated"))
    run(*arguments)
    assert kills >= 2 and content(out) == whole and not open_store(out).names("rate-leases")


@pytest.mark.slow
@pytest.mark.extra("ray")
def test_both_passes_give_the_same_bytes_on_ray(recordings, tmp_path, cheap, monkeypatch):
    import ray

    settings = cheap(transcribe="given", unit=70.0, segment={"longest_gap": 0.5}, filter={"rates": "corpus"})
    run_pipe(recordings, tmp_path / "one", settings)
    if ray.is_initialized():
        ray.shutdown()
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    try:
        run_pipe(recordings, tmp_path / "two", settings, engine=make_engine("ray", workers=2))
    finally:
        ray.shutdown()
    assert content(tmp_path / "two") == content(tmp_path / "one")


@pytest.mark.slow
def test_new_recordings_change_the_bounds_and_nothing_old_is_left(recordings, tmp_path, cheap):
    settings = cheap(transcribe="given", unit=70.0, segment={"longest_gap": 0.5}, filter={"rates": "corpus"})
    held = [recordings / "00.wav", recordings / "00.json"]
    kept = [path.read_bytes() for path in held]
    for path in held:
        path.rename(path.with_name(f"99{path.suffix}"))
    run_pipe(recordings, tmp_path / "out", settings)
    for path, data in zip(held, kept, strict=True):
        path.write_bytes(data)
    report = run_pipe(recordings, tmp_path / "out", settings)
    run_pipe(recordings, tmp_path / "fresh", settings)
    assert report.kept == 63 and content(tmp_path / "out") == content(tmp_path / "fresh")
