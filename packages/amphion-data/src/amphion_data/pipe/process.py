"""One process's part of the pipeline: its models, loaded once, and what they make of recordings.

A recording goes alone through standardising, separation, diarisation and cutting, which stream it; the segments of all
recordings of a unit then go through recogniser and scorer together, in batches of bounded length. What one part gives,
the next may take in another process.
"""

from __future__ import annotations

import hashlib
import math
import time
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from amphion_core.audio import AudioError
from amphion_core.data import Drop
from amphion_data.pipe.embedding import choose_embedder
from amphion_data.pipe.filtering import Verdict, judge_score, judge_text
from amphion_data.pipe.segments import Cut, Segment, cut_segments
from amphion_data.pipe.settings import PipeSettings
from amphion_data.pipe.sound import Sound, standardise
from amphion_data.pipe.spans import RATE, Span, total
from amphion_data.pipe.stages import KINDS, Clip, Transcript, find_stage
from amphion_data.pipe.voices import strangers

__all__ = ["Analysis", "Piece", "Pipeline", "Tally", "source_hash"]

_BATCH = 300.0  # s of segments that are in memory for the networks


@dataclass
class Analysis:
    """A recording whose segments are known.

    Attributes:
        name: of the source.
        sound: its voice, on disk.
        cut: what became of its speech.
        gain_db: that its segments are raised by.
        removed: numbers of segments that somebody took out of the list after they were cut.
    """

    name: str
    sound: Sound
    cut: Cut
    gain_db: float
    removed: frozenset[int] = frozenset()

    def numbered(self) -> list[tuple[int, Segment]]:
        """All segments, short ones too, with their numbers in the recording."""
        return list(enumerate(sorted([*self.cut.segments, *self.cut.short], key=lambda segment: segment.start)))


@dataclass
class Piece:
    """A segment that is kept.

    Attributes:
        id: of its row.
        row: the JSON object that goes into the shard, less the duration.
        analysis: where it comes from.
        segment: where that is.
    """

    id: str
    row: dict[str, Any]
    analysis: Analysis
    segment: Segment

    def to_json(self) -> str:
        """Stable text, for fingerprints."""
        return f"{self.id} {self.segment.start} {self.segment.end}"


def _counter() -> dict[str, float]:
    return defaultdict(float)


