"""The command `amphion-data`, also `amphion data`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from amphion_core.cli import make_app, run
from amphion_data import cli_tools
from amphion_data.cli_emilia import add_commands
from amphion_data.cli_rates import add_rates

__all__ = ["app", "main"]

app = make_app("Corpora, shards and speech in the wild.")
cli_tools.register(app)


@app.command()
def prepare(
    name: Annotated[str, typer.Argument(help="Corpus, as 'amphion-data corpora' lists it: ljspeech, folder ...")],
    source: Annotated[Path, typer.Argument(help="Its folder; for 'folder' also a table in it.")],
    out: Annotated[Path, typer.Argument(help="Folder to write.")],
    sample_rate: Annotated[int | None, typer.Option(help="Hz of the output; default: as it is.")] = None,
    mono: Annotated[bool, typer.Option("--mono/--keep-channels", help="Mean of the channels.")] = False,
    format: Annotated[str, typer.Option(help="flac, opus, mp3 or wav.")] = "flac",
    loudness: Annotated[str, typer.Option(help="LUFS of each clip, such as -23, or none.")] = "none",
    trim: Annotated[bool, typer.Option("--trim/--no-trim", help="Cut silence at both ends.")] = False,
    trim_threshold: Annotated[float, typer.Option(help="Silence is below this, dB under the loudest.")] = -40.0,
    trim_margin: Annotated[float, typer.Option(help="Seconds kept around the speech.")] = 0.05,
    min_duration: Annotated[float, typer.Option(help="Shorter clips are dropped, s.")] = 0.0,
    max_duration: Annotated[float | None, typer.Option(help="Longer clips are dropped, s.")] = None,
    require_text: Annotated[bool, typer.Option("--require-text/--audio-only", help="Drop rows without text.")] = True,
    speaker: Annotated[str | None, typer.Option(help="Voice of rows that state none.")] = None,
    language: Annotated[str | None, typer.Option(help="Language of rows that state none, two letters.")] = None,
    licence: Annotated[str | None, typer.Option(help="Licence of the data, for its card.")] = None,
    valid: Annotated[float, typer.Option(help="Validation set: a share below 1 or a number of rows.")] = 0.05,
    test: Annotated[float, typer.Option(help="Test set: a share below 1 or a number of rows.")] = 0.05,
    split_by: Annotated[str | None, typer.Option(help="What no split tears apart: chapter, speaker, id ...")] = None,
    split: Annotated[Path | None, typer.Option(help="File of 'ID<tab>train|valid|test' lines to use.")] = None,
    per_shard: Annotated[int, typer.Option(help="Rows in a shard.")] = 1000,
    workers: Annotated[int | None, typer.Option(help="Processes; default: one a core. Same output.")] = None,
    engine: Annotated[
        str | None, typer.Option(help="in-process, pool or ray; default: a pool of --workers. Same output.")
    ] = None,
    address: Annotated[str | None, typer.Option(help="Of a Ray cluster: auto, HOST:PORT.")] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what other rows or settings left in OUT.")
    ] = False,
    on_error: Annotated[str, typer.Option(help="record faulty rows in drops.jsonl, or fail.")] = "record",
    option: Annotated[
        list[str] | None, typer.Option("--option", help="NAME=VALUE of the corpus; 'amphion-data corpora' lists them.")
    ] = None,
) -> None:
    """Make shards of a corpus: checked, cut, resampled, split, indexed, counted.

    Run it again after an interruption: finished shards are kept, and the result is the same to the byte. Every row
    that is not in the shards is in OUT/drops.jsonl with its reason.

    An engine does one shard at a time in each of its processes, begins it again where the process or the machine
    dies, and gives the same bytes as any other. SOURCE and OUT are folders that every machine of the engine sees
    under the same path; addresses of object stores are not taken here ('emilia' takes them).

    Examples:
      amphion-data prepare ljspeech LJSpeech-1.1 data/lj --sample-rate 22050 --trim

      amphion-data prepare folder recordings data/mine --mono --sample-rate 24000 --loudness -23 --language en

      amphion-data prepare folder recordings/metadata.csv data/mine --valid 20 --test 20 --workers 8

      amphion-data prepare vctk VCTK-Corpus-0.92 data/vctk --option mic=mic2 --sample-rate 24000

      amphion-data prepare libritts /shared/LibriTTS /shared/data/libritts --engine ray --address auto
    """
    from amphion_data.preparing import prepare as run_prepare
    from amphion_data.settings import PrepareSettings

    settings = PrepareSettings.parse(
        {
            "sample_rate": sample_rate,
            "mono": mono,
            "format": format,
            "loudness": _loudness(loudness),
            "trim": trim,
            "trim_threshold_db": trim_threshold,
            "trim_margin": trim_margin,
            "min_duration": min_duration,
            "max_duration": max_duration,
            "require_text": require_text,
            "speaker": speaker,
            "language": language,
            "licence": licence,
            "valid": valid,
            "test": test,
            "split_by": split_by,
            "per_shard": per_shard,
            "on_error": on_error,
            "options": _options(option or []),
        },
        where="options",
    )
    report = run_prepare(
        name,
        source,
        out,
        settings,
        split_list=split,
        workers=workers,
        engine=_engine(engine, workers, address),
        overwrite=overwrite,
    )
    print(report.to_text())


@app.command()
def rows(
    out: Annotated[Path, typer.Argument(help="Folder that 'prepare' wrote, or any folder of shards.")],
    split: Annotated[str | None, typer.Option(help="Only this one: train, valid or test.")] = None,
) -> None:
    """Print the rows of shards as JSON lines; the dropped ones are in drops.jsonl.

    Examples:
      amphion-data rows data/lj

      amphion-data rows data/lj --split test > test.jsonl
    """
    from amphion_data.parts import iter_rows

    for row in iter_rows(out, split):
        print(row.to_json())


@app.command()
def stats(
    shards: Annotated[Path, typer.Argument(help="Folder that 'prepare' wrote, a folder of shards, or a shard.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print hours, speakers, languages, sample rates and histograms.

    Examples:
      amphion-data stats data/lj

      amphion-data stats data/lj/train --json
    """
    import json

    from amphion_data.statistics import count_folder, report_text

    parts = count_folder(shards)
    if as_json:
        print(json.dumps({name: part.to_dict() for name, part in parts.items()}, ensure_ascii=False, indent=2))
    else:
        print(report_text(parts))


