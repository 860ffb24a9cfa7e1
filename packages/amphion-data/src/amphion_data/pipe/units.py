"""Units of work: some recordings of about half an hour in all, from their files to one shard and one mark."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from amphion_core.data import Drop, Record, write_shards
from amphion_data.engines import Ledger, Store, open_store
from amphion_data.files import AUDIO_SUFFIXES, is_hidden
from amphion_data.pipe.corpus_pass import FIRST
from amphion_data.pipe.rates import RateCounts
from amphion_data.pipe.settings import PipeSettings
from amphion_data.pipe.transcription import TEXT_SUFFIXES

__all__ = ["VIDEO_SUFFIXES", "Source", "Unit", "UnitWork", "WorkFailedError", "fingerprint", "plan_units"]

log = logging.getLogger(__name__)

VIDEO_SUFFIXES = frozenset({".mp4", ".mkv", ".webm", ".mov", ".avi", ".flv", ".m4v"})
"""Endings of files whose sound is taken where a decoder for them is installed."""

_FATAL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE)
_TRIES = 3  # times that a recording is tried within one attempt at its unit
_DEATHS = 4  # times that a recording may have been open when its process died before it is set aside
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
        sources: sorted by name.
    """

    number: int
    key: str
    sources: tuple[Source, ...]

    @property
    def seconds(self) -> float:
        """Audio that goes in, s."""
        return sum(source.seconds for source in self.sources)

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


def fingerprint(settings: PipeSettings) -> str:
    """Text of what the bytes of the output depend on, beside the recordings."""
    import soundfile
    import soxr

    from amphion_core.__about__ import __version__ as core
    from amphion_data.__about__ import __version__
    from amphion_data.pipe.embedding import choose_embedder

    versions = {"amphion-core": core, "amphion-data": __version__}
    versions |= {"libsndfile": soundfile.__libsndfile_version__, "soxr": soxr.__version__}
    asked = settings.updated(embed=choose_embedder(settings.embed)).to_dict()
    return json.dumps({"settings": asked, "versions": versions}, sort_keys=True, ensure_ascii=False)


def plan_units(folder: str | Path, settings: PipeSettings) -> Plan:
    """Recordings of an input in groups of about `settings.unit` seconds, in the order of their names.

    Args:
        folder: path or address.
        settings: what is done to them.

    Raises:
        FileNotFoundError: there is no recording; says what there is instead.
    """
    store = open_store(folder)
    names, plan = store.names(), Plan([])
    sources: list[Source] = []
    for name in names:
        suffix = PurePosixPath(name).suffix.lower()
        if suffix not in AUDIO_SUFFIXES | VIDEO_SUFFIXES:
            plan.others += 1
        elif is_hidden(name):
            plan.drops.append(Drop(name, name, "hidden_file", "its name begins with a dot", "plan"))
        else:
            sources.append(_source(store, name))
    texts = _texts(names, folder, settings)
    if not sources:
        found = ", ".join(names[:10]) or "nothing"
        raise FileNotFoundError(f"no recording in {folder}; it holds {found}")
    asked = fingerprint(settings)
    group: list[Source] = []
    for source in sources:
        if group and sum(s.seconds for s in group) + source.seconds > settings.unit:
            plan.units.append(_unit(len(plan.units), group, asked, texts))
            group = []
        group.append(source)
    plan.units.append(_unit(len(plan.units), group, asked, texts))
    return plan


def _texts(names: Sequence[str], folder: str | Path, settings: PipeSettings) -> dict[str, str]:
    """Stamps of the texts that are given, by their names without ending; empty where none are asked for."""
    if settings.transcribe != "given":
        return {}
    elsewhere = settings.options.get("given", {}).get("folder")
    store = open_store(elsewhere or folder)
    held = store.names() if elsewhere else names
    found = (PurePosixPath(name) for name in held if PurePosixPath(name).suffix in TEXT_SUFFIXES)
    return {str(path.with_suffix("")): store.stamp(str(path)) for path in found}


def _source(store: Store, name: str) -> Source:
    import soundfile

    size, stamp = store.size(name), store.stamp(name)
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


def _unit(number: int, group: Sequence[Source], asked: str, texts: Mapping[str, str]) -> Unit:
    digest = hashlib.sha256(asked.encode())
    for source in group:
        stem = str(PurePosixPath(source.name).with_suffix(""))
        text = texts.get(source.name) or texts.get(stem) or ""
        digest.update(f"\n{source.name}\0{source.stamp}\0{text}".encode("utf-8", "surrogateescape"))
    return Unit(number, digest.hexdigest()[:24], tuple(group))


