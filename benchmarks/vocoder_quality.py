"""Quality against cost of vocoders: copies of held-out clips, scored by amphion-eval, beside the CPU time they took.

python benchmarks/vocoder_quality.py --clips shards/valid runs/hifigan runs/vocos griffin-lim world

A vocoder is a run folder, a checkpoint, a hub id, or the name of one without weights; NAME=PLACE gives it another name
in the table. All copy the same clips by their own mel, item by item on one thread. Without arguments the vocoders
without weights copy gliding tones, which shows the table and says little about quality.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from amphion_core import audio
from amphion_core.features import MelConfig
from amphion_core.interfaces import load_vocoder
from amphion_core.testing.sounds import glide
from amphion_eval import find_pairs, score
from amphion_vocoders.segments import F0Config
from amphion_vocoders.sources import SourceReader, find_sources

METRICS = ("mcd", "f0_rmse_cents", "vuv_f1", "mstft")
HEADS = ("MCD, dB", "F0 error, cents", "voicing, F1", "STFT distance")


class Row(NamedTuple):
    """One vocoder of the table."""

    name: str
    parameters: int
    figures: dict[str, Any]
    cpu: float  # CPU seconds for a second of audio


def main() -> None:
    """Print the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vocoders", nargs="*", default=["griffin-lim", "world"], help="places, or NAME=PLACE")
    parser.add_argument("--clips", type=Path, help="folder of recordings, or of shards")
    parser.add_argument("--limit", type=int, default=20, help="the first so many clips")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each clip at most")
    parser.add_argument("--f0", default="dio", help="F0 for the vocoders that take it")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        clips = given.clips or _tones(Path(folder) / "tones")
        rows = []
        for word in given.vocoders:
            name, _, place = word.rpartition("=")
            rows.append(_row(name or Path(place).name, place, clips, Path(folder), given))
    print(_table(rows))


def _row(name: str, place: str, clips: Path, folder: Path, given: argparse.Namespace) -> Row:
    vocoder = load_vocoder(place)
    settings: MelConfig = vocoder.config.mel
    if isinstance(vocoder, torch.nn.Module):
        vocoder.eval()
    spent = seconds = 0.0
    for number, (wav, mel, f0) in enumerate(_mels(vocoder, clips, given)):
        if number == 0:  # what is only done once, such as loading libraries, is no cost of a clip
            vocoder.synthesize(mel[None, :, :16], f0=None if f0 is None else f0[None, :16])
        generator = torch.Generator().manual_seed(0)
        began = time.process_time()
        made = vocoder.synthesize(mel[None], f0=None if f0 is None else f0[None], generator=generator)[0]
        spent += time.process_time() - began
        seconds += made.shape[0] / settings.sample_rate
        length = min(len(wav), made.shape[0])
        for kind, samples in (("recordings", wav), ("copies", made.numpy())):
            file = folder / name / kind / f"{number:04}.wav"
            file.parent.mkdir(parents=True, exist_ok=True)
            audio.save(file, np.clip(samples[:length], -1, 1).astype(np.float32), settings.sample_rate)
    pairs, _ = find_pairs(folder / name / "recordings", folder / name / "copies")
    report = score(pairs, METRICS, name=name, bootstrap=0)
    figures = {metric: report.summary[metric].mean for metric in METRICS}
    parameters = sum(p.numel() for p in vocoder.parameters()) if isinstance(vocoder, torch.nn.Module) else 0
    return Row(name, parameters, figures, spent / seconds)


def _mels(vocoder: Any, clips: Path, given: argparse.Namespace) -> Iterator[tuple[NDArray[np.float32], Any, Any]]:
    """Recording, mel and F0 of each clip, cut to whole frames."""
    settings: MelConfig = vocoder.config.mel
    takes = bool(getattr(vocoder, "needs_f0", False) or getattr(vocoder, "takes_f0", False))
    f0 = F0Config.parse({"method": given.f0}) if takes else None
    reader = SourceReader(settings, torch.device("cpu"), f0=f0)
    frames = int(given.seconds * settings.frame_rate)
    for source in find_sources([clips], given.limit):
        clip = reader.read(source)
        contour = None if clip.f0 is None else clip.f0[:frames]
        yield _recording(reader, source)[: frames * settings.hop_length], clip.mel[:, :frames], contour


def _recording(reader: SourceReader, source: Any) -> NDArray[np.float32]:
    rate = reader.config.sample_rate
    if isinstance(source.key, int):
        from amphion_core.data.reader import ShardSet

        return ShardSet.open(source.path).audio(source.key, sample_rate=rate)[0]
    return audio.load(source.path, sample_rate=rate)[0]


def _tones(folder: Path) -> Path:
    for number, pitch in enumerate((110, 160, 220)):
        wav = glide(pitch, 1.4 * pitch, 22050, 1.5).astype(np.float32)
        folder.mkdir(parents=True, exist_ok=True)
        audio.save(folder / f"{number}.wav", wav, 22050)
    return folder


def _table(rows: Sequence[Row]) -> str:
    lines = [
        f"| vocoder | parameters, M | {' | '.join(HEADS)} | CPU s per s |",
        f"|---|---|{'---|' * len(HEADS)}---|",
    ]
    for row in sorted(rows, key=lambda row: row.cpu):
        figures = " | ".join("-" if row.figures[metric] is None else f"{row.figures[metric]:.2f}" for metric in METRICS)
        size = f"{row.parameters / 1e6:.2f}" if row.parameters else "none"
        lines.append(f"| {row.name} | {size} | {figures} | {row.cpu:.3f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
