"""The commands of `amphion-data` that make something of shards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["register"]

Source = Annotated[Path, typer.Argument(help="Folder that 'prepare' wrote, a folder of shards, or a shard.")]
Out = Annotated[Path, typer.Argument(help="Folder to write.")]
PerShard = Annotated[int, typer.Option(help="Rows in a shard.")]
Workers = Annotated[int | None, typer.Option(help="Processes; default: one a core. Same output.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what another run left in OUT.")]


def shard(
    source: Annotated[Path, typer.Argument(help="A folder of audio, or a table of rows: .csv .tsv .jsonl.")],
    out: Out,
    sample_rate: Annotated[int | None, typer.Option(help="Hz of the output; default: as it is.")] = None,
    mono: Annotated[bool, typer.Option("--mono/--keep-channels", help="Mean of the channels.")] = False,
    format: Annotated[str, typer.Option(help="flac, opus, mp3 or wav.")] = "flac",
    require_text: Annotated[bool, typer.Option("--require-text/--audio-only", help="Drop rows without text.")] = False,
    speaker: Annotated[str | None, typer.Option(help="Voice of rows that state none.")] = None,
    language: Annotated[str | None, typer.Option(help="Language of rows that state none, two letters.")] = None,
    licence: Annotated[str | None, typer.Option(help="Licence of the data, for its card.")] = None,
    per_shard: PerShard = 1000,
    workers: Workers = None,
    overwrite: Overwrite = False,
) -> None:
    """Make shards of any rows, all in one set: 'prepare folder' without a split.

    Examples:
      amphion-data shard recordings data/all

      amphion-data shard manifest.jsonl data/all --sample-rate 24000 --mono --format opus
    """
    from amphion_data.preparing import prepare
    from amphion_data.settings import PrepareSettings

    settings: dict[str, Any] = {
        "sample_rate": sample_rate,
        "mono": mono,
        "format": format,
        "require_text": require_text,
    }
    settings |= {"speaker": speaker, "language": language, "licence": licence}
    asked = PrepareSettings.parse({**settings, "per_shard": per_shard, "valid": 0, "test": 0}, where="options")
    print(prepare("folder", source, out, asked, workers=workers, overwrite=overwrite).to_text())


def merge(
    sources: Annotated[list[str], typer.Argument(help="Two or more, and the folder to write: SOURCE... OUT.")],
    on_duplicate: Annotated[str, typer.Option(help="drop ids that were there before, or fail.")] = "drop",
    prefix: Annotated[bool, typer.Option("--prefix", help="Put the name of its source before each id.")] = False,
    per_shard: PerShard = 1000,
    workers: Workers = None,
    overwrite: Overwrite = False,
) -> None:
    """Join sets of shards, split by split; ids that come twice are dropped and listed in OUT/drops.jsonl.

    Examples:
      amphion-data merge data/lj data/mine data/both

      amphion-data merge lj=data/lj/train me=data/mine/train data/both --prefix
    """
    from amphion_data.merging import merge as run_merge

    if len(sources) < 2:
        raise typer.BadParameter("name one source at least, and last the folder to write")
    duplicates: Any = _one_of("--on-duplicate", on_duplicate, ("drop", "fail"))
    *given, out = sources
    report = run_merge(
        given, out, on_duplicate=duplicates, prefix=prefix, per_shard=per_shard, workers=workers, overwrite=overwrite
    )
    print(report.to_text())


def filter_command(
    source: Annotated[Path, typer.Argument(help="Shards, or a manifest: .jsonl.")],
    out: Annotated[Path, typer.Argument(help="Folder to write; of a manifest the new manifest.")],
    where: Annotated[str, typer.Argument(help="Condition, in quotes.")],
    per_shard: PerShard = 1000,
    workers: Workers = None,
    overwrite: Overwrite = False,
) -> None:
    """Keep the rows that meet a condition on columns; the others are listed in OUT/drops.jsonl.

    Columns: key, duration, sample_rate, speaker, language, characters, text, and whatever the rows state. A row whose
    value is missing meets neither a comparison nor its contrary; 'dnsmos is None or dnsmos > 3' takes it.

    Examples:
      amphion-data filter data/emilia data/clean 'duration > 3 and dnsmos >= 3.2 and language in ("en", "de")'

      amphion-data filter rows.jsonl clean.jsonl 'characters / duration < 25 and not ("[" in text)'
    """
    if source.is_file() and source.name.endswith(".jsonl"):
        from amphion_data.manifest_filter import filter_manifest

        print(filter_manifest(source, out, where, workers=workers).to_text())
        return
    from amphion_data.filtering import filter_shards

    report = filter_shards(source, out, where, per_shard=per_shard, workers=workers, overwrite=overwrite)
    print(report.to_text())


def repack(
    source: Source,
    out: Out,
    per_shard: PerShard = 1000,
    format: Annotated[str, typer.Option(help="keep, flac, opus, mp3 or wav.")] = "keep",
    sample_rate: Annotated[int | None, typer.Option(help="Hz; default: as it is.")] = None,
    order: Annotated[str, typer.Option(help="keep, id, duration, speaker or shuffle.")] = "keep",
    seed: Annotated[int, typer.Option(help="Of shuffle.")] = 0,
    workers: Workers = None,
    overwrite: Overwrite = False,
) -> None:
    """Write the same rows into other shards: of another size, order or format.

    Examples:
      amphion-data repack data/lj data/lj-small --per-shard 100

      amphion-data repack data/lj data/lj-opus --format opus --sample-rate 24000 --order shuffle --seed 1
    """
    from amphion_data.repacking import repack as run_repack

    chosen: Any = format
    ordered: Any = order
    report = run_repack(
        source,
        out,
        per_shard=per_shard,
        format=chosen,
        sample_rate=sample_rate,
        order=ordered,
        seed=seed,
        workers=workers,
        overwrite=overwrite,
    )
    print(report.to_text())


def sample(
    source: Source,
    out: Annotated[Path, typer.Argument(help="The page to write, NAME.html.")],
    count: Annotated[int, typer.Option(help="Number of rows.")] = 20,
    seed: Annotated[int, typer.Option(help="Another one draws other rows.")] = 0,
    where: Annotated[str | None, typer.Option(help="Only rows that meet this condition, as in 'filter'.")] = None,
) -> None:
    """Write a page to listen to some rows, with their texts and columns; it needs no other file and no network.

    Examples:
      amphion-data sample data/lj lj.html

      amphion-data sample data/emilia worst.html --count 50 --where 'dnsmos < 3'
    """
    from amphion_data.sampling import sample as run_sample

    print(f"{len(run_sample(source, out, count=count, seed=seed, where=where))} rows in {out}")


def export(
    layout: Annotated[str, typer.Argument(help="emilia, lhotse, hf-audiofolder or hf-parquet.")],
    source: Source,
    out: Out,
    per_file: Annotated[int, typer.Option(help="Rows of a tar, a manifest, a folder or a table.")] = 1000,
    language: Annotated[str | None, typer.Option(help="emilia: of rows that state none, two letters.")] = None,
    workers: Workers = None,
    overwrite: Overwrite = False,
) -> None:
    """Write shards in the layout of another system: Emilia's tars, lhotse Shar, or a data set for the HF hub.

    Examples:
      amphion-data export emilia data/mine mine-as-emilia --language en

      amphion-data export lhotse data/mine mine-as-shar

      amphion-data export hf-parquet data/mine for-the-hub
    """
    from amphion_data.export_emilia import EmiliaLayout
    from amphion_data.export_hf import HubLayout
    from amphion_data.export_lhotse import LhotseLayout
    from amphion_data.exporting import Layout
    from amphion_data.exporting import export as run_export

    known: dict[str, Layout] = {
        "emilia": EmiliaLayout(language),
        "lhotse": LhotseLayout(),
        "hf-audiofolder": HubLayout("audiofolder"),
        "hf-parquet": HubLayout("parquet"),
    }
    name = _one_of("LAYOUT", layout, tuple(known))
    print(run_export(source, out, known[name], per_file=per_file, workers=workers, overwrite=overwrite).to_text())


def _one_of(option: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise typer.BadParameter(f"{option} is one of {', '.join(known)}; got {value!r}")
    return value


def register(app: typer.Typer) -> None:
    """Add these commands to an application."""
    for command in (shard, merge, repack, sample, export):
        app.command()(command)
    app.command("filter")(filter_command)
