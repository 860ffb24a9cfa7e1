"""The command `amphion-vocoders`, also `amphion vocoders`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from amphion_core.cli import make_app, run

__all__ = ["app", "main"]

app = make_app("Vocoders: mel spectrograms to waveforms.")

Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="Checkpoint or run folder, hub id, a name of `amphion-vocoders list`, griffin-lim or world.",
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")]
Precision = Annotated[str, typer.Option(help="float32, or bf16 and fp16 where the numbers stay good.")]
Compile = Annotated[bool, typer.Option("--compile", help="Compile the network first; on a CPU it needs a compiler.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="key=value of the vocoder's inference; may stand several times.")
]
MelFile = Annotated[
    Path | None, typer.Option(help="Config of the mel that a vocoder without weights inverts (YAML or JSON).")
]


@app.command()
def synthesize(
    inputs: Annotated[
        list[Path], typer.Argument(help="Audio, mels (.npy, .npz, .safetensors), folders of them, folders of shards.")
    ],
    model: Model,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write to.")],
    format: Annotated[str, typer.Option(help="wav or flac.")] = "wav",
    batch: Annotated[int, typer.Option(help="Clips at once.")] = 1,
    limit: Annotated[int | None, typer.Option(help="Only the first so many clips.")] = None,
    device: Device = "auto",
    seed: Annotated[int, typer.Option(help="Of vocoders that draw noise.")] = 0,
    mel: MelFile = None,
    f0: Annotated[str, typer.Option(help="F0 of recordings, for vocoders that take it: dio, harvest, pyin, ...")] = (
        "dio"
    ),
    precision: Precision = "float32",
    compile: Compile = False,
    stream: Annotated[int | None, typer.Option(help="Frames given at a time, as in a live system.")] = None,
    settings: Settings = None,
) -> None:
    """Turn recordings or mels into waveforms; prints the files written.

    A recording is analysed with the mel of the vocoder and synthesised again (copy synthesis). Rows of shards
    are named by their keys. Mels of other tools are compared with what the vocoder takes: by NAME.json or mel.json
    beside them, where there is one, and by their values. A faulty input is named and costs only itself; the exit
    status is then 1.

    Examples:
      amphion-vocoders synthesize recordings/ --model runs/hifigan-v1-22k -o copies/

      amphion-vocoders synthesize shards/test --model griffin-lim -o copies/ --limit 10

      amphion-vocoders synthesize mels/*.npy --model runs/vocos-24k -o out/ --format flac

      amphion-vocoders synthesize song.wav --model bigvgan-v2-44khz-128band-512x -o out/ --precision bf16

      amphion-vocoders synthesize long.wav --model runs/hifigan-v1-22k -o out/ --stream 64

      amphion-vocoders synthesize recordings/ --model runs/diffwave-24k -o copies/ --set steps=fast
    """
    from amphion_core.features import MelConfig
    from amphion_vocoders.inference import FaultyInputsError
    from amphion_vocoders.inference import synthesize as synthesize_files
    from amphion_vocoders.segments import F0Config

    written: list[Path] = []
    try:
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
            f0=F0Config.parse({"method": f0}),
            precision=precision,
            compile=compile,
            stream=stream,
            settings=settings or (),
        )
    except FaultyInputsError as error:
        written = error.written
        raise
    finally:
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

      amphion-vocoders train vocoders/bigvgan-24k-singing-finetune init.generator=bigvgan-24khz-100band
    """
    from amphion_core.training.run import train_recipe

    print(train_recipe(recipe, overrides or (), out=out))


@app.command("list")
def list_vocoders(
    details: Annotated[bool, typer.Option("--details", help="All that is known of each checkpoint.")] = False,
) -> None:
    """List the installed vocoders, whoever brings them, published checkpoints by name, and recipes.

    Examples:
      amphion-vocoders list

      amphion-vocoders list --details
    """
    from amphion_core import registry
    from amphion_core.recipe import recipe_names
    from amphion_vocoders.listing import checkpoint_lines

    print("vocoders")
    for name, point in registry.entries("vocoders").items():
        print(f"  {name:38} {point.value}")
    print("checkpoints")
    for line in checkpoint_lines(details=details):
        print(f"  {line}")
    print("recipes")
    for name in recipe_names():
        if name.startswith("vocoders/"):
            print(f"  {name}")


@app.command()
def convert(
    source: Annotated[
        str, typer.Argument(help="Folder or file of another code base, or a name of `amphion-vocoders list`.")
    ],
    out: Annotated[Path, typer.Argument(help="Folder for config.json and model.safetensors.")],
    kind: Annotated[
        str | None, typer.Option("--kind", "-k", help="Which vocoder it is; not needed where its args say so.")
    ] = None,
    args: Annotated[Path | None, typer.Option(help="Its args.json or config.json, where not beside it.")] = None,
) -> None:
    """Convert a released checkpoint of another code base to a folder of ours; prints the folder.

    Examples:
      amphion-vocoders convert hifigan_speech/ vocoder/

      amphion-vocoders convert bigvgan-v2-24khz-100band-256x vocoder/

      amphion-vocoders convert g_02500000 vocoder/ --kind hifigan --args config.json
    """
    from amphion_core.config import read_mapping
    from amphion_vocoders.checkpoints import convert_checkpoint

    print(convert_checkpoint(source, out, kind=kind, args=None if args is None else read_mapping(args)))


@app.command()
def export(
    model: Annotated[str, typer.Argument(help="Checkpoint or run folder, hub id, or a name of the list.")],
    out: Annotated[Path, typer.Argument(help="ONNX file to write; the settings of its mel go beside it.")],
    tolerance: Annotated[float, typer.Option(help="Largest difference of a sample from torch.")] = 1e-4,
    settings: Settings = None,
) -> None:
    """Write a vocoder of convolutions as an ONNX file of any batch and length, checked by ONNX Runtime.

    A file appears only if ONNX Runtime gives what torch gives. Prints the path and the largest difference.

    Examples:
      amphion-vocoders export runs/hifigan-v1-22k hifigan.onnx

      amphion-vocoders export vocos-vevo vocos.onnx

      amphion-vocoders export runs/vocos-24k-small vocos.onnx --set phase_steps=0
    """
    from amphion_core.interfaces import load_vocoder
    from amphion_vocoders.adjusting import adjust
    from amphion_vocoders.export import export_onnx

    vocoder = load_vocoder(model)
    adjust(vocoder, settings or ())
    report = export_onnx(vocoder, out, tolerance=tolerance)
    print(f"{report.path}  differs from torch by at most {report.difference:.1e}")


@app.command()
def bench(
    models: Annotated[list[str], typer.Argument(help="As --model of synthesize.")],
    seconds: Annotated[float, typer.Option(help="Of audio in a clip.")] = 3.0,
    batch: Annotated[int, typer.Option(help="Clips at once.")] = 1,
    chunk: Annotated[int, typer.Option(help="Frames in a chunk of the stream.")] = 32,
    runs: Annotated[int, typer.Option(help="Repetitions.")] = 3,
    device: Device = "auto",
    precision: Precision = "float32",
    compile: Compile = False,
    mel: MelFile = None,
    settings: Settings = None,
) -> None:
    """Time vocoders on this machine: times real time, time to the first samples, memory.

    Examples:
      amphion-vocoders bench runs/hifigan-v1-22k

      amphion-vocoders bench griffin-lim world --seconds 10

      amphion-vocoders bench runs/diffwave-24k --set steps=fast
    """
    from amphion_core.features import MelConfig
    from amphion_vocoders.timing import time_vocoder

    for model in models:
        print(model)
        speed = time_vocoder(
            model,
            seconds=seconds,
            batch=batch,
            chunk=chunk,
            runs=runs,
            device=device,
            precision=precision,
            compile=compile,
            mel=None if mel is None else MelConfig.from_file(mel),
            settings=settings or (),
        )
        for line in speed.lines():
            print(f"  {line}")


def main() -> None:
    """Entry point of the command."""
    run(app)
