"""The data card of prepared shards: what they are, whose, how they were made, what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amphion_data.corpus import Corpus
from amphion_data.figures import Comparison
from amphion_data.statistics import Statistics

__all__ = ["data_card"]


def data_card(
    corpus: Corpus, statistics: Mapping[str, Statistics], record: Mapping[str, Any], comparison: Comparison
) -> str:
    """A README.md in Markdown.

    Args:
        corpus: what was read.
        statistics: of each split.
        record: what `prepare.json` holds: counts, settings, versions.
        comparison: of the folder with what is published.
    """
    lines = [f"# Shards of {corpus.title}", ""]
    lines += [f"Licence of the data: {record['about']['licence']}.", f"Source: {corpus.source}.", ""]
    if differing := comparison.to_lines():
        if comparison.differences or comparison.absent_parts:
            lines += [
                f"This folder is not {corpus.title} as published: a part of it, or other recordings in the same "
                "layout, whose licence and source are then not those above.",
                "",
            ]
        lines += [*(f"- {line}" for line in differing), ""]
    lines += [
        "| split | rows | hours | speakers | languages | sample rates, Hz |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, part in statistics.items():
        voices = len([speaker for speaker in part.speakers if speaker])
        languages = ", ".join(sorted(language or "not stated" for language in part.languages))
        rates = ", ".join(str(rate) for rate in sorted(part.sample_rates))
        lines.append(f"| {name} | {part.rows} | {part.hours:.3f} | {voices} | {languages} | {rates} |")
    kept = sum(record["kept"].values())
    held_out = record["settings"]["valid"] or record["settings"]["test"] or list(statistics) != ["train"]
    lines += ["", record["split_rule"] if held_out else "All rows are in one set; nothing is held out."]
    lines += ["", "## Rows", "", f"{record['rows_in']} in = {kept} kept + {sum(record['dropped'].values())} dropped."]
    for title, counts in (("dropped because", record["dropped"]), ("kept with a note", record["warnings"])):
        if counts:
            lines += ["", f"| {title} | rows |", "| --- | --- |", *(f"| {name} | {n} |" for name, n in counts.items())]
    if record["dropped"]:
        lines += ["", "Each dropped row is a line of `drops.jsonl`."]
    lines += ["", "## How they were made", "", "| setting | value |", "| --- | --- |"]
    lines += [f"| {name} | {value} |" for name, value in record["settings"].items() if value is not None]
    lines += [f"| {name} | {version} |" for name, version in record["versions"].items()]
    lines += [
        "",
        "## How to read them",
        "",
        "```python",
        "from amphion_core.data import ShardSet",
        "",
        'shards = ShardSet.open("train")',
        "wav, sample_rate = shards.audio(0)",
        "print(shards.utterance(0).text, len(wav) / sample_rate)",
        "```",
        "",
        "They are WebDataset tars: `KEY."
        + record["settings"]["format"]
        + "` and `KEY.json`, which any reader of that format takes.",
    ]
    return "\n".join(lines) + "\n"
