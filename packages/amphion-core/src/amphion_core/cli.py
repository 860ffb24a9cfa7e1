"""The command `amphion`: training, recipes, components, model cards, and what installed packages add."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from . import registry

__all__ = ["app", "main", "make_app", "run"]

log = logging.getLogger(__name__)

_TENSOR_PACKAGES = ("torch", "torchaudio", "safetensors", "accelerate")


def make_app(help_text: str) -> typer.Typer:
    """A typer application with the look that all our commands share."""
    return _App(
        help=help_text,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        epilog="Errors are one message; --debug anywhere on the line shows where they come from.",
    )


class _Command(typer.core.TyperCommand):
    """A command whose examples keep their lines: what follows `Examples:` is not filled into paragraphs."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        text, example, examples = (self.help or "").partition("\nExample")
        if example and "\b" not in text:
            kept = "\n\n".join("\b\n" + part for part in f"Example{examples}".split("\n\n"))
            self.help = f"{text}\n{kept}"
        super().format_help(ctx, formatter)


class _App(typer.Typer):
    """An application whose commands are of our kind."""

    def command(self, name: str | None = None, **named: Any) -> Any:
        """Declare a command, as `typer.Typer.command` does."""
        return super().command(name, **{"cls": _Command, **named})


def run(command: Callable[[], Any]) -> None:
    """Run a command line: exit 0 done, 1 failed, 2 wrong usage; a traceback only with --debug.

    Args:
        command: the typer application.
    """
    debug = "--debug" in sys.argv[1:] or os.environ.get("AMPHION_DEBUG") == "1"
    sys.argv[1:] = [argument for argument in sys.argv[1:] if argument != "--debug"]
    logging.basicConfig(level=logging.DEBUG if debug else logging.INFO, format="%(message)s", stream=sys.stderr)
    for chatty in ("urllib3", "httpx", "httpcore", "fsspec", "matplotlib", "numba", "filelock"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        command()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (ValueError, LookupError, OSError, ImportError, RuntimeError, ArithmeticError) as error:
        if debug:
            raise
        print(f"error: {_words(error)}", file=sys.stderr)
        sys.exit(1)


def _words(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name in _TENSOR_PACKAGES:
        return f"this needs the package {error.name!r}, which is not installed: pip install 'amphion-core[torch]'"
    return str(error) or type(error).__name__


class _WithPlugins(typer.core.TyperGroup):
    """The command group, with those of installed packages imported only when they are called."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), *(n for n in registry.names("commands") if n not in self.commands)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        own = super().get_command(ctx, cmd_name)
        if own is not None or cmd_name not in registry.entries("commands"):
            return own
        return typer.main.get_command(registry.find("commands", cmd_name))


app = make_app("Amphion: any input into audio. Packages that are installed add their commands here.")
app.info.cls = _WithPlugins
recipes_app = make_app("Recipes of the installed packages.")
app.add_typer(recipes_app, name="recipes", invoke_without_command=True, no_args_is_help=False)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the versions of the installed packages.")] = False,
) -> None:
    if version:
        from importlib.metadata import PackageNotFoundError
        from importlib.metadata import version as version_of

        for name in ("amphion-core", *registry.AVAILABLE):
            try:
                print(f"{name} {version_of(name)}")
            except PackageNotFoundError:
                continue
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())


@recipes_app.callback(invoke_without_command=True)
def _recipes(context: typer.Context) -> None:
    """List the recipes of the installed packages, one a line."""
    if context.invoked_subcommand is None:
        from .config import parse_yaml
        from .recipe import recipe_names

        known = recipe_names()
        for name, path in known.items():
            description = parse_yaml(path.read_text(encoding="utf-8"), str(path)).get("description", "")
            print(f"{name:40} {description}".rstrip())
        if not known:
            log.info("no installed package has recipes; try: pip install amphion-tts")


@recipes_app.command("copy")
def recipes_copy(
    name: Annotated[str, typer.Argument(help="As 'amphion recipes' lists it.")],
    target: Annotated[Path | None, typer.Argument(help="File to write; default: its own name, here.")] = None,
) -> None:
    """Copy a recipe to a file to edit."""
    from .recipe import copy_recipe

    print(copy_recipe(name, target))


@recipes_app.command("show")
def recipes_show(
    name: Annotated[str, typer.Argument(help="Name or file of a recipe.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key.sub=value items.")] = None,
) -> None:
    """Print a recipe whole, with every default, after overrides."""
    from .recipe import load_recipe

    print(load_recipe(name, overrides or ()).to_yaml(), end="")


@recipes_app.command("schema")
def recipes_schema(task: Annotated[str, typer.Argument(help="Name of a task, such as fastspeech2.")]) -> None:
    """Print the JSON schema of a task's recipes, for completion in an editor."""
    import json

    print(json.dumps(registry.find("tasks", task).recipe_class.model_json_schema(), indent=2))


@app.command()
def components() -> None:
    """List what is installed, by kind, and which package would bring what is not."""
    from importlib.metadata import PackageNotFoundError, version

    for group in registry.GROUPS:
        print(f"{group:10} {', '.join(registry.names(group)) or '-'}")
    print()
    for package, brings in registry.AVAILABLE.items():
        try:
            print(f"{package:18} {version(package):8} installed")
        except PackageNotFoundError:
            print(f"{package:18} {'-':8} pip install {package}  ({brings})")


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="File or name of a recipe.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key.sub=value items.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; default: runs/NAME of the recipe.")] = None,
) -> None:
    """Train a model from a recipe; run again to resume.

    Ctrl-C and SIGTERM finish the step and write a checkpoint; the exit status is then 130 or 143.

    Examples:
      amphion train tts/fastspeech2-ljspeech data.train.0.path=data/lj/train

      amphion train my-recipe.yaml trainer.steps=1000 --out runs/try

      torchrun --nproc_per_node 2 --no-python amphion train my-recipe.yaml
    """
    from .training.run import TrainingInterruptedError, train_recipe

    try:
        folder = train_recipe(recipe, overrides or (), out=out)
    except TrainingInterruptedError as stopped:
        log.warning("%s", stopped)
        raise typer.Exit(stopped.code) from None
    if os.environ.get("RANK", "0") == "0":
        print(folder)


