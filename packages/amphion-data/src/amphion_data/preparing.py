"""A corpus into shards: rows read, split, encoded in parallel, indexed, counted; killed, it goes on from there.

The output is `{train,valid,test}/shard-NNNNNN.tar` with an index beside each, `drops.jsonl`, `stats.json`, `README.md`
and, last, `prepare.json`: where that is, the work is whole. The bytes depend on the corpus and the settings alone.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from amphion_core.atomic import atomic_writer, remove_temporaries
from amphion_core.data import Drop, write_drops, write_shards
from amphion_core.locking import file_lock
from amphion_data.__about__ import __version__
from amphion_data.card import data_card
from amphion_data.corpus import Corpus
from amphion_data.encoding import Encoder
from amphion_data.engines.engine import Engine
from amphion_data.engines.sharding import spread_over
from amphion_data.figures import Comparison, Tally, compare_sound, missing_files
from amphion_data.files import read_record
from amphion_data.inputs import forget_changed, inputs_record
from amphion_data.parts import iter_rows
from amphion_data.plan import Plan, count_reasons, plan_preparation, refuse_faults
from amphion_data.settings import PrepareSettings
from amphion_data.splits import SPLITS
from amphion_data.statistics import Statistics, count_folder

__all__ = ["PrepareReport", "prepare"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PrepareReport:
    """What a preparation did.

    Attributes:
        out: the folder.
        rows_in: rows and files that the corpus has.
        kept: rows in the shards, by split.
        dropped: rows that are not, by reason.
        warnings: rows that are kept but have something odd, by kind.
        statistics: of each split.
        comparison: with what is published of the corpus: counts, hours, rate, missing files.
    """

    out: Path
    rows_in: int
    kept: Mapping[str, int]
    dropped: Mapping[str, int]
    warnings: Mapping[str, int]
    statistics: Mapping[str, Statistics]
    comparison: Comparison = field(default_factory=Comparison)

    def to_text(self) -> str:
        """What came in and out, for people."""
        kept, dropped = sum(self.kept.values()), sum(self.dropped.values())
        lines = [f"{self.rows_in} rows in = {kept} kept + {dropped} dropped"]
        for split, part in self.statistics.items():
            lines.append(f"  {split:6} {part.rows:>8} rows {part.hours:>9.3f} h   {self.out / split}")
        lines += [f"  dropped {count:>8}  {reason}" for reason, count in self.dropped.items()]
        lines += [f"  noted   {count:>8}  {kind}" for kind, count in self.warnings.items()]
        lines += [f"  {line}" for line in self.comparison.to_lines()]
        if dropped:
            lines.append(f"each dropped row and its reason: {self.out / 'drops.jsonl'}")
        return "\n".join(lines)


def prepare(
    corpus: str | Corpus,
    source: str | Path,
    out: str | Path,
    settings: PrepareSettings | None = None,
    *,
    split_list: str | Path | None = None,
    workers: int | None = None,
    engine: Engine | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> PrepareReport:
    """Make shards of a corpus.

    Args:
        corpus: name as `amphion-data corpora` lists it, or a corpus of one's own.
        source: its folder, or a table in it.
        out: folder to write; what an earlier run of the same settings finished there is kept.
        settings: what to do.
        split_list: file of `ID<tab>SPLIT` lines that replaces the split by hash; rows it does not list are dropped.
        workers: processes; None takes one for each core. The output does not depend on it.
        engine: runs the shards instead of `workers`, one as a unit of work; `source` and `out` must be folders that all
            its machines see. The output does not depend on it either.
        overwrite: replace what other rows or settings left in the folder, instead of refusing.
        progress: whether to show a progress bar on stderr.

    Raises:
        FileNotFoundError: the folder is not what the corpus needs.
        ValueError: no row is usable, the folder holds shards of other rows or settings, or
            with `on_error="fail"` the first faulty row.
        RuntimeError: a shard failed in every attempt of the engine; the others stay.
        amphion_core.locking.LockedError: another process prepares into the same folder.
    """
    out = Path(out)
    workers = workers or os.cpu_count() or 1
    plan = plan_preparation(corpus, source, settings or PrepareSettings(), split_list)
    if out.resolve().is_relative_to(plan.root.resolve()):
        raise ValueError(f"{out} is inside the corpus {plan.root}, which is only read; choose a folder outside")
    log.info("%s: %d rows; licence: %s", plan.corpus.title, plan.rows_in, plan.corpus.licence)
    out.mkdir(parents=True, exist_ok=True)
    with file_lock(out / ".preparing.lock", what=f"the prepared corpus {out}"):
        remove_temporaries(out)
        asked = _asked(plan)
        _forget_other_runs(plan, out, asked, overwrite)
        drops = [*plan.drops, *_write(plan, out, asked, workers, engine, overwrite, progress)]
        refuse_faults(drops, plan.settings)
        report = _count(plan, out, drops)
        _finish(plan, report, drops, asked)
    _note_empty(report, plan)
    return report


def _asked(plan: Plan) -> dict[str, Any]:
    """What the bytes of the shards depend on, beside the corpus itself."""
    import soundfile
    import soxr

    from amphion_core.__about__ import __version__ as core

    libraries = {"libsndfile": soundfile.__libsndfile_version__, "soxr": soxr.__version__}
    return {
        "corpus": plan.corpus.name,
        "settings": plan.settings.to_dict(),
        "split_rule": plan.split_rule,
        "versions": {"amphion-core": core, "amphion-data": __version__, **libraries},
    }


def _write(
    plan: Plan,
    out: Path,
    asked: Mapping[str, Any],
    workers: int,
    engine: Engine | None,
    overwrite: bool,
    progress: bool,
) -> list[Drop]:
    """Write the shards of every split; returns the rows that could not be encoded."""
    settings = plan.settings
    fingerprint = json.dumps({**asked, "settings": _deciding(settings.to_dict())}, sort_keys=True)
    drops: list[Drop] = []
    for split, rows in plan.parts.items():
        log.info("%s: %d rows", split, len(rows))
        written = write_shards(
            rows,
            Encoder(plan.root.absolute(), settings),  # a worker elsewhere has another current folder
            (out / split).absolute(),
            per_shard=settings.per_shard,
            workers=workers,
            fingerprint=fingerprint,
            on_error=settings.on_error,
            overwrite=overwrite,
            progress=progress,
            allow_empty=True,
            spread=None if engine is None else spread_over(engine),
            # Not before: a run that is refused, since its rows are others, must leave the folder as it is.
            admitted=partial(forget_changed, out / split, plan.root, rows, settings.per_shard),
        )
        remove_temporaries(out / split)  # of workers that outlived a killed run by a moment
        drops += written.drops
        if not written.rows_out:  # a split whose rows were all dropped is none; what became of them is in the drops
            shutil.rmtree(out / split)
            inputs_record(out / split).unlink(missing_ok=True)
    return drops


def _count(plan: Plan, out: Path, drops: Sequence[Drop]) -> PrepareReport:
    """Count what lies on the disk, against what went in."""
    counts = ", ".join(f"{n} {reason}" for reason, n in count_reasons(drops).items())
    statistics = count_folder(out) if any((out / split).is_dir() for split in SPLITS) else {}
    kept = {split: statistics[split].rows if split in statistics else 0 for split in SPLITS}
    if sum(kept.values()) + len(drops) != plan.rows_in:
        came = f"{kept} and {len(drops)} drops came out"
        raise RuntimeError(f"{plan.rows_in} rows went in, but {came}; remove {out} and run again")
    if not any(kept.values()):
        write_drops(out / "drops.jsonl", drops)
        raise ValueError(f"no usable row: {counts}; the last: {drops[-1].id}: {drops[-1].detail}")
    warnings, tally = Counter[str](), Tally()
    for row in iter_rows(out):
        warnings.update(str(warning).partition(":")[0] for warning in row.extra.get("warnings", ()))
        tally.add(plan.corpus.part(row), row)
    noted = dict(sorted(warnings.items()))
    compared = _compare(plan, tally, drops)
    return PrepareReport(out, plan.rows_in, kept, count_reasons(drops), noted, statistics, compared)


def _compare(plan: Plan, tally: Tally, drops: Sequence[Drop]) -> Comparison:
    """The comparison of the plan with what only the audio tells, each difference said once."""
    heard = compare_sound(plan.corpus, tally, whole=not plan.settings.trim)
    for difference in heard:
        log.warning("%s differs from what is published: %s", plan.corpus.name, difference.to_text())
    first, count = missing_files(drops)
    if count:
        log.warning("%d files are missing, the first: %s", count, ", ".join(first))
    differences = [*plan.comparison.differences, *heard]
    return replace(plan.comparison, differences=differences, missing=first, missing_count=count)


def _finish(plan: Plan, report: PrepareReport, drops: Sequence[Drop], asked: Mapping[str, Any]) -> None:
    """Write what is about the whole; `prepare.json`, the mark of completion, last."""
    out = report.out
    record = {
        "rows_in": report.rows_in,
        "kept": dict(report.kept),
        "dropped": dict(report.dropped),
        "warnings": dict(report.warnings),
        **asked,
        "compared": report.comparison.to_dict(),
        "about": plan.corpus.facts() | ({"licence": licence} if (licence := plan.settings.licence) else {}),
    }
    write_drops(out / "drops.jsonl", drops)
    _put(out / "stats.json", _json({split: part.to_dict() for split, part in report.statistics.items()}))
    _put(out / "README.md", data_card(plan.corpus, report.statistics, record, report.comparison))
    _put(out / "prepare.json", _json(record))


def _forget_other_runs(plan: Plan, out: Path, asked: Mapping[str, Any], overwrite: bool) -> None:
    """Remove what describes a run with other settings, and the shards of splits that this one does not have."""
    mark = out / "prepare.json"
    before = read_record(mark, replaced=overwrite)
    differing = [name for name, value in _flat(asked).items() if before and _flat(before).get(name) != value]
    gone = [split for split in SPLITS if split not in plan.parts and inputs_record(out / split).exists()]
    if (differing or gone) and not overwrite:
        what = f"other {', '.join(differing)}" if differing else f"a {gone[0]} split, which these rows don't have"
        raise ValueError(f"{out} was made with {what}; choose another folder, or replace it with --overwrite")
    if differing:
        for name in ("prepare.json", "README.md", "stats.json", "drops.jsonl"):
            (out / name).unlink(missing_ok=True)
    for split in gone:
        for path in sorted((out / split).glob("shard*")):
            path.unlink()
        (out / split / "drops.jsonl").unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # something of the user's lies there
            (out / split).rmdir()
        inputs_record(out / split).unlink()


def _flat(record: Mapping[str, Any]) -> dict[str, Any]:
    """The corpus, settings and versions of a record, one level deep."""
    settings = _deciding(record["settings"])
    return {"corpus": record["corpus"], "split_rule": record["split_rule"], **settings, **record["versions"]}


def _deciding(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those settings that the bytes of shards depend on."""
    return {name: value for name, value in settings.items() if name not in ("on_error", "licence")}


def _note_empty(report: PrepareReport, plan: Plan) -> None:
    if not report.kept["train"]:
        log.warning(
            "no row is left to train on: %s", ", ".join(f"{n} {split}" for split, n in report.kept.items() if n)
        )
    for split, asked in (("valid", plan.settings.valid), ("test", plan.settings.test)):
        if asked and not report.kept[split]:
            log.warning("the %s split is empty: %s", split, _why_empty(plan, split, asked))


def _why_empty(plan: Plan, split: str, asked: float) -> str:
    if split in plan.parts:
        return f"all of its {len(plan.parts[split])} rows were dropped; drops.jsonl says why"
    if not plan.split_by_hash:
        rule = plan.split_rule.removesuffix(".")
        hint = f"--{split} {asked:g} has no effect; name its rows in a --split LIST"
        return f"{rule}, and no row is {split} there, so {hint}"
    if asked >= 1:
        return f"no unit was left for it; ask for less than {asked:g} rows, or split by a smaller unit"
    return f"no unit fell into a share of {asked:g}; ask for a number of rows, such as --{split} 10"


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=False, indent=2) + "\n"


def _put(path: Path, text: str) -> None:
    with atomic_writer(path) as file:
        file.write(text.encode())
