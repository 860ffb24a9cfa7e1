"""The command `amphion-vocoders`, also `amphion vocoders`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from amphion_core.cli import make_app, run

__all__ = ["app", "main"]

app = make_app("Vocoders: mel spectrograms to waveforms.")


@app.command()
def synthesize(
    inputs: Annotated[
        list[Path], typer.Argument(help="Audio, mels (.npy, .safetensors), folders of them, or folders of shards.")
    ],
    model: Annotated[str, typer.Option("--model", "-m", help="Checkpoint, run folder, hub id, griffin-lim or world.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write to.")],
    format: Annotated[str, typer.Option(help="wav or flac.")] = "wav",
    batch: Annotated[int, typer.Option(help="Clips at once.")] = 1,
    limit: Annotated[int | None, typer.Option(help="Only the first so many clips.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    seed: Annotated[int, typer.Option(help="Of vocoders that draw noise.")] = 0,
    mel: Annotated[
        Path | None, typer.Option(help="Config of the mel that a vocoder without weights inverts (YAML or JSON).")
    ] = None,
) -> None:
    """Turn recordings or mels into waveforms; prints the files written.

    A recording is analysed with the mel of the vocoder and synthesised again (copy synthesis). Rows of shards
    are named by their keys.

    Examples:
      amphion-vocoders synthesize recordings/ --model runs/hifigan-v1-22k -o copies/

      amphion-vocoders synthesize shards/test --model griffin-lim -o copies/ --limit 10

      amphion-vocoders synthesize mels/*.npy --model runs/vocos-24k -o out/ --format flac
    """
    from amphion_core.features import MelConfig
    from amphion_vocoders.inference import synthesize as synthesize_files

    written = synthesize_files(
        inputs,
        model,
        out,
        format=format,
        batch=batch,
        limit=limit,
        device=device,
        seed=seed,
        mel=None if mel is None else MelConfig.from_file(mel),
    )
    for path in written:
        print(path)


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="File or name of a recipe, such as vocoders/hifigan-v1-22k.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key.sub=value items.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Run folder; default: runs/NAME.")] = None,
) -> None:
    """Train a vocoder from a recipe; run again to resume. Prints the run folder.

    Examples:
      amphion-vocoders train vocoders/hifigan-v1-22k data.train.0.path=shards/train data.valid.0.path=shards/valid

      amphion-vocoders train my-vocos.yaml trainer.steps=1000 --out runs/try
    """
    from amphion_core.training.run import train_recipe

    print(train_recipe(recipe, overrides or (), out=out))


@app.command("list")
def list_vocoders() -> None:
    """List the installed vocoders, whoever brings them, and the recipes that train them.

    Examples:
      amphion-vocoders list
    """
    from amphion_core import registry
    from amphion_core.recipe import recipe_names

    for name, point in registry.entries("vocoders").items():
        print(f"{name:24} {point.value}")
    for name in recipe_names():
        if name.startswith("vocoders/"):
            print(f"{name:24} recipe")


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="Experiment folder, accelerate folder or file of another code base.")],
    out: Annotated[Path, typer.Argument(help="Folder for config.json and model.safetensors.")],
    kind: Annotated[str, typer.Option("--kind", "-k", help="Which vocoder it is: hifigan or vocos.")],
    args: Annotated[Path | None, typer.Option(help="Its args.json or config.json, where not beside it.")] = None,
) -> None:
    """Convert a released checkpoint of another code base to a folder of ours; prints the folder.

    Examples:
      amphion-vocoders convert hifigan_speech/ vocoder/ --kind hifigan

      amphion-vocoders convert g_02500000 vocoder/ --kind hifigan --args config.json
    """
    from amphion_core.config import read_mapping
    from amphion_core.publish import convert as convert_checkpoint

    options = {} if args is None else {"args": read_mapping(args)}
    print(convert_checkpoint(f"vocoders/{kind}", source, out, **options))


def main() -> None:
    """Entry point of the command."""
    run(app)