class UnitWork:
    """What a worker does to a unit; its models are loaded when the first one comes.

    Args:
        settings: what to do.
        folder: path or address of the recordings.
        out: path or address of the output.
        run: of this run; processes that died in another one are not counted.
        device: of the networks.
        work: folder of this machine for what is kept on disk meanwhile; None takes that of the system.
    """

    def __init__(
        self, settings: PipeSettings, folder: str, out: str, run: str, device: str = "cpu", work: str | None = None
    ) -> None:
        from amphion_data.pipe.process import Pipeline

        self.settings, self.run, self.work = settings, run, work
        self.source, self.out = open_store(folder), open_store(out)
        self.ledger = Ledger(self.out)
        self.pipeline = Pipeline(settings, folder, device)

    def __call__(self, unit: Unit) -> dict[str, Any]:
        """Work on a unit; what it leaves is whole once it is marked.

        Returns:
            What the mark says.

        Raises:
            OSError: the disk is full, or the output can't be written.
        """
        known = self.ledger.facts(unit.key)
        if known is not None:
            return known
        from amphion_data.pipe.process import Analysis, Tally

        tally = Tally()
        with tempfile.TemporaryDirectory(prefix="amphion-emilia-", dir=self.work) as place:
            analyses: list[Analysis] = []
            drops: list[Drop] = []
            for source in unit.sources:
                found = self._source(unit, source, Path(place), tally)
                (drops if isinstance(found, Drop) else analyses).append(found)  # type: ignore[attr-defined]
            pieces, dropped = self.pipeline.finish(analyses, tally)
            facts = self._facts(unit, tally, len(analyses), len(pieces), [*drops, *dropped])
            with tally.timed("write"):
                facts |= self._written(unit, pieces, Path(place))
            if self.settings.filter.rates == "corpus":
                facts["rates"] = _rates(pieces)
            for piece in pieces:
                facts["languages"][piece.row["language"] or ""] = round(
                    facts["languages"].get(piece.row["language"] or "", 0.0) + piece.segment.seconds, 6
                )
        times = {stage: round(seconds, 4) for stage, seconds in tally.work.items()}
        self.out.write(f"times/{unit.key}.json", json.dumps({"seconds": unit.seconds, "work": times}).encode())
        self.ledger.finish(unit.key, facts)
        self.out.remove(f"tries/{unit.key}.json")
        return facts

    def _source(self, unit: Unit, source: Source, place: Path, tally: Any) -> Any:
        """What becomes of one recording; it is dropped where it fails each time, or ends its process each time."""
        deaths = self._begin(unit, source)
        if deaths > _DEATHS:
            detail = f"{deaths - 1} processes died while they worked on it; forget tries/{unit.key}.json to try again"
            return Drop(source.name, source.name, "quarantined", detail, "engine")
        for attempt in range(1, _TRIES + 1):
            try:
                with self.source.local(source.name) as path:
                    found = self.pipeline.analyse(path, source.name, place, tally)
                break
            except (MemoryError, KeyboardInterrupt):
                raise
            except OSError as error:
                if error.errno in _FATAL:
                    raise
                words = f"{type(error).__name__}: {error}"
                found = Drop(source.name, source.name, "missing_audio", words, "standardise")
            except Exception as error:
                log.exception("%s: attempt %d", source.name, attempt)
                words = f"{type(error).__name__}: {error}, {attempt} times"
                found = Drop(source.name, source.name, "stage_failed", words[:500], "stages")
        self._end(unit, source)
        return found

    def _begin(self, unit: Unit, source: Source) -> int:
        """Note that a recording is begun; returns how often it was begun in this run and not ended."""
        name = f"tries/{unit.key}.json"
        noted = json.loads(self.out.read(name) or b"{}")
        tries: dict[str, int] = noted.get("tries", {}) if noted.get("run") == self.run else {}
        tries[source.name] = tries.get(source.name, 0) + 1
        self.out.write(name, json.dumps({"run": self.run, "tries": tries}).encode())
        return tries[source.name]

    def _end(self, unit: Unit, source: Source) -> None:
        name = f"tries/{unit.key}.json"
        noted = json.loads(self.out.read(name) or b"{}")
        if noted.get("tries", {}).pop(source.name, None) is not None:
            self.out.write(name, json.dumps(noted).encode())

    def _facts(self, unit: Unit, tally: Any, used: int, kept: int, drops: Sequence[Drop]) -> dict[str, Any]:
        return {
            "number": unit.number,
            "sources": [asdict(source) for source in unit.sources],
            "sources_used": used,
            "rows": kept,
            "drops": [asdict(drop) for drop in drops],
            "funnel": {name: round(seconds, 6) for name, seconds in sorted(tally.funnel.items())},
            "dropped_seconds": {name: round(seconds, 6) for name, seconds in sorted(tally.dropped.items())},
            "languages": {},
            "models": self.pipeline.identities,
        }

    def _written(self, unit: Unit, pieces: Sequence[Any], place: Path) -> dict[str, Any]:
        """Write the shard and put it into the output, index last."""
        if not pieces:
            return {"shard": None}
        folder = place / "shard"
        report = write_shards(
            pieces,
            self._record,
            folder,
            per_shard=len(pieces),
            fingerprint=unit.key,
            progress=False,
            on_error="fail",
        )
        tar = report.shards[0]
        name = unit.shard
        if self.settings.filter.rates == "corpus":  # the second pass writes the shards that count
            name = f"{FIRST}/{unit.shard.rpartition('/')[2]}"
        self.out.put(tar, name)
        self.out.put(tar.with_name(tar.name + ".idx"), name + ".idx")
        with tar.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"shard": {"name": name, "bytes": tar.stat().st_size, "sha256": digest}}

    def _record(self, piece: Any) -> Record:
        import numpy as np

        from amphion_core import audio
        from amphion_data.pipe.spans import RATE

        sound, segment = piece.analysis.sound, piece.segment
        wav = sound.read(segment.start / RATE, segment.end / RATE)
        wav = (wav * np.float32(10 ** (piece.analysis.gain_db / 20))).astype(np.float32)
        data = audio.encode(wav, sound.sample_rate, self.settings.format)
        row: Mapping[str, Any] = {**piece.row, "duration": round(wav.size / sound.sample_rate, 3)}
        text = json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"
        return Record(piece.id, {self.settings.format: data, "json": text.encode()})


def _rates(pieces: Sequence[Any]) -> dict[str, dict[str, int]]:
    """Rates of the rows of a unit, for the second pass."""
    counts = RateCounts()
    for piece in pieces:
        counts.add(piece.row["text"], piece.segment.seconds, piece.row["language"])
    return counts.to_dict()
