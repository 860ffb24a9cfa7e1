"""Units of work: some recordings of about half an hour in all, which become one shard and one mark."""

from __future__ import annotations

import errno
import hashlib
import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from amphion_core.data import Drop
from amphion_data.engines import Store, open_store
from amphion_data.files import AUDIO_SUFFIXES, hidden_drop, is_hidden, printable
from amphion_data.pipe.settings import PipeSettings
from amphion_data.pipe.stages import check_parts
from amphion_data.pipe.transcription import text_names

__all__ = ["VIDEO_SUFFIXES", "Source", "Unit", "WorkFailedError", "fingerprint", "plan_units"]

VIDEO_SUFFIXES = frozenset({".mp4", ".mkv", ".webm", ".mov", ".avi", ".flv", ".m4v"})
"""Endings of files whose sound is taken where a decoder for them is installed."""

_OF_ROWS = frozenset({"transcribe", "score", "format", "language"})
"""Settings that no segment depends on."""

_SECRET = frozenset({"token"})
"""Options that no byte depends on and that may not be written beside the output."""

_BYTES_A_SECOND = 16_000  # of a file whose length is not known before it is decoded


class WorkFailedError(ValueError):
    """A unit can't be finished on this machine, by no fault of its recordings."""


@dataclass(frozen=True)
class Source:
    """A recording.

    Attributes:
        name: path below the input, with `/`.
        stamp: changes when the file does.
        size: bytes.
        seconds: by its header, or estimated from the size.
    """

    name: str
    stamp: str
    size: int
    seconds: float


@dataclass(frozen=True)
class Unit:
    """Recordings that go into one shard.

    Attributes:
        number: in the plan.
        key: of the mark; made of the settings, versions and recordings.
        segments: key of its segments; made of the recordings and of those settings that decide on segments.
        sources: sorted by name.
    """

    number: int
    key: str
    segments: str
    sources: tuple[Source, ...]

    @property
    def seconds(self) -> float:
        """Audio that goes in, s."""
        return sum(source.seconds for source in self.sources)

    def __str__(self) -> str:
        """For messages; a unit may hold hundreds of recordings."""
        more = f" and {len(self.sources) - 1} more" if len(self.sources) > 1 else ""
        return f"unit {self.number + 1} ({self.sources[0].name}{more})"

    @property
    def shard(self) -> str:
        """Name of its shard in the output."""
        return f"shards/unit-{self.number:06d}-{self.key[:12]}.tar"


@dataclass
class Plan:
    """All units of an input, and the files that are in none."""

    units: list[Unit]
    drops: list[Drop] = field(default_factory=list)
    others: int = 0

    @property
    def seconds(self) -> float:
        """Audio that goes in, s."""
        return sum(unit.seconds for unit in self.units)


def fingerprint(settings: PipeSettings, *, segments: bool = False) -> str:
    """Text of what the bytes of the output depend on, beside the recordings.

    Args:
        settings: of the run.
        segments: only what the segments depend on, not what is made of them.
    """
    import soundfile
    import soxr

    from amphion_core.__about__ import __version__ as core
    from amphion_data.__about__ import __version__
    from amphion_data.pipe.embedding import choose_embedder

    versions = {"amphion-core": core, "amphion-data": __version__}
    versions |= {"libsndfile": soundfile.__libsndfile_version__, "soxr": soxr.__version__}
    asked = settings.updated(embed=choose_embedder(settings.embed)).to_dict()
    asked["options"] = {
        name: {key: value for key, value in own.items() if key not in _SECRET} for name, own in asked["options"].items()
    }
    if segments:
        stages = {asked[kind] for kind in ("separate", "vad", "diarise", "embed")}
        asked["options"] = {name: own for name, own in asked["options"].items() if name in stages}
        asked["filter"] = {"max_voice_distance": asked["filter"]["max_voice_distance"]}
        asked = {name: value for name, value in asked.items() if name not in _OF_ROWS}
    return json.dumps({"settings": asked, "versions": versions}, sort_keys=True, ensure_ascii=False)


