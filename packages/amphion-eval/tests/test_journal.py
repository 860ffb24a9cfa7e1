import json
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from amphion_core.testing import kill
from amphion_eval import score
from amphion_eval.journal import ITEMS, Journal, places
from amphion_eval.metric import Metric
from amphion_eval.model import Model
from amphion_eval.pairing import Clip, Pair
from amphion_eval.report import ClipRecord, Item

COUNT = 12


def item(name, value=1.0):
    return Item(name, {"m": value}, {}, {}, ClipRecord("r"), ClipRecord("e"))


def lines(folder):
    return [json.loads(line) for line in (folder / ITEMS).read_text().splitlines()]


def test_item_stands_there_as_soon_as_it_is_done_and_in_order_in_the_end(tmp_path):
    journal = Journal(tmp_path)
    for name in "ba":
        journal.write(item(name))
        assert lines(tmp_path)[-1]["id"] == name
    journal.finish([item("a"), item("b")])
    assert [line["id"] for line in lines(tmp_path)] == ["a", "b"]


def test_cut_line_of_a_killed_run_is_dropped_and_no_item_stands_twice(tmp_path):
    Journal(tmp_path).write(item("a"))
    with (tmp_path / ITEMS).open("a") as file:
        file.write('{"id": "b", "met')
    journal = Journal(tmp_path, resume=True)
    for name in "ab":
        journal.write(item(name))
    assert [line["id"] for line in lines(tmp_path)] == ["a", "b"]


def test_new_run_begins_an_empty_file(tmp_path):
    Journal(tmp_path).write(item("a"))
    Journal(tmp_path)
    assert lines(tmp_path) == []


def test_work_of_a_run_without_cache_is_removed_when_it_ends_well(tmp_path):
    with places(None, tmp_path) as kept:
        kept.store.put("ab" * 20, 1.0)
        assert kept.lasting
    assert not list(tmp_path.iterdir())


def noted(reference, estimate, *, place):
    """A slow metric that leaves a mark for each pair that it is called with."""
    with Path(place).open("a") as file:
        file.write(f"{abs(estimate).max():.4f}\n")
    time.sleep(0.05)
    return float(len(reference))


def embed(device, *, place):
    """A slow network that leaves a mark for each clip."""

    def network(wavs):
        with Path(place).open("a") as file:
            file.writelines("network\n" for _ in wavs)
        time.sleep(0.05)
        return [wav[:2] for wav in wavs]

    return network


def job(folder, mode):
    """Score twelve pairs; in a process of its own."""
    clips = [Clip.of(np.full(400, 0.01 * (n + 1)), 16000) for n in range(COUNT)]
    pairs = [Pair(str(n), clips[n], clips[n]) for n in range(COUNT)]
    net = Model("net", partial(embed, place=f"{folder}/marks"))
    metrics = [
        Metric("noted", partial(noted, place=f"{folder}/marks")),
        Metric("net", lambda a, b: 0.0, needs="model", models=lambda settings: (net,)),
    ]
    where = {"cache": folder / "cache"} if mode == "cache" else {"out": folder / "out", "resume": True}
    report = score(pairs, metrics, device="cpu", batch=1, **where)
    (folder / "result.json").write_text(report.to_json())


def marks(folder):
    place = folder / "marks"
    return place.read_text().splitlines() if place.exists() else []


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["cache", "out"])
def test_killed_run_loses_only_the_running_item(tmp_path, mode):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole, broken):
        folder.mkdir()
    target = f"{__file__}:job"
    kill.run(target, whole, mode)
    for reached in (5, COUNT + 5):  # within the networks, within the metrics of sound
        child = kill.start(target, broken, mode)
        child.wait_until(lambda: len(marks(broken)) >= reached)  # noqa: B023 - called at once
        child.kill()
    kill.run(target, broken, mode)
    assert len(marks(whole)) == 2 * COUNT
    assert 2 * COUNT <= len(marks(broken)) <= 2 * COUNT + 2
    assert json.loads((broken / "result.json").read_text()) == json.loads((whole / "result.json").read_text())
    if mode == "out":
        assert [line["id"] for line in lines(broken / "out")] == [str(n) for n in range(COUNT)]
