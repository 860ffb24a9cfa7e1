"""What a fine-tuning starts from: weights of the generator and of each discriminator, wherever they were published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import model_validator
from torch import Tensor, nn

from amphion_core.config import Config, read_mapping
from amphion_core.discriminators.ensemble import AnyDiscriminatorConfig
from amphion_core.hub import load_weights, read_weights, resolve
from amphion_core.interfaces import load_vocoder
from amphion_core.released import read_args, read_checkpoint
from amphion_core.training.saving import differences
from amphion_vocoders.released.discriminators import discriminator_config, discriminator_weights
from amphion_vocoders.released.fields import section
from amphion_vocoders.released.loading import weights_family

__all__ = ["DiscriminatorSource", "InitConfig", "start_discriminators", "start_generator"]

_NESTS = {"period": "mpd", "scale": "msd", "resolution": "mrd"}
"""Names under which files of several discriminators hold each kind."""

_TRAINED = Path("trainer", "weights.safetensors")
"""Weights of all networks in a checkpoint of our trainer."""


class DiscriminatorSource(Config):
    """Where the weights of one discriminator are.

    Attributes:
        path: file or accelerate folder.
        nest: name of the discriminator inside the file, such as `mpd`; None where the file holds just one.
        index: which model of an accelerate folder, 1 is the first discriminator.
    """

    path: str
    nest: str | None = None
    index: int = 0

    def __str__(self) -> str:
        """What errors and logs call it."""
        parts = [self.path, self.nest, f"model {self.index}" if self.index else None]
        return ", ".join(part for part in parts if part)


class InitConfig(Config):
    """Weights that a new run starts from; a resumed one goes on from its own.

    Attributes:
        generator: checkpoint or run folder, hub id, name of a known checkpoint, or files of another code base with
            their configuration beside them; None starts it anew.
        discriminators: a checkpoint or run folder of ours, an experiment or accelerate folder of the toolkit, whose
            discriminators follow the generator in the order of the recipe, or a file of several; or a list with an
            entry for each discriminator of the recipe, null for one that starts anew. None starts all anew.
    """

    generator: str | None = None
    discriminators: str | tuple[str | DiscriminatorSource | None, ...] | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.generator is None and self.discriminators is None:
            raise ValueError("init names neither a generator nor discriminators; leave it out to start anew")
        return self


def start_generator(generator: nn.Module, source: str) -> list[str]:
    """Give a generator the weights of a published one; returns notes.

    Raises:
        FileNotFoundError: nothing is there.
        ValueError: the weights are those of another network; names the first keys and shapes.
    """
    given = load_vocoder(source)
    load_weights(generator, given.state_dict(), where=f"init.generator {source}")
    config: Any = generator.config
    changes = differences(given.config.to_dict(), config.to_dict())
    return [
        f"the generator starts from {source}",
        *(f"the config differs from its: {name} {old!r} -> {new!r}" for name, (old, new) in changes.items()),
    ]


def start_discriminators(
    members: Sequence[nn.Module],
    configs: Sequence[AnyDiscriminatorConfig],
    source: str | Sequence[str | DiscriminatorSource | None],
) -> list[str]:
    """Give discriminators published weights; returns notes.

    Args:
        members: the discriminators.
        configs: theirs, complete.
        source: as `InitConfig.discriminators`.

    Raises:
        FileNotFoundError: nothing is there.
        ValueError: another number of discriminators, another kind or other settings; names the first keys or fields.
    """
    if isinstance(source, str):
        folder = _own_checkpoint(source)
        own = None if folder is None else _own_weights(folder, len(members))
        sources: Sequence[str | DiscriminatorSource | None] = _spread(source, configs)
    else:
        folder, own, sources = None, None, source
    if len(sources) != len(members):
        raise ValueError(
            f"init.discriminators has {len(sources)} entries for {len(members)} discriminators; give one for each, "
            "null for one that starts anew"
        )
    notes = [] if folder is None else _compare_settings(folder, configs)
    for number, (member, config, given) in enumerate(zip(members, configs, sources, strict=True)):
        if given is None:
            notes.append(f"discriminator {number} ({config.name}) starts anew")
            continue
        where = f"init.discriminators, {config.name} of {source if isinstance(source, str) else given}"
        weights = own[number] if own is not None else _foreign_weights(given, config)
        load_weights(member, weights, where=where)
        notes.append(f"discriminator {number} ({config.name}) starts from {source if own else given}")
    return notes


def _own_checkpoint(source: str) -> Path | None:
    """The folder of a checkpoint of our trainer, or None where it is another's."""
    folder = Path(source)
    if not folder.is_dir():
        return None
    try:
        folder = resolve(folder)
    except FileNotFoundError:
        return None
    return folder if (folder / _TRAINED).is_file() else None


