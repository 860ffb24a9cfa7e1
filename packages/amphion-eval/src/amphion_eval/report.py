"""The result of a run: values of every item, figures of the corpus, and all that is needed to read or repeat them."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from amphion_core.atomic import atomic_writer
from amphion_eval.statistics import Summary, summarize

__all__ = ["ClipRecord", "Item", "Report", "item_line", "load_report"]

_INFINITE = "\ue000infinite\ue000"  # stands for a number that JSON has no word for until the text is made


@dataclass(frozen=True)
class ClipRecord:
    """What was read for one side of an item.

    Attributes:
        path: audio file, or shards.
        key: record inside the shards; None for a file.
        sample_rate: of the file, Hz; None where no metric needed the audio.
        channels: of the file.
        duration: seconds.
    """

    path: str
    key: str | None = None
    sample_rate: int | None = None
    channels: int | None = None
    duration: float | None = None


@dataclass(frozen=True)
class Item:
    """One pair and its values.

    Attributes:
        id: name.
        metrics: name to value, None where undefined.
        undefined: name to reason, for those that are None.
        counts: name to count and total, for rates.
        reference: what was read.
        estimate: what was read.
        sample_rate: at which both were compared, Hz.
        notes: what was done to the audio: channels mixed, rate changed, delay taken out.
        text: what is said.
        transcript: what was recognised.
        speaker: label of the voice.
    """

    id: str
    metrics: Mapping[str, float | None]
    undefined: Mapping[str, str]
    counts: Mapping[str, tuple[float, float]]
    reference: ClipRecord
    estimate: ClipRecord
    sample_rate: int | None = None
    notes: Sequence[str] = ()
    text: str | None = None
    transcript: str | None = None
    speaker: str | None = None


@dataclass(frozen=True)
class Report:
    """Values of every item and what they mean.

    Attributes:
        items: in the order of the pairs.
        provenance: versions, settings, definition of each metric, rates, alignment, what was left out.
        name: of the system that was scored.
        figures: those of metrics of whole sets, which no item has.
    """

    items: Sequence[Item]
    provenance: Mapping[str, Any]
    name: str = "estimate"
    figures: Mapping[str, Summary] = field(default_factory=dict)
    folder: Path | None = field(default=None, compare=False)

    @property
    def metrics(self) -> Mapping[str, Mapping[str, Any]]:
        """Name to definition: unit, range, best, version, label and so on."""
        definitions: Mapping[str, Mapping[str, Any]] = self.provenance["metrics"]
        return definitions

    @cached_property
    def summary(self) -> dict[str, Summary]:
        """Figures of the corpus by metric."""
        bootstrap = self.provenance["bootstrap"]
        return {
            name: self.figures[name]
            if name in self.figures
            else summarize(
                [item.metrics[name] for item in self.items],
                [item.counts.get(name) for item in self.items] if definition.get("rate") else None,
                resamples=bootstrap["resamples"],
                seed=bootstrap["seed"],
            )
            for name, definition in self.metrics.items()
        }

    def to_dict(self) -> dict[str, Any]:
        """Items, summary and provenance as JSON values; infinity is a float here."""
        return {
            "name": self.name,
            "items": [_item_dict(item) for item in self.items],
            "summary": {name: summary.to_dict() for name, summary in self.summary.items()},
            "provenance": dict(self.provenance),
        }

    def to_json(self, path: str | Path | None = None) -> str:
        """The result as JSON; an infinite value is written 1e999, which JSON readers take as infinity.

        Args:
            path: file to write as well, whole or not at all.
        """
        return _written(_json(self.to_dict(), indent=1) + "\n", path)

    def to_csv(self, path: str | Path | None = None) -> str:
        """One row an item, one column a metric, empty where undefined.

        Args:
            path: file to write as well, whole or not at all.
        """
        names = [name for name in self.metrics if name not in self.figures]
        stream = io.StringIO(newline="")
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["id", *names, "undefined"])
        for item in self.items:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in item.undefined.items())
            writer.writerow([item.id, *("" if (v := item.metrics[n]) is None else repr(v) for n in names), reasons])
        return _written(stream.getvalue(), path)

    def to_markdown(self, path: str | Path | None = None) -> str:
        """The table of a paper, with what it needs to be read.

        Args:
            path: file to write as well, whole or not at all.
        """
        from amphion_eval.tables import markdown

        return _written(markdown([self]), path)

    def to_html(self, path: str | Path | None = None, **options: Any) -> str:
        """A page that needs nothing beside itself: figures, players, spectrograms, F0 curves.

        Args:
            path: file to write as well, whole or not at all.
            options: as `amphion_eval.page.page` takes them.
        """
        from amphion_eval.page import page

        return _written(page([self], **options), path)


def load_report(path: str | Path) -> Report:
    """A result that was saved as JSON.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no result of ours.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no result at {path}")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        items = [_item(row) for row in values["items"]]
        provenance = values["provenance"]
        of_sets = [name for name, said in provenance["metrics"].items() if said.get("level") == "set"]
        figures = {name: Summary.of(values["summary"][name]) for name in of_sets}
        for name in provenance["metrics"]:
            for item in items:
                name in figures or item.metrics[name]
        return Report(items, provenance, values.get("name", path.stem), figures, path.parent)
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is no result of amphion-eval score --json: {error!r}") from None


def item_line(item: Item) -> str:
    """An item as one line of JSON, as `Report.to_json` writes it."""
    return _json(_item_dict(item))


def _json(value: Any, **layout: Any) -> str:
    text = json.dumps(_marked(value), ensure_ascii=False, allow_nan=False, **layout)
    return text.replace(f'"-{_INFINITE}"', "-1e999").replace(f'"{_INFINITE}"', "1e999")


def _item_dict(item: Item) -> dict[str, Any]:
    values = asdict(item)
    values["counts"] = {name: list(pair) for name, pair in item.counts.items()}
    optional = ("text", "transcript", "speaker", "notes", "counts")
    return {key: value for key, value in values.items() if key not in optional or value}


def _item(row: Mapping[str, Any]) -> Item:
    return Item(
        id=row["id"],
        metrics=row["metrics"],
        undefined=row["undefined"],
        counts={name: (pair[0], pair[1]) for name, pair in row.get("counts", {}).items()},
        reference=ClipRecord(**row["reference"]),
        estimate=ClipRecord(**row["estimate"]),
        sample_rate=row.get("sample_rate"),
        notes=tuple(row.get("notes", ())),
        text=row.get("text"),
        transcript=row.get("transcript"),
        speaker=row.get("speaker"),
    )


def _marked(value: Any) -> Any:
    if isinstance(value, float) and math.isinf(value):
        return _INFINITE if value > 0 else f"-{_INFINITE}"
    if isinstance(value, Mapping):
        return {key: _marked(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_marked(inner) for inner in value]
    return value


def _written(text: str, path: str | Path | None) -> str:
    if path is not None:
        with atomic_writer(path) as file:
            file.write(text.encode())
    return text