def plan_units(folder: str | Path, settings: PipeSettings) -> Plan:
    """Recordings of an input in groups of about `settings.unit` seconds, in the order of their names.

    Args:
        folder: path or address.
        settings: what is done to them.

    Raises:
        FileNotFoundError: there is no recording; says what there is instead.
        LookupError: no installed package has a part that the settings name.
        ValueError: the format of the output can't hold its rate.
    """
    from amphion_data.pipe.embedding import choose_embedder

    chosen = settings.updated(embed=choose_embedder(settings.embed)).stages()
    check_parts(chosen, settings.options)
    _check_rate(settings)
    store = open_store(folder)
    if "://" not in str(folder) and not Path(folder).is_dir():
        raise FileNotFoundError(f"no folder at {folder}; give the folder that holds the recordings")
    names, plan = store.names(), Plan([])
    sources: list[Source] = []
    seen: dict[str, str] = {}  # ids are made of the NFC form
    for name in names:
        suffix, shown = PurePosixPath(name).suffix.lower(), printable(name)
        if suffix not in AUDIO_SUFFIXES | VIDEO_SUFFIXES:
            plan.others += 1
        elif is_hidden(name):
            plan.drops.append(hidden_drop(shown, shown, "plan"))
        elif name != shown:
            plan.drops.append(Drop(shown, shown, "bad_row", "the name of the file is not UTF-8; rename it", "plan"))
        elif (same := seen.setdefault(unicodedata.normalize("NFC", name), name)) != name:
            detail = f"its name is another in another form of unicode: {name!a} and {same!a}; rename one"
            plan.drops.append(Drop(name, name, "duplicate_id", detail, "plan"))
        else:
            found = _source(store, name)
            if isinstance(found, Drop):
                plan.drops.append(found)
            else:
                sources.append(found)
    texts = _texts(names, sources, folder, settings)
    if not sources:
        held = ", ".join(printable(name) for name in names[:10]) or "nothing"
        raise FileNotFoundError(f"no recording in {folder}; it holds {held}")
    asked = (fingerprint(settings), fingerprint(settings, segments=True))
    group: list[Source] = []
    for source in sources:
        if group and sum(s.seconds for s in group) + source.seconds > settings.unit:
            plan.units.append(_unit(len(plan.units), group, asked, texts))
            group = []
        group.append(source)
    plan.units.append(_unit(len(plan.units), group, asked, texts))
    return plan


def _check_rate(settings: PipeSettings) -> None:
    """Encode a moment of silence: what can't be written is said before days of work and not by each unit after them."""
    import numpy as np

    from amphion_core import audio

    try:
        audio.encode(np.zeros(settings.sample_rate // 10, np.float32), settings.sample_rate, settings.format)
    except ValueError as error:
        raise ValueError(f"sample_rate and format: {str(error).partition(';')[0]}; change one of them") from None


def _texts(
    names: Sequence[str], sources: Sequence[Source], folder: str | Path, settings: PipeSettings
) -> dict[str, str]:
    """Stamps of the texts that are given, by the names of their recordings; empty where none are asked for."""
    if settings.transcribe != "given":
        return {}
    elsewhere = settings.options.get("given", {}).get("folder")
    store = open_store(elsewhere or folder)
    held = set(store.names() if elsewhere else names)
    found = ((source.name, next((n for n in text_names(source.name) if n in held), None)) for source in sources)
    return {source: f"{PurePosixPath(name).suffix} {_stamp(store, name)}" for source, name in found if name is not None}


def _stamp(store: Store, name: str) -> str:
    """Of a text; a link that leads nowhere is as good as none."""
    try:
        return store.stamp(name)
    except FileNotFoundError:
        return ""


def _source(store: Store, name: str) -> Source | Drop:
    """A recording, or a drop where its name leads to no file that may be read; other errors of a disk are raised."""
    import soundfile

    try:
        size, stamp = store.size(name), store.stamp(name)
    except OSError as error:
        of_the_file = isinstance(error, FileNotFoundError) or (
            hasattr(store, "root") and error.errno in (errno.EACCES, errno.ELOOP)
        )
        if not of_the_file:
            raise
        why = f"{type(error).__name__}: {error.strerror or 'there is no file'}"
        return Drop(name, name, "missing_audio", why, "plan")
    seconds = size / _BYTES_A_SECOND
    if hasattr(store, "root"):
        try:
            with store.local(name) as path:
                found = soundfile.info(path)
            if 0 < found.frames < 1 << 40:
                seconds = found.frames / found.samplerate
        except (soundfile.LibsndfileError, RuntimeError, OSError):  # what is wrong is said when it is decoded
            pass
    return Source(name, stamp, size, round(seconds, 3))


def _unit(number: int, group: Sequence[Source], asked: tuple[str, str], texts: Mapping[str, str]) -> Unit:
    whole, first = (hashlib.sha256(text.encode()) for text in asked)
    for source in group:
        text = texts.get(source.name, "")
        whole.update(f"\n{source.name}\0{source.stamp}\0{text}".encode("utf-8", "surrogateescape"))
        first.update(f"\n{source.name}\0{source.stamp}".encode("utf-8", "surrogateescape"))
    return Unit(number, whole.hexdigest()[:24], first.hexdigest()[:24], tuple(group))
