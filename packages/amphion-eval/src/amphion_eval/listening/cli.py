"""The commands `amphion-eval listening make` and `amphion-eval listening analyse`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from amphion_core.cli import make_app

__all__ = ["app"]

log = logging.getLogger(__name__)

app = make_app("Listening tests: pages that ask listeners (MOS, SMOS, MUSHRA, ABX), and what their answers say.")


@app.command()
def make(
    kind: Annotated[str, typer.Argument(help="mos, smos, mushra or abx.")],
    out: Annotated[Path, typer.Argument(help="Folder for the page and the key.")],
    system: Annotated[list[str], typer.Option(help="NAME=FOLDER; once for each system.")],
    reference: Annotated[Path | None, typer.Option(help="Recordings; for smos, prompts.")] = None,
    items: Annotated[int | None, typer.Option(help="Items to ask about; default: all.")] = None,
    training: Annotated[int, typer.Option(help="Items for practice.")] = 1,
    anchors: Annotated[str, typer.Option(help="Low-pass edges of mushra in Hz, commas between.")] = "3500,7000",
    once: Annotated[bool, typer.Option("--once", help="mos, smos: each item from one system for a listener.")] = False,
    repeats: Annotated[int, typer.Option(help="abx: how often each item and pair is asked.")] = 2,
    title: Annotated[str | None, typer.Option(help="Of the page.")] = None,
    question: Annotated[str | None, typer.Option(help="In the place of the usual one.")] = None,
    loudness: Annotated[float | None, typer.Option(help="LUFS of every sound, such as -23; default: as it is.")] = None,
    audio: Annotated[str, typer.Option(help="Coding: wav, flac, mp3 or ogg.")] = "wav",
    folder: Annotated[bool, typer.Option("--folder", help="Sounds beside the page instead of in it.")] = False,
    post: Annotated[str | None, typer.Option(help="Address to which the answers are sent as well.")] = None,
    seed: Annotated[int, typer.Option(help="Of all that is drawn.")] = 0,
) -> None:
    """Make a page for listeners (OUT/page) and the key that tells which sound is what (OUT/key.json).

    Examples:
      amphion-eval listening make mos test/ --system ours=out/ours --system base=out/base --system recordings=wavs

      amphion-eval listening make mushra test/ --reference wavs --system ours=out/ours --items 8 --loudness -23

      amphion-eval listening make abx test/ --reference wavs --system codec=out/codec --repeats 4
    """
    from amphion_eval.listening.making import make_test

    systems = {}
    for part in system:
        name, equals, place = part.partition("=")
        if not (name and equals and place) or name in systems:
            raise typer.BadParameter(f"--system is NAME=FOLDER with a name of its own, got {part}")
        systems[name] = place
    try:
        edges = [float(part) for part in anchors.split(",") if part.strip()]
    except ValueError:
        raise typer.BadParameter(f"--anchors is a list of Hz, got {anchors}") from None
    made = make_test(
        kind,  # type: ignore[arg-type]
        out,
        systems,
        reference=reference,
        items=items,
        training=training,
        anchors=edges,
        once=once,
        repeats=repeats,
        title=title,
        question=question,
        loudness=loudness,
        audio=audio,
        embed=not folder,
        post=post,
        seed=seed,
    )
    for note in made.notes:
        log.warning("%s", note)
    print(f"page  {made.page}  ({made.trials} questions; give listeners the codes P1, P2, ..., one each)")
    print(f"key   {made.key}  (not for the listeners)")


@app.command()
def analyse(
    results: Annotated[list[Path], typer.Argument(help="Files that listeners saved, or folders of them.")],
    key: Annotated[Path, typer.Option(help="key.json of the test.")],
    screening: Annotated[bool, typer.Option(help="mushra: leave out listeners by the rule of BS.1534-3.")] = True,
    json: Annotated[Path | None, typer.Option(help="File for everything.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="File for the tables.")] = None,
    html: Annotated[Path | None, typer.Option(help="File for a page.")] = None,
    bootstrap: Annotated[int, typer.Option(min=0, help="Samples for the intervals; 0 for none.")] = 2000,
    seed: Annotated[int, typer.Option(help="Of these samples.")] = 0,
) -> None:
    """Tell what the answers say: means with intervals, tests between systems.

    Examples:
      amphion-eval listening analyse answers/ --key test/key.json

      amphion-eval listening analyse p1.json p2.json --key test/key.json --html result.html --json result.json
    """
    from amphion_core.atomic import atomic_writer
    from amphion_eval.listening import results as forms
    from amphion_eval.listening.analysis import analyse_answers
    from amphion_eval.listening.answers import read_answers

    result = analyse_answers(read_answers(results, key), screen=screening, resamples=bootstrap, seed=seed)
    for path, form in ((json, forms.json_text), (markdown, forms.markdown), (html, forms.page)):
        if path is not None:
            with atomic_writer(path) as file:
                file.write(form(result).encode())
            log.info("wrote %s", path)
    print(forms.plain(result))
