"""The command `rates`: speaking rates of any rows, as a table for the filter of 'emilia'."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["add_rates"]


def add_rates(app: typer.Typer) -> None:
    """Add the command to an application."""
    app.command()(rates)


def rates(
    sources: Annotated[
        list[Path], typer.Argument(help="Manifests (.jsonl), shards, or what 'prepare' or 'emilia' wrote.")
    ],
    out: Annotated[Path | None, typer.Option(help="File to write the table to, for 'emilia --rates'.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print how fast people speak by language, in seconds a character, and which rates are to be believed.

    Characters are letters, marks and digits. The bounds lie 1.5 quartile distances of the logarithm beyond its
    quartiles; a language with fewer than 50 rows keeps the wide bounds of the package.

    Examples:
      amphion-data rates data/podcasts --out table.json

      amphion-data rates rows.jsonl data/lj --out table.json
    """
    import json

    from amphion_data.pipe.rates import count_rates, table_text, write_table

    counts, without = count_rates(sources)
    found = counts.bounds()
    if not found and not counts.few():
        raise ValueError(f"no row of {', '.join(map(str, sources))} has text, length and language")
    if out is not None:
        write_table(out, found)
    if as_json:
        print(json.dumps({name: bounds._asdict() for name, bounds in found.items() if bounds.measured}, indent=1))
    else:
        print(table_text(found, counts.few(), without))
