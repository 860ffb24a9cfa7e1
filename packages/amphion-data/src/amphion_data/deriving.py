"""Shards out of shards: what merging, filtering and repacking have in common.

The output is like that of `prepare`: `{train,valid,test}/shard-NNNNNN.tar` (or the shards directly, where the source
has no such parts), `drops.jsonl`, `stats.json`, `README.md`, and `made.json`, which is complete only at the end. Killed
anywhere and run again, the same bytes come out.
"""

from __future__ import annotations

import itertools
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amphion_core.atomic import atomic_writer, remove_temporaries
from amphion_core.data import Drop, ShardSet, write_drops, write_shards
from amphion_core.locking import file_lock
from amphion_data.files import read_record
from amphion_data.parts import open_parts
from amphion_data.pointers import Copier, Pointers
from amphion_data.splits import SPLITS
from amphion_data.statistics import Statistics, count_shards

__all__ = ["Derivation", "DeriveReport", "Source", "derive", "open_sources", "refuse_below_one", "refuse_inside"]

_MARK = "made.json"
_UNKNOWN = "not stated"


@dataclass(frozen=True)
class Source:
    """A set that something is made of.

    Attributes:
        name: for messages and prefixes.
        path: where it is.
        parts: its sets by split; the only one is called "" where there are no splits.
        licence: of the data, as its card states it.
    """

    name: str
    path: Path
    parts: Mapping[str, ShardSet]
    licence: str

    @property
    def drops(self) -> list[Drop]:
        """What the tars hold but their indices leave out as damaged."""
        return [drop for shards in self.parts.values() for drop in shards.drops]

    @property
    def rows(self) -> int:
        """Rows of all parts."""
        return sum(map(len, self.parts.values()))


@dataclass(frozen=True)
class Derivation:
    """What to write.

    Attributes:
        tool: name of the command.
        settings: what the content depends on, as JSON values.
        parts: rows of each split, in order.
        dropped: rows that are left out, made when they are written.
        rows_in: rows of all sources, without those that their indices leave out.
        copier: makes the records.
    """

    tool: str
    settings: Mapping[str, Any]
    parts: Mapping[str, Pointers]
    dropped: Callable[[], Iterable[Drop]]
    rows_in: int
    copier: Copier


@dataclass(frozen=True)
class DeriveReport:
    """What a run did.

    Attributes:
        out: the folder.
        rows_in: rows of the sources.
        kept: rows in the shards, by split.
        dropped: the others, by reason.
        statistics: of each split.
    """

    out: Path
    rows_in: int
    kept: Mapping[str, int]
    dropped: Mapping[str, int]
    statistics: Mapping[str, Statistics] = field(default_factory=dict)

    def to_text(self) -> str:
        """What came in and out, for people."""
        kept, dropped = sum(self.kept.values()), sum(self.dropped.values())
        lines = [f"{self.rows_in} rows in = {kept} kept + {dropped} dropped"]
        for split, part in self.statistics.items():
            lines.append(f"  {split or 'rows':6} {part.rows:>8} rows {part.hours:>9.3f} h   {self.out / split}")
        lines += [f"  dropped {count:>8}  {reason}" for reason, count in self.dropped.items()]
        if dropped:
            lines.append(f"each dropped row and its reason: {self.out / 'drops.jsonl'}")
        return "\n".join(lines)


def open_sources(paths: Sequence[str | Path]) -> list[Source]:
    """Open sets of shards; `NAME=PATH` gives one another name than that of its folder.

    Raises:
        FileNotFoundError: one of them has no shards.
        ValueError: two have one name.
    """
    sources = [_source(str(path)) for path in paths]
    counts = Counter(source.name for source in sources)
    doubled = [name for name, count in counts.items() if count > 1]
    if doubled:
        raise ValueError(f"two sources are called {doubled[0]!r}; write NAME=PATH to tell them apart")
    return sources


