"""Shards against their index: every checksum, every decode, every duration."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from amphion_core.data import ShardSet
from amphion_data.parts import open_parts

__all__ = ["CheckReport", "check_folder"]

_TOLERANCE = 0.05  # s; encoders of MP3 and Opus add or cut a part of a frame


@dataclass(frozen=True)
class CheckReport:
    """What a check found.

    Attributes:
        rows: rows looked at.
        shards: tars looked at.
        faults: one line each; empty where all is well.
    """

    rows: int
    shards: int
    faults: tuple[str, ...]


def check_folder(source: str | Path, *, workers: int | None = None) -> CheckReport:
    """Read, decode and measure every row of the shards below a folder.

    Args:
        source: what `prepare` wrote, a folder of shards, or one shard.
        workers: processes; None takes one for each core.

    Raises:
        FileNotFoundError: there are no shards.
    """
    source = Path(source)
    open_parts(source)
    tars = [source] if source.is_file() else sorted(source.rglob("*.tar"))
    workers = min(workers or os.cpu_count() or 1, len(tars))
    if workers <= 1:
        results = [_check_shard(tar) for tar in tars]
    else:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            results = list(pool.map(_check_shard, tars))
    return CheckReport(sum(n for n, _ in results), len(tars), tuple(fault for _, faults in results for fault in faults))


def _check_shard(tar: Path) -> tuple[int, list[str]]:
    try:
        shards = ShardSet.open(tar)
    except (ValueError, OSError) as error:
        return 0, [f"{tar.name}: {error}"]
    faults = [f"{drop.id}: {drop.detail}" for drop in shards.drops if drop.stage != "audio"]
    try:
        shards.verify()
    except ValueError as error:
        faults.append(str(error))
    faults += [fault for i in range(len(shards)) for fault in _check_row(shards, i)]
    return len(shards), [f"{tar.name}: {fault}" for fault in faults]


def _check_row(shards: ShardSet, number: int) -> Iterator[str]:
    key, stated = shards.keys[number], float(shards.durations[number])
    try:
        row = shards.utterance(number)
        wav, rate = shards.audio(number)
    except (ValueError, OSError) as error:
        yield f"{key}: {error}"
        return
    decoded = wav.shape[-1] / rate
    for name, value in (("index", stated), ("row", row.duration)):
        if abs(decoded - value) > max(_TOLERANCE, 0.01 * decoded):
            yield f"{key}: the {name} states {value:.3f} s, the audio has {decoded:.3f} s"
