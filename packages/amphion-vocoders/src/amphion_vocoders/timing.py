"""How fast a vocoder is on this machine: `amphion-vocoders bench`."""

from __future__ import annotations

import math
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from amphion_core.features import MelConfig
from amphion_core.interfaces import load_vocoder
from amphion_vocoders.adjusting import adjust
from amphion_vocoders.devices import chosen_device
from amphion_vocoders.precision import autocast, check_precision

__all__ = ["Speed", "time_vocoder"]


class Speed(NamedTuple):
    """Figures of a vocoder.

    Attributes:
        parameters: of the network.
        wall: seconds of audio per second, median of the runs.
        cpu: seconds of audio per CPU second of this process, best of the runs.
        first: seconds until the first samples of a stream, nan where there is none.
        look_ahead: seconds of mel that a stream needs before its first sample, inf where it needs all, nan where that
            is not known.
        memory: bytes: on a CUDA device the most that was allocated, else the largest size of the process; 0 where the
            system does not tell.
        no_stream: why the vocoder does not stream with its settings; None where it does.
    """

    parameters: int
    wall: float
    cpu: float
    first: float
    look_ahead: float
    memory: int
    no_stream: str | None = None

    def lines(self) -> list[str]:
        """For people."""
        wait = f"{1000 * self.look_ahead:.0f} ms of look-ahead"
        if not math.isfinite(self.look_ahead):
            wait = "a look-ahead that is not known" if math.isnan(self.look_ahead) else "the whole input before them"
        stream = f"first samples of stream  {1000 * self.first:.0f} ms, and {wait}"
        return [
            f"parameters               {self.parameters / 1e6:.2f} M",
            f"real time, wall          {self.wall:.2f} x",
            f"real time, CPU           {self.cpu:.2f} x",
            stream if self.no_stream is None else f"no stream: {self.no_stream}",
            f"memory                   {self.memory / 2**20:.0f} MiB",
        ]


def time_vocoder(
    model: str | Path,
    *,
    seconds: float = 3.0,
    batch: int = 1,
    chunk: int = 32,
    runs: int = 3,
    device: str = "auto",
    precision: str = "float32",
    compile: bool = False,
    mel: MelConfig | None = None,
    settings: Sequence[str] = (),
) -> Speed:
    """Time a vocoder on random mels.

    Args:
        model: as `load_vocoder` takes it.
        seconds: of audio in a clip.
        batch: clips at once.
        chunk: frames in a chunk of the stream.
        runs: repetitions, after one that does not count.
        device: `auto`, `cpu`, `cuda`, ...
        precision: `float32`, `bf16` or `fp16`.
        compile: pass the network through torch.compile first.
        mel: for vocoders without weights.
        settings: of the vocoder's inference, `key=value`, such as `steps=fast` of DiffWave.

    Raises:
        ValueError: a number below its least value, no such device, a setting that is not allowed, or the precision
            does not suit the vocoder.
    """
    if min(seconds, batch, chunk, runs) <= 0:
        raise ValueError(f"give numbers above 0: seconds {seconds}, batch {batch}, chunk {chunk}, runs {runs}")
    place = chosen_device(device)
    vocoder = load_vocoder(model, mel=mel)
    adjust(vocoder, settings)
    if isinstance(vocoder, nn.Module):
        vocoder = vocoder.to(place)
        if compile:
            vocoder.compile(dynamic=True)
    config: MelConfig = vocoder.config.mel
    frames = max(chunk, math.ceil(seconds * config.frame_rate))
    random = torch.Generator().manual_seed(0)
    values = (torch.randn(batch, config.n_mels, frames, generator=random) - 5 - config.mean) / config.std
    values = values.to(place)
    f0 = torch.full((batch, frames), 150.0, device=place) if _takes_f0(vocoder) else None
    check_precision(vocoder, values[0], None if f0 is None else f0[0], precision, place)
    if place.type == "cuda":
        torch.cuda.reset_peak_memory_stats(place)
    with autocast(precision, place):
        walls, cpus = _spent(lambda: vocoder.synthesize(values, f0=f0), runs, place)
        first, no_stream = math.nan, None
        try:
            first = statistics.median(
                _first(vocoder, values[0], None if f0 is None else f0[0], chunk, place) for _ in range(runs)
            )
        except ValueError as error:  # of its settings: the mel has just been synthesised
            no_stream = str(error)
    audio = batch * frames / config.frame_rate
    return Speed(
        parameters=sum(p.numel() for p in vocoder.parameters()) if isinstance(vocoder, nn.Module) else 0,
        wall=audio / statistics.median(walls),
        cpu=audio / max(min(cpus), 1e-9),
        first=first,
        look_ahead=float(getattr(vocoder, "look_ahead", math.nan)),
        memory=torch.cuda.max_memory_allocated(place) if place.type == "cuda" else _largest_size(),
        no_stream=no_stream,
    )


def _takes_f0(vocoder: Any) -> bool:
    return bool(getattr(vocoder, "needs_f0", False) or getattr(vocoder, "takes_f0", False))


def _spent(action: Callable[[], Tensor], runs: int, device: torch.device) -> tuple[list[float], list[float]]:
    walls, cpus = [], []
    for _ in range(runs + 1):
        wall, cpu = time.perf_counter(), time.process_time()
        action()
        _wait(device)
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return walls[1:], cpus[1:]


def _first(vocoder: Any, mel: Tensor, f0: Tensor | None, chunk: int, device: torch.device) -> float:
    """Seconds of work until a stream has given samples."""
    starts = range(0, mel.shape[-1], chunk)
    pieces: list[Any] = [mel[:, s : s + chunk] for s in starts]
    if f0 is not None:
        pieces = [(mel[:, s : s + chunk], f0[s : s + chunk]) for s in starts]
    began = time.perf_counter()
    stream = vocoder.stream(iter(pieces))
    next(stream, None)
    _wait(device)
    return time.perf_counter() - began


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _largest_size() -> int:
    try:
        import resource
    except ImportError:  # Windows
        return 0
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else 1024 * size