@app.command()
def convert(
    model: Annotated[str, typer.Argument(help="Kind and name, such as vocoders/hifigan.")],
    checkpoint: Annotated[Path, typer.Argument(help="File or folder of the released weights.")],
    out: Annotated[Path, typer.Argument(help="Folder to write.")],
) -> None:
    """Turn a released checkpoint of another code base into a folder of ours.

    Example:
      amphion convert vocoders/hifigan generator_v1 models/hifigan-v1
    """
    from .publish import convert as convert_checkpoint

    print(convert_checkpoint(model, checkpoint, out))


@app.command()
def card(
    source: Annotated[Path, typer.Argument(help="Checkpoint or run folder.")],
    evaluation: Annotated[Path | None, typer.Option(help="JSON of an amphion-eval report.")] = None,
    licence: Annotated[str | None, typer.Option(help="SPDX name of the licence of the weights.")] = None,
    data: Annotated[str | None, typer.Option(help="Sentences about the training corpus.")] = None,
    demo: Annotated[str | None, typer.Option(help="Address of a page to try the model on.")] = None,
) -> None:
    """Write the model card of a checkpoint anew, with evaluation and licence.

    Example:
      amphion card runs/fastspeech2 --evaluation report.json --licence CC-BY-4.0
    """
    from .publish import write_card

    print(write_card(source, evaluation=evaluation, licence=licence, data=data, demo=demo))


@app.command()
def push(
    source: Annotated[Path, typer.Argument(help="Checkpoint or run folder.")],
    repository: Annotated[str, typer.Argument(help="OWNER/NAME on the hub.")],
    private: Annotated[bool, typer.Option(help="Make the repository private.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and list, upload nothing; works offline.")] = False,
) -> None:
    """Upload a checkpoint to the hub: config, weights, card, recipe, versions.

    Example:
      amphion push runs/fastspeech2 me/fastspeech2-ljspeech --dry-run
    """
    from .publish import push as push_checkpoint

    for name, size in push_checkpoint(source, repository, private=private, dry_run=dry_run).items():
        print(f"{size:12,} {name}")
    log.info("nothing was uploaded (dry run)" if dry_run else f"uploaded to {repository}")


def main() -> None:
    """Entry point of the command."""
    run(app)