@app.command()
def check(
    shards: Annotated[Path, typer.Argument(help="Folder that 'prepare' wrote, a folder of shards, or a shard.")],
    workers: Annotated[int | None, typer.Option(help="Processes; default: one a core.")] = None,
) -> None:
    """Check shards: every checksum, every decode, every duration. Exit 1 where anything is wrong.

    Examples:
      amphion-data check data/lj
    """
    from amphion_data.checking import check_folder

    found = check_folder(shards, workers=workers)
    for fault in found.faults:
        print(fault)
    print(f"{found.rows} rows in {found.shards} shards, {len(found.faults)} faults")
    if found.faults:
        raise typer.Exit(1)


@app.command()
def extract(
    shards: Annotated[Path, typer.Argument(help="Folder that 'prepare' wrote, a folder of shards, or a shard.")],
    out: Annotated[Path, typer.Argument(help="Folder to write.")],
    limit: Annotated[int | None, typer.Option(help="Only the first rows.")] = None,
    format: Annotated[str, typer.Option(help="wav, flac, mp3, ogg or opus.")] = "wav",
    text: Annotated[bool, typer.Option("--text", help="Write the text beside, as ID.txt.")] = False,
) -> None:
    """Write the audio of shards as files ID.wav, to listen to or to score against.

    Examples:
      amphion-data extract data/lj/test recordings --limit 10
    """
    from amphion_data.extracting import extract as extract_files

    paths = list(extract_files(shards, out, limit=limit, format=format, text=text))
    print(f"{len(paths)} files in {out}")


@app.command()
def corpora(as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines with all facts.")] = False) -> None:
    """List the corpora that can be prepared, with size, rate, licence and source.

    Examples:
      amphion-data corpora
    """
    import json

    from amphion_data.corpus import known_corpora

    known = known_corpora()
    if as_json:
        for corpus in known:
            print(json.dumps(corpus.facts(), ensure_ascii=False))
        return
    for corpus in known:
        print(corpus.to_text())


def _engine(name: str | None, workers: int | None, address: str | None) -> Any:
    """The engine that was asked for; None where it is the pool that `prepare` has itself."""
    if name is None and address is None:
        return None
    from amphion_data.engines import make_engine

    processes = 1 if name == "in-process" else workers or os.cpu_count() or 1
    return make_engine(name or "pool", workers=processes, address=address)


def _loudness(value: str) -> Any:
    return None if value.strip().lower() == "none" else value


def _options(items: list[str]) -> dict[str, str]:
    pairs = [item.partition("=") for item in items]
    wrong = [item for item, (name, sign, _) in zip(items, pairs, strict=True) if not (name and sign)]
    if wrong:
        raise ValueError(f"--option takes NAME=VALUE, got {', '.join(wrong)}")
    return {name: value for name, _, value in pairs}


add_commands(app)
add_rates(app)


def main() -> None:
    """Entry point of the command."""
    run(app)
