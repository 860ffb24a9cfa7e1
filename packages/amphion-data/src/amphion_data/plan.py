"""What a preparation will do: rows read, faults apart, each row in a split. Opens no audio."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from amphion_core.data import Drop
from amphion_core.schema import Utterance
from amphion_data.corpus import SELECTED, Corpus, find_corpus, scan
from amphion_data.encoding import RowError
from amphion_data.figures import Comparison, compare_counts
from amphion_data.files import first_entries
from amphion_data.settings import PrepareSettings
from amphion_data.splits import SPLITS, assign_splits, read_split_list

__all__ = ["Plan", "count_reasons", "plan_preparation", "refuse_faults"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """Rows to encode and what is known of them before their audio is opened.

    Attributes:
        corpus: what is read.
        root: folder that the paths of the rows are below.
        settings: what to do.
        parts: rows of each split that has any, in the order of the corpus.
        drops: what the reader and the list of splits left out.
        split_rule: one sentence.
        split_by_hash: whether the shares that the settings ask for decided the split.
        comparison: of what was found with the published figures.
    """

    corpus: Corpus
    root: Path
    settings: PrepareSettings
    parts: Mapping[str, Sequence[Utterance]]
    drops: Sequence[Drop]
    split_rule: str
    split_by_hash: bool
    comparison: Comparison = field(default_factory=Comparison)

    @property
    def rows_in(self) -> int:
        """Rows and files that the corpus has."""
        return len(self.drops) + sum(map(len, self.parts.values()))


def plan_preparation(
    corpus: str | Corpus, source: str | Path, settings: PrepareSettings, split_list: str | Path | None = None
) -> Plan:
    """Read the rows of a corpus and give each its split.

    Args:
        corpus: name as `amphion-data corpora` lists it, or a corpus of one's own.
        source: its folder, or a table in it.
        settings: what to do.
        split_list: see `amphion_data.prepare`.

    Raises:
        FileNotFoundError: the folder is not what the corpus needs.
        ValueError: no row is usable, or with `on_error="fail"` a row is faulty.
    """
    corpus = find_corpus(corpus) if isinstance(corpus, str) else corpus
    source = Path(source)
    options = {"speaker": settings.speaker, "language": settings.language, "require_text": settings.require_text}
    found = scan(corpus, source, **options, **settings.options)
    refuse_faults(found.drops, settings)
    if not found.rows:
        counts = ", ".join(f"{n} {reason}" for reason, n in count_reasons(found.drops).items()) or "no rows at all"
        looked = f"no usable row in {source} as {corpus.name} ({corpus.layout})"
        raise ValueError(f"{looked}: {counts}; {first_entries(source)}")
    comparison = compare_counts(corpus, found.rows)
    for difference in comparison.differences:
        log.warning("%s differs from what is published: %s", corpus.name, difference.to_text())
    names, rule, by_hash = _split(corpus, found.rows, settings, split_list)
    parts: dict[str, list[Utterance]] = {split: [] for split in SPLITS}
    drops = list(found.drops)
    for row, split in zip(found.rows, names, strict=True):
        if split:
            parts[split].append(replace(row, extra={**row.extra, "split": split}))
        else:
            drops.append(Drop(row.id, row.audio, "filtered", "not in the list of splits", "split"))
    if not any(parts.values()):
        raise ValueError(f"none of {len(names)} rows of {source} is in a split. {rule}")
    root = source.parent if source.is_file() else source
    filled = {split: rows for split, rows in parts.items() if rows}
    return Plan(corpus, root, settings, filled, drops, rule, by_hash, comparison)


def refuse_faults(drops: Sequence[Drop], settings: PrepareSettings) -> None:
    """With `on_error="fail"`, refuse rows that were dropped for a fault and not by choice.

    Raises:
        RowError: there is one; names the first.
    """
    faults = [drop for drop in drops if drop.reason not in SELECTED]
    if faults and settings.on_error == "fail":
        first = faults[0]
        raise RowError(
            f"{len(faults)} faulty rows, the first {first.id!r} ({first.audio}): {first.reason}: {first.detail}; "
            "--on-error record drops such rows and goes on"
        )


def count_reasons(drops: Sequence[Drop]) -> dict[str, int]:
    """Number of drops by reason."""
    return dict(sorted(Counter(drop.reason for drop in drops).items()))


def _split(
    corpus: Corpus, rows: Sequence[Utterance], settings: PrepareSettings, split_list: str | Path | None
) -> tuple[list[str], str, bool]:
    """The split of each row, empty where a given list leaves it out, the rule in words, and whether it is the hash."""
    unit = corpus.unit(rows, settings.split_by)
    stated = any("split" in row.extra for row in rows)
    if settings.split_by and (split_list is not None or stated):
        who = "the list of splits" if split_list is not None else "the corpus"
        log.warning("--split-by %s has no effect: %s says what is in which split", settings.split_by, who)
    if split_list is not None:
        listed = read_split_list(split_list)
        unknown = sorted(listed.keys() - {row.id for row in rows})
        if unknown:
            log.warning("%s lists %d ids that are no usable rows: %s ...", split_list, len(unknown), unknown[:5])
        return [listed.get(row.id, "") for row in rows], f"Split as in the list {Path(split_list).name}.", False
    if stated:
        rule = "Split as the corpus states, train where it does not."
        return [row.extra.get("split", "train") for row in rows], rule, False
    units = [corpus.units[unit](row) for row in rows]
    names = assign_splits(corpus.name, units, valid=settings.valid, test=settings.test)
    return names, f"Split by hash of the {unit}: none is in two splits.", True
