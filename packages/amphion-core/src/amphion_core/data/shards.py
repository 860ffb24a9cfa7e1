"""Writing shards: one shard is one unit of work, whole or absent, the same bytes for any number of workers.

A folder of shards holds `PREFIX-NNNNNN.tar`, its index `PREFIX-NNNNNN.tar.idx` (written last: it marks the shard as
done), `drops.jsonl` with the rows that did not get through, and `shards.json`, which says whether the folder is
complete.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, TypeVar

from amphion_core.atomic import atomic_writer, remove_temporaries
from amphion_core.audio import AudioError, info
from amphion_core.containers import header as audio_header
from amphion_core.data.index import Entry, Index, IndexBuilder, IndexFileError, Place, index_path, probe
from amphion_core.data.record import AUDIO_FIELDS, Drop, Record, check_field, escape_key, unescape_key, write_drops
from amphion_core.data.rows import RowError, check_duration, numbers, parse_json, utterance
from amphion_core.data.tar import END, header, padding
from amphion_core.data.workers import end_with_parent, submit
from amphion_core.locking import file_lock

__all__ = ["MANIFEST", "ShardReport", "Spread", "write_shards"]

RowT = TypeVar("RowT")

Spread = Callable[[Callable[[Any], Any], Sequence[Any]], Iterable[Any]]
"""What runs the shards: takes a function and the jobs, calls it once for each, in processes or on machines of its own,
and gives the results as they end, in any order. Function, jobs and results can be pickled; a job may be begun again."""

_log = logging.getLogger(__name__)

MANIFEST = "shards.json"
"""What says whether a folder of shards is complete."""

_LOCK = ".writing.lock"
_STAGE = "write"
_RETRIES = 2  # times that a pool is started anew after a worker was killed
_FATAL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE)


@dataclass(frozen=True)
class ShardReport:
    """What a run of `write_shards` left in its folder.

    Attributes:
        shards: the tars, in order.
        rows_in: rows given.
        rows_out: rows written; `rows_in` less the drops.
        drops: the others, in the order of the rows.
        skipped: shards that were whole from an earlier run.
    """

    shards: list[Path]
    rows_in: int
    rows_out: int
    drops: list[Drop] = field(default_factory=list)
    skipped: int = 0


class _Job(NamedTuple):
    number: int
    path: Path
    rows: Sequence[Any]
    duplicates: Mapping[int, str]
    encode: Callable[[Any], Record | Drop]
    fingerprint: str
    fail: bool


class _Done(NamedTuple):
    number: int
    rows_in: int
    rows_out: int
    size: int
    drops: list[Drop]


def write_shards(
    rows: Sequence[RowT],
    encode: Callable[[RowT], Record | Drop],
    folder: str | Path,
    *,
    per_shard: int = 1000,
    prefix: str = "shard",
    workers: int = 1,
    fingerprint: str = "",
    progress: bool = True,
    on_error: Literal["record", "fail"] = "record",
    overwrite: bool = False,
    allow_empty: bool = False,
    spread: Spread | None = None,
    admitted: Callable[[], object] | None = None,
) -> ShardReport:
    """Write rows into shards; shard k holds the rows [k * per_shard, (k + 1) * per_shard).

    A run that was killed is continued by calling again: whole shards are kept, half ones are not there. The bytes
    depend on the rows and on what `encode` makes of them, not on workers, time or machine.

    Args:
        rows: what to write. Ids are taken from `.id` (or `["id"]`) where rows have one; a later row of the same id
            is dropped.
        encode: makes the record of a row, or says why not. Runs in worker processes, so it must be picklable there.
        folder: made if absent; it belongs to this function.
        per_shard: rows of one shard, dropped ones included.
        prefix: how the names begin.
        workers: processes of this machine, where `spread` is None.
        fingerprint: text that stands for the settings of `encode`; shards made with another one are not kept.
        progress: show a bar.
        on_error: an exception of `encode` makes a drop (`record`) or ends the run (`fail`).
        overwrite: replace shards of other rows or settings in this folder, instead of refusing.
        allow_empty: it is no error when every row is dropped; the folder then holds shards without rows.
        spread: runs the shards in place of `workers`, such as an engine on a cluster whose machines all see `folder`.
        admitted: called once it is known that this run may write here, before whole shards of an earlier one are
            counted; it may remove those that are to be made again.

    Raises:
        ValueError: the folder holds shards of other rows or settings, no row got through (unless allowed), or `fail`
            and one did not.
        amphion_core.locking.LockedError: another process writes this folder.
        OSError: the disk is full or the folder can't be written; whole shards stay.
    """
    folder = Path(folder)
    if per_shard < 1 or workers < 1:
        raise ValueError(f"per_shard and workers must be at least 1, got {per_shard} and {workers}")
    if not prefix or escape_key(prefix) != prefix:
        raise ValueError(f"the prefix {prefix!r} must be letters, digits, - and _")
    folder.mkdir(parents=True, exist_ok=True)
    with file_lock(folder / _LOCK, what=f"the folder of shards {folder}"):
        remove_temporaries(folder)
        jobs = list(_jobs(rows, encode, folder, per_shard, prefix, fingerprint, on_error))
        manifest = {"format": "amphion-shards", "version": 1, "plan": _plan(jobs), "fingerprint": fingerprint}
        _begin(folder, manifest, [job.path for job in jobs], overwrite)
        if admitted is not None:
            admitted()
        done = {k: whole for k, job in enumerate(jobs) if (whole := _whole(job))}
        skipped = len(done)
        left = [k for k in range(len(jobs)) if k not in done]
        with _bar(progress, len(rows), sum(whole.rows_in for whole in done.values())) as bar:
            results = _run(jobs, left, workers) if spread is None else spread(_attempt, [jobs[k] for k in left])
            for result in results:
                done[result.number] = result
                bar.update(result.rows_in)
        if len(done) < len(jobs):
            raise RuntimeError(f"{len(jobs) - len(done)} shards of {folder} came to no end; call again to go on")
        if spread is not None:
            remove_temporaries(folder)  # of attempts that died
        report = ShardReport(
            [job.path for job in jobs],
            len(rows),
            sum(whole.rows_out for whole in done.values()),
            [drop for k in range(len(jobs)) for drop in done[k].drops],
            skipped,
        )
        _finish(folder, manifest, report, [done[k] for k in range(len(jobs))], allow_empty)
    return report


def _jobs(
    rows: Sequence[Any],
    encode: Callable[[Any], Record | Drop],
    folder: Path,
    per_shard: int,
    prefix: str,
    fingerprint: str,
    on_error: str,
) -> Iterator[_Job]:
    duplicates = _duplicates(rows)
    for number, first in enumerate(range(0, len(rows), per_shard)):
        part = rows[first : first + per_shard]
        doubled = {k - first: duplicates[k] for k in range(first, first + len(part)) if k in duplicates}
        digest = hashlib.sha256(f"{fingerprint}\n{sorted(doubled)}\n".encode())
        for row in part:
            _digest(row, digest)
        path = folder / f"{prefix}-{number:06d}.tar"
        yield _Job(number, path, part, doubled, encode, digest.hexdigest(), on_error == "fail")


def _duplicates(rows: Sequence[Any]) -> dict[int, str]:
    seen: set[str] = set()
    found: dict[int, str] = {}
    for k, row in enumerate(rows):
        name = _row_id(row)
        if name is None:
            continue
        try:
            key = escape_key(name)
        except ValueError:
            continue  # reported when the row is written
        if key in seen:
            found[k] = name
        seen.add(key)
    return found


def _row_id(row: Any) -> str | None:
    name = row.get("id") if isinstance(row, Mapping) else getattr(row, "id", None)
    return name if isinstance(name, str) else None


def _digest(row: Any, digest: Any) -> None:
    if isinstance(row, bytes | bytearray | memoryview):
        digest.update(b"%d:" % len(row))
        digest.update(row)
    elif isinstance(row, tuple | list):
        digest.update(b"[%d" % len(row))
        for item in row:
            _digest(item, digest)
    else:
        to_json = getattr(row, "to_json", None)
        text = to_json() if callable(to_json) else repr(row)
        if " at 0x" in text:
            raise ValueError(
                f"the row {text[:100]} has no stable text; use dataclasses, mappings or a `to_json` method"
            )
        digest.update(str(text).encode("utf-8", "surrogatepass") + b"\n")


def _plan(jobs: Sequence[_Job]) -> str:
    return hashlib.sha256("\n".join(f"{job.path.name} {job.fingerprint}" for job in jobs).encode()).hexdigest()


def _begin(folder: Path, manifest: Mapping[str, Any], wanted: Sequence[Path], overwrite: bool) -> None:
    path = folder / MANIFEST
    before: dict[str, Any] = {}
    if path.is_file():
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            before = {"plan": "unreadable"}
    stale = sorted(p for p in folder.iterdir() if p.name.endswith((".tar", ".tar.idx")) and _is_leftover(p, wanted))
    differs = before.get("plan", manifest["plan"]) != manifest["plan"]
    if (differs or (stale and not before)) and not overwrite:
        what = "settings" if before.get("fingerprint") != manifest["fingerprint"] else "rows"
        what = what if before else f"tars that this run would not write, such as {stale[0].name}"
        raise ValueError(
            f"{folder} holds shards made from other {what}; choose another folder, or replace "
            "them (overwrite=True; --overwrite of a command)"
        )
    if before.get("plan") != manifest["plan"]:
        _write_json(path, {**manifest, "complete": False, "planned": len(wanted)})
    for place in stale:
        place.unlink()


def _is_leftover(path: Path, wanted: Sequence[Path]) -> bool:
    return path.with_name(path.name.removesuffix(".idx")) not in wanted


def _whole(job: _Job) -> _Done | None:
    try:
        index = Index.load(index_path(job.path))
        if index.head.get("fingerprint") != job.fingerprint or index.head["probe"] != probe(job.path):
            return None
    except (FileNotFoundError, IndexFileError):
        return None
    drops = index.drops
    if job.fail and drops:
        return None
    return _Done(job.number, len(job.rows), index.count, job.path.stat().st_size, drops)


def _attempt(job: _Job) -> _Done:
    """The shard, which an attempt that was taken for lost may have finished: then it is left as it is."""
    return _whole(job) or _write(job)


def _run(jobs: Sequence[_Job], left: Sequence[int], workers: int) -> Iterator[_Done]:
    if workers == 1 or len(left) < 2:
        for k in left:
            yield _write(jobs[k])
        return
    waiting = list(left)
    for attempt in range(_RETRIES + 1):
        try:
            for result in _run_pool(jobs, tuple(waiting), workers):
                waiting.remove(result.number)
                yield result
            return
        except BrokenProcessPool:
            if attempt == _RETRIES:
                raise RuntimeError(
                    f"workers were killed {attempt + 1} times (out of memory?); {len(waiting)} shards are left, "
                    f"the next is {jobs[waiting[0]].path.name}; call again to go on, with fewer workers"
                ) from None
            remove_temporaries(jobs[0].path.parent)  # all workers of a broken pool are gone
            _log.warning("a worker process was killed; %d shards are tried again", len(waiting))


def _run_pool(jobs: Sequence[_Job], left: Sequence[int], workers: int) -> Iterator[_Done]:
    ahead = 2 * workers  # rows travel to the workers by pickling, so not all at once
    with ProcessPoolExecutor(min(workers, len(left)), initializer=end_with_parent) as pool:
        pending = {k: submit(pool, _write, jobs[k]) for k in left[:ahead]}
        following = iter(left[ahead:])
        try:
            for k in left:
                result = pending.pop(k).result()
                more = next(following, None)
                if more is not None:
                    pending[more] = submit(pool, _write, jobs[more])
                yield result
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _write(job: _Job) -> _Done:
    builder, drops = IndexBuilder(), []
    index_path(job.path).unlink(missing_ok=True)  # of other rows; without it the shard counts as absent
    seen: set[str] = set()
    with atomic_writer(job.path) as file:
        at = 0
        for number, row in enumerate(job.rows):
            try:
                if number in job.duplicates:
                    raise RowError(f"the id {job.duplicates[number]!r} was there before", "duplicate_id")
                record = job.encode(row)
                if isinstance(record, Drop):
                    drops.append(record)
                    continue
                entry, pieces = _prepared(record, at, seen)
            except Exception as error:
                if job.fail or isinstance(error, MemoryError) or getattr(error, "errno", None) in _FATAL:
                    raise
                drops.append(_as_drop(row, error))
                continue
            at += _put(file, pieces)
            builder.add(entry)
        _put(file, [END])
    builder.write(
        index_path(job.path),
        probe(job.path),
        drops,
        fingerprint=job.fingerprint,
        made_by="write",
        rows_in=len(job.rows),
    )
    return _Done(job.number, len(job.rows), len(builder.entries), at + len(END), drops)


def _as_drop(row: Any, error: Exception) -> Drop:
    reason = getattr(error, "reason", None)
    if not isinstance(reason, str):
        reason = "missing_audio" if isinstance(error, FileNotFoundError) else "bad_row"
    detail = str(error) if isinstance(error, ValueError | FileNotFoundError) else f"{type(error).__name__}: {error}"
    audio = row.get("audio", "") if isinstance(row, Mapping) else getattr(row, "audio", "")
    return Drop(_row_id(row) or repr(row)[:200], audio if isinstance(audio, str) else "", reason, detail, _STAGE)


def _put(file: BinaryIO, pieces: Sequence[bytes]) -> int:
    for piece in pieces:
        file.write(piece)
    return sum(map(len, pieces))


def _prepared(record: Record, at: int, seen: set[str]) -> tuple[Entry, list[bytes]]:
    name = escape_key(record.key)
    if name in seen:
        raise RowError(f"the id {record.key!r} was there before", "duplicate_id")
    if not record.fields:
        raise RowError("the record has no fields")
    places, pieces = [], []
    for ext in sorted(record.fields):
        check_field(ext)
        data = record.fields[ext]
        head = header(f"{name}.{ext}", len(data))
        places.append(Place(ext, at + len(head), len(data), zlib.crc32(data)))
        pieces += [head, data, padding(len(data))]
        at += len(head) + len(data) + len(pieces[-1])
    entry = _entry(Record(unescape_key(name), record.fields), places)
    seen.add(name)
    return entry, pieces


def _entry(record: Record, places: list[Place]) -> Entry:
    audio = next((ext for ext in AUDIO_FIELDS if ext in record.fields), None)
    values = parse_json(record.fields["json"]) if "json" in record.fields else {}
    stated, rate = values.get("duration", 0.0), values.get("sample_rate", 0)
    if audio is not None:
        stated, rate = _length(record.fields[audio], audio, stated, rate)
        check_duration(values, stated)
    if not values:
        return Entry(record.key, places, stated, rate)
    row = utterance(values, record.key, duration=stated, sample_rate=rate)
    return Entry(
        record.key, places, row.duration, row.sample_rate, row.speaker, row.language, len(row.text or ""), numbers(row)
    )


def _length(data: bytes, ext: str, duration: float, rate: int) -> tuple[float, int]:
    told = audio_header(data)
    if told is not None and told.frames and told.sample_rate:
        return told.frames / told.sample_rate, told.sample_rate
    if duration and rate:  # whoever made the row decoded it
        return duration, rate
    try:
        found = info(data)
    except AudioError as error:
        raise RowError(f"the {ext} can't be read: {error}", error.reason) from None
    return found.duration, found.sample_rate


def _finish(
    folder: Path, manifest: Mapping[str, Any], report: ShardReport, done: Sequence[_Done], allow_empty: bool
) -> None:
    if report.rows_in != report.rows_out + len(report.drops):
        raise RuntimeError(
            f"{report.rows_in} rows in, {report.rows_out} out and {len(report.drops)} dropped do not add up in {folder}"
        )
    keys: set[str] = set()
    for path in report.shards:
        before = len(keys)
        index = Index.load(index_path(path))
        keys.update(index.keys)
        if len(keys) != before + index.count:
            raise ValueError(
                f"{path.name} has ids that stand in an earlier shard; give the rows an `id`, or unique keys"
            )
    write_drops(folder / "drops.jsonl", report.drops)
    if report.rows_out == 0 and not allow_empty:
        first = "; ".join(f"{drop.id}: {drop.reason} ({drop.detail})" for drop in report.drops[:10])
        raise ValueError(f"no row of {report.rows_in} got through to {folder}: {first or 'there were none'}")
    shards = [
        {"name": path.name, "rows": whole.rows_out, "drops": len(whole.drops), "bytes": whole.size}
        for path, whole in zip(report.shards, done, strict=True)
    ]
    numbers = {"rows_in": report.rows_in, "rows_out": report.rows_out, "drops": len(report.drops)}
    text = {**manifest, "complete": True, **numbers, "shards": shards}
    path = folder / MANIFEST
    if not path.is_file() or json.loads(path.read_text(encoding="utf-8")) != text:
        _write_json(path, text)


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    with atomic_writer(path) as file:
        file.write((json.dumps(values, indent=1, sort_keys=True) + "\n").encode())


def _bar(progress: bool, total: int, initial: int) -> Any:
    from tqdm import tqdm

    return tqdm(total=total, initial=initial, unit="row", disable=not progress, desc="shards")
