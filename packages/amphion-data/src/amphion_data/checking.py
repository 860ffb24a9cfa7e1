"""Shards against their index: every checksum, every decode, every duration."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from amphion_core.data import ShardSet
from amphion_core.data.index import Index, IndexFileError, index_path, probe

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
    tars = [source] if source.is_file() else sorted(source.rglob("*.tar"))
    if not tars:
        raise FileNotFoundError(f"no shards (*.tar) in {source}")
    changed = {tar: fault for tar in tars if (fault := _check_index(tar))}
    intact = [tar for tar in tars if tar not in changed]  # the others are not opened: that would make a new index
    folders = sorted({tar.parent for tar in tars} - {tar.parent for tar in changed})
    faults = [*changed.values(), *(fault for folder in folders for fault in _check_whole(folder, source))]
    workers = min(workers or os.cpu_count() or 1, len(intact))
    if workers <= 1:
        results = [_check_shard(tar) for tar in intact]
    else:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            results = list(pool.map(_check_shard, intact))
    faults += [fault for _, found in results for fault in found]
    return CheckReport(sum(count for count, _ in results), len(tars), tuple(faults))


def _check_index(tar: Path) -> str:
    """What is wrong between a shard and its index; empty where they agree or there is none."""
    try:
        noted = Index.load(index_path(tar)).head["probe"]
    except FileNotFoundError:
        return ""
    except IndexFileError as error:
        return str(error)
    return "" if noted == probe(tar) else f"{tar.name}: it is not the file that its index was made of"


def _check_whole(folder: Path, source: Path) -> list[str]:
    """Whether a folder has all the shards that were written to it; nothing to say of a single shard."""
    if source.is_file():
        return []
    try:
        ShardSet.open(folder)
    except (ValueError, OSError) as error:
        return [str(error)]
    return []


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
