"""The end of a run over many marks: the list of drops in the order of the plan, sums, and memory that does not grow."""

import json
import tracemalloc

import pytest

from amphion_core.data import Drop
from amphion_data.engines import Ledger, open_store
from amphion_data.pipe.finishing import merge
from amphion_data.pipe.units import Plan, Source, Unit, WorkFailedError

DROPS = 60  # in a unit, as of half an hour of talk


def drop(unit, number):
    detail = f"dnsmos 2.{number:02d}, least 3; {number}.000 to {number + 5}.000 s of speaker 1"
    return Drop(f"EN_{unit:012x}_W{number:06d}", f"show {unit}/talk.mp3", "filtered", detail, "filter")


def marked(folder, count, drops=DROPS):
    """An output with marks of so many units with so many drops each, as a run leaves them, and its plan."""
    store, units = open_store(folder), []
    for number in range(count):
        key = f"{number * 7919 % 1_000_003:024x}"  # the order of the marks is not that of the plan
        source = Source(f"show {number}/talk.mp3", "stamp", 1, 1800.0)
        units.append(Unit(number, key, f"{number:024x}", (source,)))
        store.write(f"times/{key}.json", b'{"seconds": 1800, "work": {"vad": 2.0}, "steps": {"listen": ' + STEP + b"}}")
        facts = {
            "number": number,
            "sources": [vars(source)],
            "sources_used": 1,
            "rows": 3,
            "drops": [
                {name: getattr(drop(number, k), name) for name in ("id", "audio", "reason", "detail", "stage")}
                for k in range(drops)
            ],
            "funnel": {"decoded": 1800.0, "kept": 36.0},
            "dropped_seconds": {"filtered": 300.0},
            "languages": {"en": 36.0},
            "languages_heard": {"en": 300.0, "de": 36.0},
            "models": {"vad": "silero"},
            "shard": {"name": units[-1].shard, "bytes": 1, "sha256": "0"},
        }
        Ledger(store).finish(key, facts)
        store.write(units[-1].shard, b"")
    return store, Plan(units, [Drop("._x.wav", "._x.wav", "hidden_file", "its name begins with a dot", "plan")], 5)


STEP = b'{"seconds": 3.0, "gpus": 0.25, "process": "a:1"}'


def test_drops_are_listed_in_the_order_of_the_plan_and_all_is_summed(tmp_path):
    store, plan = marked(tmp_path, 20)
    store.write("shards/unit-000099-of-another-run.tar", b"")
    store.write("units/of-another-run.json", b"{}")
    report = merge(store, plan, 7.0)
    lines = [plan.drops[0].to_json(), *(drop(unit, k).to_json() for unit in range(20) for k in range(DROPS))]
    assert (tmp_path / "drops.jsonl").read_text().splitlines() == lines
    assert (report.sources, report.sources_used, report.segments, report.kept) == (21, 20, 20 * 63, 60)
    assert report.drops == {"filtered": 20 * DROPS, "hidden_file": 1} and report.others == 5
    assert report.hours["decoded"] == 10.0 and report.languages == {"en": 0.2}
    assert report.languages_heard == {"de": 0.2, "en": pytest.approx(20 / 12)}
    assert report.work == {"vad": 40.0, "wall": 7.0}
    assert report.steps == {"listen": {"seconds": 60.0, "gpu": 15.0}}
    assert "2400.0 x on a whole GPU" in report.to_text() and "1.6667 h heard, 0.2000 h kept" in report.to_text()
    written = json.loads((tmp_path / "report.json").read_text())
    assert written["steps"]["listen"]["gpu_factor"] == round(15 / 36_000, 6)
    assert len(list((tmp_path / "shards").iterdir())) == len(list((tmp_path / "units").iterdir())) == 20


def test_a_damaged_mark_is_named(tmp_path):
    store, plan = marked(tmp_path, 3)
    store.write(f"units/{plan.units[1].key}.json", b"{")
    with pytest.raises(WorkFailedError, match=rf"units/{plan.units[1].key}\.json is damaged"):
        merge(store, plan, 0.0)


@pytest.mark.slow
def test_the_driver_holds_one_mark_at_a_time(tmp_path):
    store, plan = marked(tmp_path, 100, drops=600)
    ledger = Ledger(store)
    tracemalloc.start()
    held = [ledger.facts(unit.key) for unit in plan.units]
    together = tracemalloc.get_traced_memory()[1]
    del held
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    merge(store, plan, 0.0)
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    # One mark is a hundredth. The list is copied in blocks of 4 MiB, two or three of which live at once, by what a read
    # returns: up to a third. Half is between that and holding all.
    assert peak < together / 2