@dataclass
class Tally:
    """What a unit counts, in seconds.

    Attributes:
        funnel: audio after each stage.
        dropped: segments by the reason of their drop.
        work: of each stage.
        languages: segments that were heard, by language.
    """

    funnel: dict[str, float] = field(default_factory=_counter)
    dropped: dict[str, float] = field(default_factory=_counter)
    work: dict[str, float] = field(default_factory=_counter)
    languages: dict[str, float] = field(default_factory=_counter)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time of a block to that of a stage."""
        began = time.perf_counter()
        yield
        self.work[stage] += time.perf_counter() - began


class Pipeline:
    """The stages that settings ask for, or some of them.

    Args:
        settings: what to do.
        folder: where the recordings are; texts that are given lie beside them.
        device: of the networks, `cpu` or `cuda:0`.
        kinds: of the stages that are used here; the models of no others are loaded.
    """

    def __init__(
        self, settings: PipeSettings, folder: str, device: str = "cpu", kinds: Collection[str] = KINDS
    ) -> None:
        """Load the models.

        Raises:
            LookupError: a stage is not known.
            MissingExtraError: a package that a stage needs is not installed.
            FileNotFoundError: weights that a stage needs are not here.
        """
        self.settings = settings
        chosen = settings.stages() | {"embed": choose_embedder(settings.embed)}
        self.stages: dict[str, Any] = {}
        second_look = settings.filter.max_voice_distance is not None and "diarise" in kinds
        if second_look or ("diarise" in kinds and chosen["diarise"] == "offline"):
            own = settings.options.get(chosen["embed"], {})
            self.embedder = find_stage("embed", chosen["embed"], own, device)
        for kind in KINDS:
            if kind == "embed" or kind not in kinds:
                continue
            options = dict(settings.options.get(chosen[kind], {}))
            if kind == "diarise" and chosen[kind] == "offline":
                options["embedder"] = self.embedder
            if kind == "transcribe" and chosen[kind] == "given":
                options.setdefault("folder", folder)
            self.stages[kind] = find_stage(kind, chosen[kind], options, device)
        self.identities = {kind: stage.identity for kind, stage in self.stages.items()}
        if second_look:
            self.identities["embed"] = self.embedder.identity

    def standardise(self, path: Path, name: str, work: Path, tally: Tally) -> Sound | Drop:
        """The voice of one recording, on disk; takes the stage `separate`.

        Args:
            path: of its file.
            name: of the source, as rows and drops state it.
            work: folder for what is kept on disk.
            tally: counts what was found.
        """
        separator = self.stages["separate"]
        try:
            with tally.timed("separate"):
                sound = standardise(path, work, source_hash(name), self.settings.sample_rate, separator)
        except AudioError as error:
            # Where the recording lies, or its copy of an object store, must not decide on the bytes of the output.
            return Drop(name, name, error.reason, str(error).replace(str(path), name), "standardise")
        tally.funnel["decoded"] += sound.duration
        if clean := getattr(separator, "clean_seconds", 0.0):
            tally.funnel["clean"] += clean
        if sound.peak == 0:
            sound.close()
            return Drop(name, name, "silent_audio", f"all samples of {sound.duration:.3f} s are zero", "standardise")
        return sound

    def listen(self, sound: Sound, name: str, tally: Tally) -> Analysis | Drop:
        """Cut one recording into segments; takes the stages `vad` and `diarise`.

        Args:
            sound: its voice.
            name: of the source.
            tally: counts what was found.
        """
        settings = self.settings
        with tally.timed("vad"):
            speech = self.stages["vad"].speech(sound.blocks(settings.block))
        if not speech:
            sound.close()
            return Drop(name, name, "filtered", f"no speech in {sound.duration:.3f} s", "vad")
        with tally.timed("diarise"):
            diarisation = self.stages["diarise"].diarise(sound, speech)
        with tally.timed("segment"):
            cut = cut_segments(speech, diarisation, sound.length, settings.segment, sound.read_low)
            gain = self._gain(sound, speech)
        if settings.filter.max_voice_distance is not None:
            with tally.timed("voices"):
                cut.strangers = strangers(sound, cut.segments, self.embedder, settings.filter.max_voice_distance)
        tally.funnel["speech"] += cut.speech / RATE
        tally.funnel["overlap"] += cut.overlap / RATE
        tally.funnel["nobody"] += cut.nobody / RATE
        tally.funnel["segments"] += total(Span(s.start, s.end) for s in cut.segments) / RATE
        return Analysis(name, sound, cut, gain)

    def finish(
        self, analyses: Sequence[Analysis], tally: Tally, models: Mapping[str, str]
    ) -> tuple[list[Piece], list[Drop]]:
        """Transcribe, score and filter the segments of some recordings; takes `transcribe` and `score`.

        Args:
            analyses: in the order of the output.
            tally: counts what was found.
            models: identities of all parts, for the rows.

        Returns:
            The segments that are kept, and the others, each in the order of the recordings and of time.
        """
        kept: list[Piece] = []
        drops: list[tuple[int, int, Drop]] = []
        numbered: list[tuple[int, int, Analysis, Segment]] = []
        for order, analysis in enumerate(analyses):
            for number, segment in analysis.numbered():
                verdict = self._unheard(analysis, number, segment)
                if verdict is None:
                    numbered.append((order, number, analysis, segment))
                else:
                    drop = self._drop(analysis, number, segment, verdict, None, tally)
                    drops.append((order, number, drop))
        for batch in _batches(numbered):
            clips = [self._clip(analysis, segment) for _, _, analysis, segment in batch]
            with tally.timed("transcribe"):
                transcripts = self.stages["transcribe"].transcribe(clips)
            asked = self.identities["transcribe"] != "none"
            verdicts = [
                judge_text(t, c, self.settings) if asked else None for t, c in zip(transcripts, clips, strict=True)
            ]
            left = [k for k, verdict in enumerate(verdicts) if verdict is None]
            tally.funnel["transcribed"] += sum(clips[k].end - clips[k].start for k in left)
            with tally.timed("score"):
                rated = self.stages["score"].score([clips[k] for k in left])
            scores = dict(zip(left, rated, strict=True))
            for k, (order, number, analysis, segment) in enumerate(batch):
                language = self._language(transcripts[k]) or ""
                tally.languages[language] += segment.seconds
                verdict = verdicts[k] or judge_score(scores[k], self.settings)
                if verdict is None:
                    kept.append(self._piece(analysis, number, segment, transcripts[k], scores[k], models))
                    tally.funnel["kept"] += segment.seconds
                else:
                    drop = self._drop(analysis, number, segment, verdict, transcripts[k], tally)
                    drops.append((order, number, drop))
        return kept, [drop for _, _, drop in sorted(drops, key=lambda item: item[:2])]

    def _unheard(self, analysis: Analysis, number: int, segment: Segment) -> Verdict | None:
        """Why a segment does not come to the recogniser at all."""
        if segment.seconds < self.settings.segment.min_duration:
            return Verdict("too_short", "", "segment")
        if segment in analysis.cut.strangers:
            return Verdict("wrong_speaker", analysis.cut.strangers[segment], "voices")
        if number in analysis.removed:
            return Verdict("filtered", "taken out of the manifest of segments", "segment")
        return None

    def _gain(self, sound: Sound, speech: list[Span]) -> float:
        """One gain for all of a recording, dB."""
        settings = self.settings
        wanted = settings.level - sound.level(speech)
        gain = min(max(wanted, -settings.max_gain), settings.max_gain) if math.isfinite(wanted) else 0.0
        return round(min(gain, settings.peak - 20 * math.log10(sound.peak)), 3)

    def _clip(self, analysis: Analysis, segment: Segment) -> Clip:
        wav = analysis.sound.read_low(Span(segment.start, segment.end))
        loud = (wav * np.float32(10 ** (analysis.gain_db / 20))).astype(np.float32)
        return Clip(loud, analysis.name, segment.start / RATE, segment.end / RATE)

    def _piece(
        self,
        analysis: Analysis,
        number: int,
        segment: Segment,
        text: Transcript | None,
        scores: Mapping[str, float],
        models: Mapping[str, str],
    ) -> Piece:
        language = self._language(text)
        key = self._key(analysis, number, language)
        ovrl = scores.get("ovrl")
        row: dict[str, Any] = {
            "id": key,
            "wav": f"{source_hash(analysis.name)}/{key}.{self.settings.format}",
            "text": None if text is None else _clean(text.text),
            "speaker": f"{source_hash(analysis.name)}_S{segment.speaker:02d}",
            "language": language,
            "dnsmos": None if ovrl is None else round(ovrl, 4),
            "start": round(segment.start / RATE, 4),
            "end": round(segment.end / RATE, 4),
            "source": analysis.name,
            "overlap_s": 0.0,
            "gain_db": analysis.gain_db,
            "models": dict(models),
            **analysis.sound.facts,
        }
        row |= {f"dnsmos_{name}": round(value, 4) for name, value in scores.items() if name != "ovrl"}
        if text is not None:
            row |= {"text_raw": text.text}
            heard = {"avg_logprob": text.logprob, "no_speech": text.no_speech}
            heard["language_probability"] = text.language_probability
            row |= {name: round(value, 4) for name, value in heard.items() if value is not None}
            if text.words:
                row["words"] = [[round(a, 3), round(b, 3), word] for a, b, word in text.words]
        return Piece(key, row, analysis, segment)

    def _drop(
        self,
        analysis: Analysis,
        number: int,
        segment: Segment,
        verdict: Verdict,
        text: Transcript | None,
        tally: Tally,
    ) -> Drop:
        language = self._language(text)
        where = f"{segment.start / RATE:.3f} to {segment.end / RATE:.3f} s of speaker {segment.speaker}"
        detail = f"{verdict.detail}; {where}" if verdict.detail else where
        tally.dropped[verdict.reason] += segment.seconds
        return Drop(self._key(analysis, number, language), analysis.name, verdict.reason, detail, verdict.stage)

    def _language(self, text: Transcript | None) -> str | None:
        return (text.language if text else None) or self.settings.language

    def _key(self, analysis: Analysis, number: int, language: str | None) -> str:
        return f"{(language or 'xx').upper()}_{source_hash(analysis.name)}_W{number:06d}"


def source_hash(name: str) -> str:
    """Short name of a source: of its path below the input, ending included, in NFC."""
    return hashlib.sha256(unicodedata.normalize("NFC", name).encode("utf-8", "surrogateescape")).hexdigest()[:12]


def _clean(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())


def _batches(
    items: Sequence[tuple[int, int, Analysis, Segment]],
) -> Iterator[list[tuple[int, int, Analysis, Segment]]]:
    """Segments of any recordings, of so much audio that it fits into memory."""
    batch: list[tuple[int, int, Analysis, Segment]] = []
    seconds = 0.0
    for item in items:
        if batch and seconds + item[3].seconds > _BATCH:
            yield batch
            batch, seconds = [], 0.0
        batch.append(item)
        seconds += item[3].seconds
    if batch:
        yield batch