def _source(text: str) -> Source:
    name, sign, rest = text.partition("=")
    path = Path(rest if sign and not Path(text).exists() else text)
    parts = open_parts(path)
    named = {split: parts[split] for split in SPLITS if split in parts} if set(parts) <= set(SPLITS) else {}
    if named and path.name in SPLITS and path.name in parts:  # data/lj/train is a set, not a part of one
        named = {}
    own = name if sign and path != Path(text) else path.stem if path.is_file() else path.resolve().name
    return Source(own, path, named or {"": next(iter(parts.values()))}, _licence(path))


def _licence(path: Path) -> str:
    for folder in (path, path.parent):
        for name in ("prepare.json", _MARK):
            try:
                values = json.loads((folder / name).read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue
            return str({**values, **values.get("about", {})}.get("licence", _UNKNOWN))
    return _UNKNOWN


def derive(
    plan: Derivation,
    sources: Sequence[Source],
    out: str | Path,
    *,
    per_shard: int = 1000,
    workers: int | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> DeriveReport:
    """Write what was planned.

    Args:
        plan: which rows, in which order, how.
        sources: where they come from.
        out: folder to write; what an earlier run of the same plan finished there is kept.
        per_shard: rows in a shard.
        workers: processes; None takes one for each core. The output does not depend on it.
        overwrite: replace what another plan left in the folder, instead of refusing.
        progress: whether to show a progress bar on stderr.

    Raises:
        ValueError: no row is left, the folder lies in a source or holds something else, or a number is below 1.
        amphion_core.locking.LockedError: another process writes into the folder.
    """
    refuse_below_one(per_shard=per_shard, workers=workers)
    out = Path(out)
    refuse_inside(out, sources)
    if not any(map(len, plan.parts.values())):
        counts = Counter(drop.reason for drop in plan.dropped())
        raise ValueError(f"no row of {plan.rows_in} is left: {_counts(counts) or 'the sources are empty'}")
    asked = {"tool": plan.tool, "settings": {**plan.settings, "per_shard": per_shard}, "sources": _told(sources)}
    out.mkdir(parents=True, exist_ok=True)
    with file_lock(out / ".deriving.lock", what=f"the folder of shards {out}"):
        remove_temporaries(out)
        _begin(out, asked, plan.parts, overwrite)
        written: list[Drop] = []
        for split, rows in plan.parts.items():
            report = write_shards(
                rows,
                plan.copier,
                out / split,
                per_shard=per_shard,
                workers=workers or os.cpu_count() or 1,
                fingerprint=json.dumps(asked["settings"], sort_keys=True),
                overwrite=overwrite,
                progress=progress,
                allow_empty=True,
            )
            remove_temporaries(out / split)
            written += report.drops
        return _finish(out, plan, asked, written, sources)


def _finish(
    out: Path, plan: Derivation, asked: Mapping[str, Any], written: Sequence[Drop], sources: Sequence[Source]
) -> DeriveReport:
    """Count what lies on the disk, describe it, and put the mark of completion."""
    reasons: Counter[str] = Counter()
    damaged = [drop for source in sources for drop in source.drops]
    rows_in = plan.rows_in + len(damaged)

    def counted() -> Iterator[Drop]:
        for drop in itertools.chain(damaged, plan.dropped(), written):
            reasons[drop.reason] += 1
            yield drop

    write_drops(out / "drops.jsonl", counted())
    statistics = {split: count_shards(ShardSet.open(out / split)) for split in plan.parts}
    kept = {split: part.rows for split, part in statistics.items()}
    if sum(kept.values()) + reasons.total() != rows_in:
        raise RuntimeError(f"{rows_in} rows went in, but {kept} and {_counts(reasons)} came out; remove {out}")
    report = DeriveReport(out, rows_in, kept, dict(sorted(reasons.items())), statistics)
    licence = "; ".join(dict.fromkeys(source.licence for source in sources))
    record = {**asked, "licence": licence, "rows_in": rows_in, "kept": kept, "dropped": dict(report.dropped)}
    _put(out / "stats.json", _json({split or "rows": part.to_dict() for split, part in statistics.items()}))
    _put(out / "README.md", _card(report, record))
    _put(out / _MARK, _json({"complete": True, **record}))
    return report


def _begin(out: Path, asked: Mapping[str, Any], parts: Iterable[str], overwrite: bool) -> None:
    """Refuse a folder that holds something else, and note what is going to be written."""
    mark = out / _MARK
    before = read_record(mark, replaced=overwrite)
    same = bool(before) and all(before.get(name) == value for name, value in asked.items())
    there = [path.name for path in sorted(out.iterdir()) if not path.name.startswith(".")]
    if not same and there and not overwrite:
        what = f"what {before['tool']} made with other settings or sources" if before else f"{', '.join(there[:5])}"
        raise ValueError(f"{out} holds {what}; choose another folder, or replace it with --overwrite")
    if same:
        return
    for split in {"", *SPLITS} - set(parts):  # shards of splits that are no more
        folder = out / split
        for path in [*folder.glob("shard-*.tar"), *folder.glob("shard-*.tar.idx"), folder / "shards.json"]:
            path.unlink(missing_ok=True)
    for name in ("prepare.json", "README.md", "stats.json", "drops.jsonl"):
        (out / name).unlink(missing_ok=True)
    _put(mark, _json({"complete": False, **asked}))


def refuse_inside(out: Path, sources: Sequence[Source]) -> None:
    """Refuse an output that lies in a source, or the other way round.

    Raises:
        ValueError: names both.
    """
    place = out.resolve()
    for source in sources:
        other = source.path.resolve()
        if place.is_relative_to(other) or other.is_relative_to(place):
            raise ValueError(f"{out} and the source {source.path} lie in one another; choose another folder")


def refuse_below_one(**numbers: int | None) -> None:
    """Refuse numbers of rows or processes before anything is written.

    Raises:
        ValueError: names the number.
    """
    for name, value in numbers.items():
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")


def _told(sources: Sequence[Source]) -> list[dict[str, Any]]:
    return [
        {"name": s.name, "rows": s.rows, "content": {part: shards.fingerprint for part, shards in s.parts.items()}}
        for s in sources
    ]


def _counts(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))


def _card(report: DeriveReport, record: Mapping[str, Any]) -> str:
    """A README.md: what this is, of what, how it was made."""
    names = ", ".join(source["name"] for source in record["sources"])
    lines = [f"# Shards of {names}", "", f"Licence of the data: {record['licence']}.", ""]
    lines += ["| split | rows | hours | speakers | languages | sample rates, Hz |"]
    lines += ["| --- | --- | --- | --- | --- | --- |"]
    for split, part in report.statistics.items():
        voices = len([speaker for speaker in part.speakers if speaker])
        languages = ", ".join(sorted(language or _UNKNOWN for language in part.languages))
        rates = ", ".join(map(str, sorted(part.sample_rates)))
        lines.append(f"| {split or 'all'} | {part.rows} | {part.hours:.3f} | {voices} | {languages} | {rates} |")
    kept, dropped = sum(report.kept.values()), sum(report.dropped.values())
    lines += [
        "",
        f"Made by `amphion-data {record['tool']}`: {report.rows_in} rows in = {kept} kept + {dropped} dropped.",
    ]
    if dropped:
        lines += ["", "| dropped because | rows |", "| --- | --- |"]
        lines += [f"| {reason} | {count} |" for reason, count in report.dropped.items()]
    lines += ["", "| setting | value |", "| --- | --- |"]
    lines += [f"| {name} | `{value}` |" for name, value in record["settings"].items() if value is not None]
    return "\n".join(lines) + "\n"


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=False, indent=2) + "\n"


def _put(path: Path, text: str) -> None:
    with atomic_writer(path) as file:
        file.write(text.encode())
