"""The command `amphion-tts`, also `amphion tts`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from amphion_core.cli import make_app, run

__all__ = ["app", "main"]

app = make_app("Text to speech.")


@app.command()
def speak(
    text: Annotated[str | None, typer.Argument(help="What to say; - reads standard input.")] = None,
    model: Annotated[str, typer.Option("--model", "-m", help="Checkpoint or run folder, or hub id.")] = "",
    vocoder: Annotated[
        str, typer.Option("--vocoder", "-v", help="The same, or griffin-lim, which needs no weights.")
    ] = "griffin-lim",
    out: Annotated[Path, typer.Option("--out", "-o", help="A sound file, or a folder for several texts.")] = Path(
        "speech.wav"
    ),
    text_file: Annotated[Path | None, typer.Option(help="Read the text from a file.")] = None,
    manifest: Annotated[
        Path | None, typer.Option(help="JSON lines with id and text; files are named by the ids.")
    ] = None,
    each_line: Annotated[bool, typer.Option("--each-line", help="One file a line, numbered.")] = False,
    speaker: Annotated[str | None, typer.Option(help="Voice, for a model of several.")] = None,
    speed: Annotated[float, typer.Option(help="2 is twice as fast.")] = 1.0,
    pitch: Annotated[float, typer.Option(help="Factor of the pitch in Hz.")] = 1.0,
    energy: Annotated[float, typer.Option(help="Factor of the energy.")] = 1.0,
    pause: Annotated[float, typer.Option(help="Seconds between sentences.")] = 0.2,
    batch: Annotated[int, typer.Option(help="Sentences at once.")] = 8,
    seed: Annotated[int, typer.Option(help="Of vocoders that draw noise.")] = 0,
    lexicon: Annotated[Path | None, typer.Option(help="Words and phones, in the form of CMUdict.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
) -> None:
    """Speak a text of any length; prints the files written.

    Examples:
      amphion-tts speak "Good morning." --model runs/fastspeech2-ljspeech --vocoder runs/hifigan-v1-22k -o morning.wav

      amphion-tts speak --text-file book.txt -m runs/fastspeech2-ljspeech -o book.wav --speed 0.9

      cat lines.txt | amphion-tts speak - --each-line -m runs/fastspeech2-ljspeech -o spoken/

      amphion-tts speak --manifest held-out.jsonl -m runs/fastspeech2-ljspeech -v runs/vocos-22k-small -o spoken/
    """
    from amphion_tts.speaking import gather, speak_files

    if not model:
        raise typer.BadParameter("give --model, a checkpoint or run folder or a hub id")
    lines = gather(text, text_file=text_file, manifest=manifest, each_line=each_line)
    folder = out.with_suffix("") if out == Path("speech.wav") and (each_line or manifest is not None) else out

    from amphion_tts.speech import TextToSpeech

    tts = TextToSpeech.from_pretrained(model, vocoder, device=device, lexicon=lexicon)
    written = speak_files(
        lines,
        folder,
        tts,
        speaker=speaker,
        speed=speed,
        pitch=pitch,
        energy=energy,
        pause=pause,
        batch=batch,
        seed=seed,
    )
    for path in written:
        print(path)


@app.command()
def phones(
    text: Annotated[str, typer.Argument(help="What to read; - reads standard input.")],
    frontend: Annotated[str, typer.Option(help="english, characters, espeak or lexicon.")] = "english",
    language: Annotated[str, typer.Option(help="For espeak, such as en-us or de.")] = "en-us",
    lexicon: Annotated[Path | None, typer.Option(help="Words and phones, in the form of CMUdict.")] = None,
) -> None:
    """Print the symbols that a front end makes of a text, a line for each sentence.

    Examples:
      amphion-tts phones "Dr. Smith paid $3.50."

      amphion-tts phones "Guten Morgen" --frontend espeak --language de
    """
    from amphion_tts.speaking import gather
    from amphion_tts.text.config import FrontEndConfig
    from amphion_tts.text.frontend import make_frontend
    from amphion_tts.text.sentences import split_sentences

    settings = {"kind": frontend, "language": language, "lexicon": None if lexicon is None else str(lexicon)}
    reader = make_frontend(FrontEndConfig.parse(settings, where="options"))
    for sentence in split_sentences(gather(text)[0].text):
        print(" ".join(reader(sentence)))


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="File or name of a recipe, such as tts/fastspeech2-ljspeech.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key.sub=value items.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Run folder; default: runs/NAME.")] = None,
) -> None:
    """Train a model from a recipe; run again to resume. Prints the run folder.

    Examples:
      amphion-tts train tts/fastspeech2-ljspeech data.train.0.path=shards/train data.valid.0.path=shards/valid
    """
    from amphion_core.training.run import train_recipe

    print(train_recipe(recipe, overrides or (), out=out))


def main() -> None:
    """Entry point of the command."""
    run(app)