def _own_weights(folder: Path, count: int) -> list[dict[str, Tensor]]:
    """Weights of each discriminator in a checkpoint of our trainer."""
    path = folder / _TRAINED
    prefix = "discriminators.members."
    found: dict[int, dict[str, Tensor]] = {}
    for name, tensor in read_weights(path).items():
        if name.startswith(prefix):
            number, _, key = name.removeprefix(prefix).partition(".")
            found.setdefault(int(number), {})[key] = tensor
    if len(found) != count:
        raise ValueError(f"{path} holds {len(found)} discriminators, the recipe has {count}; list those to start from")
    return [found[number] for number in range(count)]


def _compare_settings(folder: Path, configs: Sequence[AnyDiscriminatorConfig]) -> list[str]:
    """Refuse discriminators that a run trained with other settings, which the shapes of weights don't tell."""
    path = folder / "recipe.yaml"
    recipe = read_mapping(path) if path.is_file() else {}
    stored = recipe.get("discriminators")
    if not isinstance(stored, list) or len(stored) != len(configs) or not all(isinstance(d, dict) for d in stored):
        return [f"no recipe beside {folder} says how its discriminators are set, so only their shapes are compared"]
    rate = section(section(recipe, "model"), "mel", inside="model").get("sample_rate")
    for number, (before, config) in enumerate(zip(stored, configs, strict=True)):
        if before.get("name") == config.name:  # a field that is newer than the run has its default
            before = type(config).parse(before, where=f"{path}, discriminators.{number}").to_dict()
        if "sample_rate" in before and before["sample_rate"] is None:  # then it is the generator's
            before["sample_rate"] = rate
        where = f"discriminator {number} ({config.name}) of {folder} was trained with"
        _refuse_differences(before, config, where)
    return []


def _refuse_differences(stated: Mapping[str, Any], config: AnyDiscriminatorConfig, where: str) -> None:
    changes = differences(stated, config.to_dict())
    if changes:
        rows = "; ".join(f"{name}: {old!r} there, {new!r} here" for name, (old, new) in changes.items())
        raise ValueError(f"{where} other settings: {rows}")


def _spread(source: str, configs: Sequence[AnyDiscriminatorConfig]) -> list[DiscriminatorSource]:
    if Path(source).is_dir():
        return [DiscriminatorSource(path=source, index=number) for number in range(1, len(configs) + 1)]
    unnamed = [config.name for config in configs if config.name not in _NESTS]
    if unnamed:
        raise ValueError(
            f"init.discriminators: under what name {source} holds {', '.join(unnamed)} is not known; "
            "give a list of {path, nest} instead"
        )
    return [DiscriminatorSource(path=source, nest=_NESTS[config.name]) for config in configs]


def _foreign_weights(given: str | DiscriminatorSource, config: AnyDiscriminatorConfig) -> dict[str, Tensor]:
    where = DiscriminatorSource(path=given) if isinstance(given, str) else given
    weights = read_checkpoint(where.path, where.nest, where.index)
    try:
        args: Mapping[str, Any] = read_args(where.path)
    except FileNotFoundError:
        args = {}
    stated = discriminator_config(config.name, args)
    if stated is not None:
        _refuse_differences(stated.to_dict(), config, f"the discriminator {config.name!r} beside {where.path} has")
    try:
        return discriminator_weights(weights, config)
    except ValueError as error:
        held = weights_family(weights)
        keys = f"its keys are those of {held}; " if held else ""
        raise ValueError(
            f"init.discriminators: {where} is no {config.name}: {error}; {keys}give each discriminator of the recipe "
            "its own source, in their order"
        ) from None
