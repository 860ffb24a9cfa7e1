"""The command `amphion-eval`, also `amphion eval`."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from amphion_core.cli import make_app, run
from amphion_eval.listening.cli import app as listening

if TYPE_CHECKING:
    from amphion_eval.report import Report

__all__ = ["app", "main"]

log = logging.getLogger(__name__)

app = make_app("Objective metrics of speech, singing and audio.")
app.add_typer(listening, name="listening")


@app.command()
def score(
    ctx: typer.Context,
    reference: Annotated[
        str | None, typer.Argument(help="Recordings: folder, shards, or one file; left out where no metric needs them.")
    ] = None,
    estimate: Annotated[str | None, typer.Argument(help="Outputs to score: folder, shards, or one file.")] = None,
    pairs: Annotated[
        Path | None, typer.Option(help="Table instead: columns id, reference, estimate (csv, tsv, jsonl).")
    ] = None,
    texts: Annotated[
        Path | None, typer.Option(help="Table of texts for clips of folders: id, text, language, speaker, prompt ...")
    ] = None,
    metrics: Annotated[str | None, typer.Option(help="Names, or beginnings such as f0, with commas between.")] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            help="What a field reports (see protocols); --metrics then replaces its metrics, or +A,-B changes."
        ),
    ] = None,
    available_only: Annotated[
        bool, typer.Option("--available-only", help="Leave out metrics that can't be computed here, and say so.")
    ] = False,
    f0: Annotated[str, typer.Option(help="Pitch tracker: pyin, dio, harvest, praat or crepe.")] = "pyin",
    align: Annotated[str, typer.Option(help="Pairing of frames: none, cut or dtw.")] = "cut",
    speaker_model: Annotated[str | None, typer.Option(help="Network of speaker similarities.")] = None,
    asr: Annotated[str | None, typer.Option(help="Recogniser, for outputs without a transcript.")] = None,
    fad_model: Annotated[str | None, typer.Option(help="Audio embedding of fad and fad_infinity.")] = None,
    fd_model: Annotated[str | None, typer.Option(help="Audio tagger of fd, kl, inception_score and kid.")] = None,
    clap_model: Annotated[str | None, typer.Option(help="Text and audio embedding of clap_score.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the system; default: that of the outputs' folder.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for items.jsonl, which grows item by item, and result.json, .csv, .md.")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="File for everything: items, summary, provenance.")] = None,
    csv: Annotated[Path | None, typer.Option(help="File for the values, an item a line.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="File for the table.")] = None,
    html: Annotated[Path | None, typer.Option(help="File for the page with players and pictures.")] = None,
    tensorboard: Annotated[
        Path | None, typer.Option(help="Folder of event files that get the figures as points of curves, see --step.")
    ] = None,
    step: Annotated[int, typer.Option(help="Step of the training at which these points stand.")] = 0,
    language: Annotated[str | None, typer.Option(help="Language of the texts, two letters.")] = None,
    normalizer: Annotated[str, typer.Option(help="Of the texts: auto, basic, english or none.")] = "auto",
    mcd_order: Annotated[int, typer.Option(help="Last mel-cepstral coefficient.")] = 24,
    max_delay: Annotated[
        float, typer.Option(help="Delay taken out for metrics of waveforms, up to so many seconds.")
    ] = 0.0,
    ignore_missing: Annotated[bool, typer.Option("--ignore-missing", help="Leave out clips without partner.")] = False,
    mispaired: Annotated[
        bool, typer.Option("--mispaired", help="Give each output the recording of the next item: what chance scores.")
    ] = False,
    on_error: Annotated[
        str, typer.Option(help="A file that can't be read: fail ends the run, record leaves its item undefined.")
    ] = "fail",
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default: one a core.")] = None,
    device: Annotated[str, typer.Option(help="Of networks: auto, cpu, cuda, cuda:1 ...")] = "auto",
    batch: Annotated[
        int | None, typer.Option(min=1, help="Clips in a batch of a network at most; default: by length and memory.")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder for what later runs need not compute again; default: the user's cache.")
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Compute everything, keep nothing.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="With --no-cache and --out: go on from where a broken-off run was.")
    ] = False,
    bootstrap: Annotated[int, typer.Option(min=0, help="Samples for the intervals; 0 for none.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of these samples.")] = 0,
) -> None:
    """Score outputs against recordings, paired by file name, and print the figures.

    A run that was broken off and is started again goes on where it was: what is finished lies in the cache.

    Examples:
      amphion-eval score recordings/ outputs/

      amphion-eval score recordings/ outputs/ --metrics f0,vuv,mcd --align dtw --json result.json --html result.html

      amphion-eval score outputs/ --metrics loudness,dnsmos

      amphion-eval score recordings/ outputs/ --protocol vocoder --metrics +si_sdr --available-only

      amphion-eval score shards/test outputs/ --ignore-missing --name ours --out results/ours

      amphion-eval score --pairs table.csv --metrics wer,cer --language en
    """
    from amphion_eval.metric import resolve
    from amphion_eval.protocols import Choice, choose, find_protocol, recorded
    from amphion_eval.scoring import DEFAULT_METRICS, REFERENCE_FREE_METRICS
    from amphion_eval.scoring import score as score_pairs
    from amphion_eval.settings import Settings
    from amphion_eval.sources import find_items

    if (pairs is None) == (reference is None):
        raise typer.BadParameter("give REFERENCE and ESTIMATE, ESTIMATE alone, or --pairs TABLE")
    if on_error not in ("fail", "record"):
        raise typer.BadParameter(f"--on-error is fail or record, got {on_error}")
    if cache is not None and no_cache:
        raise typer.BadParameter("give --cache or --no-cache")
    if resume and out is None and no_cache:
        raise typer.BadParameter("--resume goes on from what lies in --out FOLDER or in the cache; there is neither")
    if estimate is None:
        reference, estimate = None, reference
    plan = find_protocol(protocol) if protocol is not None else None
    options = {
        "f0": f0,
        "align": align,
        "language": language,
        "normalizer": normalizer,
        "mcd_order": mcd_order,
        "max_delay": max_delay,
        "speaker_model": speaker_model,
        "asr": asr,
        "fad_model": fad_model,
        "fd_model": fd_model,
        "clap_model": clap_model,
    }
    given = {key: value for key, value in options.items() if str(ctx.get_parameter_source(key)).endswith("COMMANDLINE")}
    settings = Settings.parse({**(plan.settings_of(language) if plan else {}), **given}, where="options")
    usual = DEFAULT_METRICS if reference is not None or pairs is not None else REFERENCE_FREE_METRICS
    named = [part.strip() for part in (metrics or "").split(",") if part.strip()]
    chosen = resolve(plan.changed(metrics) if plan else usual if metrics is None else named)
    items = find_items(
        reference,
        estimate,
        chosen,
        table=pairs,
        texts=texts,
        ignore_missing=ignore_missing,
        mispaired=mispaired,
    )
    written = [pair.transcript is not None for pair in items.pairs]
    if all(written):
        settings = settings.updated(asr=None)  # nothing is left to recognise
    choice = Choice(tuple(chosen), {})
    if plan is not None or available_only:
        enough = any(written) if settings.asr is None else False
        choice = choose(chosen, settings, available_only=available_only, transcripts=enough)
    result = score_pairs(
        items.pairs,
        choice.metrics,
        settings=settings,
        references=items.references,
        device=device,
        batch=batch,
        workers=workers if workers is not None else os.cpu_count() or 1,
        cache=None if no_cache else cache or _usual_cache(),
        out=out,
        resume=resume,
        bootstrap=bootstrap,
        seed=seed,
        name=name or items.name,
        left_out=items.left_out,
        on_error="record" if on_error == "record" else "fail",
        pairing=items.pairing,
        progress=True,
    )
    result = recorded(result, plan, choice)
    for lost, lacks in choice.left_out.items():
        log.warning("left out: %s, which lacks %s", lost, lacks)
    if items.left_out:
        log.warning("%d clips without partner were left out; the JSON lists them", len(items.left_out))
    if tensorboard is not None:
        from amphion_eval.events import figures_of, write_scalars

        log.info("wrote %s", write_scalars(tensorboard, figures_of(result), step))
    in_folder = {key: out / f"result.{key}" for key in ("json", "csv", "md")} if out is not None else {}
    _write(result, [in_folder.get("json"), json], [in_folder.get("csv"), csv], [in_folder.get("md"), markdown], [html])


def _usual_cache() -> Path | None:
    from amphion_core.cache import cache_folder

    try:
        return cache_folder("eval")
    except OSError as error:
        log.warning("nothing is kept for later runs: %s", error)
        return None


def _write(
    result: Report,
    json: Sequence[Path | None],
    csv: Sequence[Path | None],
    markdown: Sequence[Path | None],
    html: Sequence[Path | None],
) -> None:
    """Say what is undefined, write the files, and print the table."""
    from amphion_eval.tables import plain, undefined_reasons

    undefined: dict[tuple[str, int], list[str]] = {}
    for metric, reasons in undefined_reasons(result).items():
        for reason, ids in reasons.items():
            undefined.setdefault((reason, len(ids)), []).append(metric)
    for (reason, count), names in undefined.items():
        log.warning("undefined for %d item%s, %s: %s", count, "" if count == 1 else "s", reason, ", ".join(names))
    for metric, figure in result.figures.items():
        for note in (*figure.notes, *([f"undefined: {figure.undefined}"] if figure.undefined else [])):
            log.warning("%s: %s", metric, note)
    for paths, write in (
        (json, result.to_json),
        (csv, result.to_csv),
        (markdown, result.to_markdown),
        (html, result.to_html),
    ):
        for path in paths:
            if path is not None:
                write(path)
                log.info("wrote %s", path)
    print(plain(result))


@app.command()
def report(
    results: Annotated[list[Path], typer.Argument(help="Files that score --json wrote, one a system.")],
    html: Annotated[Path | None, typer.Option(help="File for the page with players and pictures.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="File for the table.")] = None,
    title: Annotated[str | None, typer.Option(help="Of the page.")] = None,
    items: Annotated[int, typer.Option(help="Items that get players and pictures on the page.")] = 20,
    audio: Annotated[str, typer.Option(help="Coding of the players: flac, mp3, wav, ogg, or none.")] = "flac",
) -> None:
    """Set saved results of several systems side by side, as a table and as one page.

    Examples:
      amphion-eval report ours.json baseline.json --html compared.html

      amphion-eval report ours.json --markdown table.md
    """
    from amphion_eval.report import load_report
    from amphion_eval.tables import markdown as table

    reports = [load_report(path) for path in results]
    text = table(reports)
    if markdown is not None:
        from amphion_core.atomic import atomic_writer

        with atomic_writer(markdown) as file:
            file.write(text.encode())
        log.info("wrote %s", markdown)
    if html is not None:
        from amphion_eval.page import write_page

        write_page(reports, html, title=title, max_items=items, audio=audio)
        log.info("wrote %s", html)
    print(text, end="")


@app.command()
def compare(
    results: Annotated[list[Path], typer.Argument(help="Files that score --json wrote, one a system.")],
    metrics: Annotated[str | None, typer.Option(help="Only these, with commas between.")] = None,
    baseline: Annotated[str | None, typer.Option(help="Name of a system; only contrasts with it are tested.")] = None,
    permutations: Annotated[
        int, typer.Option(min=1, help="Exchanges drawn by a test that can't go through all.")
    ] = 20_000,
    bootstrap: Annotated[int, typer.Option(min=0, help="Samples for the intervals.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Of both.")] = 0,
    json: Annotated[Path | None, typer.Option(help="File for everything.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="File for the table.")] = None,
    html: Annotated[Path | None, typer.Option(help="File for the page with the differences drawn.")] = None,
) -> None:
    """Test which systems differ on the same items: paired permutation tests, intervals, sizes of the effects.

    Examples:
      amphion-eval compare ours.json baseline.json

      amphion-eval compare a.json b.json c.json --baseline a --metrics mcd,wer --html compared.html
    """
    from amphion_eval.comparison import compare as compare_reports
    from amphion_eval.comparison_page import plain
    from amphion_eval.report import load_report

    comparison = compare_reports(
        [load_report(path) for path in results],
        metrics=[part.strip() for part in metrics.split(",") if part.strip()] if metrics is not None else None,
        baseline=baseline,
        permutations=permutations,
        resamples=bootstrap,
        seed=seed,
    )
    for path, write in ((json, comparison.to_json), (markdown, comparison.to_markdown), (html, comparison.to_html)):
        if path is not None:
            write(path)
            log.info("wrote %s", path)
    print(plain(comparison))


@app.command()
def metrics() -> None:
    """List the installed metrics: unit, range, which end is best, what it needs, source.

    Examples:
      amphion-eval metrics
    """
    from amphion_eval.metric import available, find
    from amphion_eval.tables import ARROWS

    for name in available():
        metric = find(name)
        print(f"{name:30} {ARROWS[metric.best]:4} {metric.unit:6} {metric.low:g} to {metric.high:g}")
        print(f"  {metric.description}" + (f" Source: {metric.source}." if metric.source else ""))


@app.command()
def protocols() -> None:
    """List the protocols: what a field reports, with which settings, from which papers.

    Examples:
      amphion-eval protocols
    """
    from amphion_eval.protocols import PROTOCOLS

    for plan in PROTOCOLS.values():
        print(f"{plan.name}: {plan.title}")
        said = {
            **plan.settings,
            **{f"{k} ({name})": v for name, own in plan.by_language.items() for k, v in own.items()},
        }
        parts = {
            "metrics": ", ".join(plan.metrics),
            "settings": ", ".join(f"{key} {value}" for key, value in said.items()),
            "needs": plan.needs,
            "source": plan.source,
            "note": plan.note,
        }
        for key, text in parts.items():
            if text:
                print(f"  {key:8} {text}")


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of a table")] = False,
) -> None:
    """Tell which metrics, pitch trackers and networks work here, and which extra or weights the others lack.

    Nothing is downloaded or loaded.

    Examples:
      amphion-eval doctor
      amphion-eval doctor --json
    """
    import json

    from amphion_eval.health import check

    found = check()
    if as_json:
        print(json.dumps([item.to_dict() for item in found], indent=1, ensure_ascii=False))
        return
    for item in found:
        print(f"{item.kind:14} {item.name:32} {f'needs {item.lacks}' if item.lacks else 'works'}")


def main() -> None:
    """Entry point of the command."""
    run(app)
