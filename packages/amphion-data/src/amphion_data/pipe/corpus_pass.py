"""The second pass of a run with `filter.rates = corpus`: bounds of all kept rows, and the rows that lie outside.

The first pass writes its shards to `first/` and counts rates in its marks. When all units are marked, the bounds follow
from these counts, and each unit's rows are filtered into its shard in `shards/`, with a mark of its own in `rated/`
whose key also depends on the bounds. So both passes resume, and their bytes do not depend on order or engine.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from amphion_core.data import Drop, Record, ShardSet, write_shards
from amphion_data.engines import Engine, Leases, Ledger, Step, Store, open_store
from amphion_data.pipe.rates import RateBounds, RateCounts
from amphion_data.pipe.scratch import Scratch
from amphion_data.pipe.text_rules import seconds_per_character

__all__ = ["FIRST", "Bounds", "RateWork", "final_facts", "forget_other_passes", "forget_unit", "run_corpus_pass"]

log = logging.getLogger(__name__)

FIRST = "first"
"""Folder of the shards of the first pass."""

_TABLE = "rates.json"
_MARKS = "rated"

Bounds = Mapping[str, Sequence[float]]
"""Lowest and highest seconds a character by language."""

Facts = dict[str, Any]


@dataclass(frozen=True)
class Rated:
    """A unit on its way through the second pass.

    Attributes:
        first: key of its mark of the first pass.
        key: of its mark of this one.
    """

    first: str
    key: str


def run_corpus_pass(
    store: Store,
    keys: Sequence[str],
    engine: Engine,
    *,
    own: Mapping[str, tuple[float, float]] | None = None,
    cpus: float = 1.0,
    beat: float = 20.0,
) -> str:
    """Filter the rows of units that are all marked.

    Args:
        store: of the output.
        keys: of all units, in the order of the plan.
        engine: who works.
        own: bounds of languages with too few rows, before those of the package.
        cpus: cores of one worker.
        beat: s between two signs of life of the leases.

    Returns:
        Why units could not be finished; empty where all are.
    """
    bounds = _agreed(store, keys, own or {})
    units = {unit.key: unit for unit in (Rated(key, _key(key, bounds)) for key in keys)}
    ledger, step = Ledger(store, _MARKS), Step("rates", partial(RateWork, store.address, bounds), cpus=cpus)
    errors: list[str] = []
    with Leases(store, folder="rate-leases", beat=beat, patience=6 * beat) as leases:
        free = (units[key] for key in leases.free(units, ledger))
        for outcome in engine.run([step], free):
            leases.give_back(outcome.unit.key)
            if not outcome.done:
                errors.append(f"{outcome.unit.first}: {outcome.error.splitlines()[-1]}")
    left = sum(ledger.facts(key) is None for key in units)
    return f"{left} units did not pass the rates of the corpus: {'; '.join(errors[:3])}" if left else ""


def _agreed(store: Store, keys: Iterable[str], own: Mapping[str, tuple[float, float]]) -> dict[str, list[float]]:
    """The bounds of the rows of all units, kept in the output."""
    counts, ledger = RateCounts(), Ledger(store)
    for key in keys:
        counts.update((ledger.facts(key) or {}).get("rates", {}))
    found = counts.bounds(own)
    for language, rows in counts.few().items():
        log.warning("%s: %d rows are too few for bounds of their own; %s", language, rows, _kept(found, language))
    bounds = {language: [bound.low, bound.high] for language, bound in found.items()}
    sizes = {language: bound.rows for language, bound in found.items()}
    text = json.dumps({"bounds": bounds, "rows": sizes}, indent=1, ensure_ascii=False) + "\n"
    store.write(_TABLE, text.encode())
    return bounds


def _kept(found: Mapping[str, RateBounds], language: str) -> str:
    return "the wide ones are kept" if language in found else "all are kept"


def _key(unit: str, bounds: Bounds) -> str:
    """Key of the second mark: of the first and of all bounds."""
    text = json.dumps({name: list(own) for name, own in sorted(bounds.items())})
    return hashlib.sha256(f"{unit}\n{text}".encode()).hexdigest()[:24]


class RateWork:
    """What a worker does to the rows of a unit.

    Args:
        out: path or address of the output.
        bounds: of the corpus.
    """

    def __init__(self, out: str, bounds: Bounds) -> None:
        self.store, self.bounds = open_store(out), bounds
        self.ledger = Ledger(self.store, _MARKS)

    def __call__(self, unit: Rated) -> Facts:
        """Filter a unit; what it leaves is whole once it is marked. Returns what the mark says."""
        known = self.ledger.facts(unit.key)
        if known is not None:
            return known
        first = Ledger(self.store).facts(unit.first)
        assert first is not None, unit.first
        facts: Facts = {"first": unit.first, "rows": 0, "drops": [], "dropped": {}, "shard": None}
        if first["shard"]:
            facts |= self._filtered(first["shard"]["name"], unit.key)
        self.ledger.finish(unit.key, facts)
        return facts

    def _filtered(self, name: str, key: str) -> Facts:
        with Scratch(None) as place, self.store.local(name) as tar:
            shards = ShardSet.open(tar)
            kept, drops, seconds = [], [], defaultdict[str, float](float)
            for row in range(len(shards)):
                drop, language, length = self._judge(shards, row)
                if drop is None:
                    kept.append(row)
                else:
                    drops.append(asdict(drop))
                    seconds[language] += length
            dropped = {language: round(total, 6) for language, total in sorted(seconds.items())}
            shard = self._write([shards[row] for row in kept], name, key, place) if kept else None
        return {"rows": len(kept), "drops": drops, "dropped": dropped, "shard": shard}

    def _judge(self, shards: ShardSet, row: int) -> tuple[Drop | None, str, float]:
        held = shards.utterance(row)
        language, length = held.language or "", float(held.extra["end"] - held.extra["start"])
        allowed = self.bounds.get(language)
        if allowed is None or held.text is None:
            return None, language, length
        rate = seconds_per_character(held.text, length)
        if allowed[0] <= rate <= allowed[1]:
            return None, language, length
        words = f"rate {rate:.4f} s a character, {allowed[0]:g} to {allowed[1]:g} in this corpus"
        where = f"{held.extra['start']:.3f} to {held.extra['end']:.3f} s of speaker {held.speaker}"
        source = str(held.extra["source"])
        return Drop(held.id, source, "filtered", f"{words}; {where}", "rates"), language, length

    def _write(self, records: Sequence[Record], first: str, key: str, place: Path) -> Facts:
        folder = place / "shard"
        report = write_shards(
            list(map(_Row, records)), _record, folder, per_shard=len(records), fingerprint=key, progress=False
        )
        tar = report.shards[0]
        number = first.rpartition("/")[2].split("-")[1]
        name = f"shards/unit-{number}-{key[:12]}.tar"
        self.store.put(tar, name)
        self.store.put(tar.with_name(tar.name + ".idx"), name + ".idx")
        with tar.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"name": name, "bytes": tar.stat().st_size, "sha256": digest}


@dataclass(frozen=True)
class _Row:
    """A record as the shard writer takes rows."""

    record: Record

    def to_json(self) -> str:
        """Stable text, for the fingerprint."""
        return self.record.key


def _record(row: _Row) -> Record:
    return row.record


def final_facts(store: Store) -> Callable[[str], Facts | None]:
    """What is known of a unit by its key: its mark, and what the second pass took away where there was one."""
    ledger, rated = Ledger(store), Ledger(store, _MARKS)
    table = store.read(_TABLE)
    if table is None:
        return ledger.facts
    bounds: Bounds = json.loads(table)["bounds"]

    def facts(key: str) -> Facts | None:
        first = ledger.facts(key)
        second = None if first is None or "rates" not in first else rated.facts(_key(key, bounds))
        return first if first is None or second is None else _less(first, second)

    return facts


def _less(first: Facts, second: Facts) -> Facts:
    """The facts of a unit without the rows that the second pass dropped."""
    gone = sum(second["dropped"].values())
    languages = {
        name: round(seconds - second["dropped"].get(name, 0.0), 6) for name, seconds in first["languages"].items()
    }
    dropped = dict(first["dropped_seconds"])
    if second["drops"]:
        dropped["filtered"] = round(dropped.get("filtered", 0.0) + gone, 6)
    return {
        **first,
        "rows": second["rows"],
        "drops": [*first["drops"], *second["drops"]],
        "funnel": {**first["funnel"], "kept": round(first["funnel"].get("kept", 0.0) - gone, 6)},
        "dropped_seconds": dropped,
        "languages": languages,
        "shard": second["shard"],
    }


def forget_unit(store: Store, key: str) -> None:
    """Remove the marks of a unit that has to be done again."""
    table = store.read(_TABLE)
    if table is not None:
        Ledger(store, _MARKS).forget(_key(key, json.loads(table)["bounds"]))
    Ledger(store).forget(key)


def forget_other_passes(store: Store, keys: Sequence[str]) -> None:
    """Remove marks and first shards of bounds or units that are no more; all of them without keys."""
    ledger, rated = Ledger(store), Ledger(store, _MARKS)
    table = store.read(_TABLE)
    if not keys and table is not None:
        store.remove(_TABLE)
    bounds: Bounds = json.loads(table)["bounds"] if table is not None and keys else {}
    wanted = {_key(key, bounds) for key in keys}
    for key in rated.done() - wanted:
        rated.forget(key)
    shards = set(_first_shards(ledger, keys))
    for name in store.names(FIRST):
        if name.removesuffix(".idx") not in shards:
            store.remove(name)


def _first_shards(ledger: Ledger, keys: Iterable[str]) -> Iterator[str]:
    for key in keys:
        facts = ledger.facts(key)
        if facts is not None and facts["shard"]:
            yield facts["shard"]["name"]
