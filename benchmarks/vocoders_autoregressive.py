"""WaveNet and WaveRNN: our sample-by-sample generation beside running the network anew for each sample.

Same weights, same mel, same numbers to draw with, one thread. The peer does what a plain loop does: it runs the
parallel network on all that the next sample depends on, for WaveNet the receptive field, for WaveRNN, whose memory has
no bound, a window of as many samples; the condition of the mel is given to it. WaveRNN is also drawn in pieces side by
side.

    python benchmarks/vocoders_autoregressive.py [--seconds 20]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor

from amphion_core.features import MelConfig
from amphion_vocoders.autoregressive import AutoregressiveVocoder
from amphion_vocoders.generation import draw_block
from amphion_vocoders.outputs import OutputConfig
from amphion_vocoders.wavenet import WaveNet, WaveNetConfig
from amphion_vocoders.wavernn import WaveRNN, WaveRNNConfig

MEL = MelConfig()
MULAW = OutputConfig(kind="mulaw", classes=256)
WINDOW = 505
"""Samples that the peer runs WaveRNN on; WaveNet's receptive field in the toolkit's size."""

SMALL_NET = dict(layers=14, stacks=2, channels=32, gate_channels=64, skip_channels=64, rates=(4, 8, 8), output=MULAW)
SMALL_RNN = dict(channels=96, head_channels=96, frame_channels=64, frame_blocks=3, aux_channels=64, output=MULAW)
MODELS: dict[str, Callable[[], AutoregressiveVocoder]] = {
    "wavenet 24 layers, 128, 3.7 M": lambda: WaveNet(WaveNetConfig(mel=MEL)),
    "wavenet-22k-small": lambda: WaveNet(WaveNetConfig(mel=MEL, **SMALL_NET)),
    "wavernn 512, 4.7 M": lambda: WaveRNN(WaveRNNConfig(mel=MEL)),
    "wavernn-22k-small": lambda: WaveRNN(WaveRNNConfig(mel=MEL, **SMALL_RNN)),
}


def main() -> None:
    """Print microseconds per sample and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="CPU time spent on each row")
    seconds = parser.parse_args().seconds
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    columns = ("ours CPU", "wall", "anew CPU", "wall", "ratio CPU", "wall", "x real time")
    print(f"{'per sample, us':34}" + "".join(f"{column:>12}" for column in columns))
    for name, build in MODELS.items():
        torch.manual_seed(0)
        model = build().eval().fold()
        ours, peer = measure(model, seconds)
        speed = 1e6 / ours[0] / MEL.sample_rate
        print(
            f"{name:34}{ours[0]:12.0f}{ours[1]:12.0f}{peer[0]:12.0f}{peer[1]:12.0f}"
            f"{peer[0] / ours[0]:12.1f}{peer[1] / ours[1]:12.1f}{speed:12.3f}"
        )
    print("\nwavernn 512 in pieces side by side, us of CPU per sample of each piece over their number")
    model = MODELS["wavernn 512, 4.7 M"]().eval()
    for rows in (1, 4, 16, 32):
        cost = incremental(model, rows, seconds / 2)[0] / rows
        print(f"{rows:3} pieces {cost:8.1f}   {1e6 / cost / MEL.sample_rate:6.3f} x real time")


def measure(model: AutoregressiveVocoder, seconds: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """Microseconds of CPU and wall time per sample, ours and the peer's; both draw the same samples."""
    window = getattr(model.config, "receptive_field", WINDOW)
    mel = torch.randn(1, MEL.n_mels, 8 + 2 * model.config.pad).clamp(-2, 2) - 5
    condition = model.condition(mel)
    numbers = model.output.uniform(condition.shape[2], torch.Generator().manual_seed(1))[:, None]
    signal, _ = draw_block(model.steps(1), model.output, condition, torch.zeros(1, 1), numbers)
    parallel, noise = _network(model), model.output.noise(numbers)

    def anew(count: int) -> Tensor:
        """Samples after the first `window`, each by the network on the window before it."""
        drawn = signal[:, :window]
        for place in range(window, window + count):
            logits = parallel(drawn[:, -window:], condition[:, :, place - window : place])
            drawn = torch.cat([drawn, model.output.draw(logits[:, :, -1], noise[place - 1])], dim=1)
        return drawn[:, window:]

    count = 3
    if window == getattr(model.config, "receptive_field", None):
        again = anew(count)
        assert torch.allclose(again, signal[:, window : window + count], atol=1e-4), "the two draw other samples"
    return incremental(model, 1, seconds), _timed(lambda: anew(count), count, seconds)


def incremental(model: AutoregressiveVocoder, rows: int, seconds: float) -> tuple[float, float]:
    """Microseconds of CPU and wall time per step of ours, for `rows` clips side by side."""
    frames = 2
    mel = torch.randn(rows, MEL.n_mels, frames + 2 * model.config.pad).clamp(-2, 2) - 5
    condition, steps = model.condition(mel), model.steps(rows)
    length = condition.shape[2]

    def run() -> None:
        numbers = model.output.uniform(length, torch.Generator().manual_seed(1))[:, None]
        draw_block(steps, model.output, condition, torch.zeros(rows, 1), numbers)

    return _timed(run, length, seconds)


def _network(model: AutoregressiveVocoder) -> Callable[[Tensor, Tensor], Tensor]:
    """The parallel network on a condition that is there already."""

    def run(signal: Tensor, condition: Tensor) -> Tensor:
        original, model.condition = model.condition, lambda mel: mel  # type: ignore[method-assign]
        try:
            return model(signal, condition)
        finally:
            model.condition = original  # type: ignore[method-assign]

    return run


def _timed(run: Callable[[], object], samples: int, seconds: float) -> tuple[float, float]:
    run()
    best_cpu = best_wall = float("inf")
    spent = 0.0
    while spent < seconds:
        cpu, wall = time.process_time(), time.perf_counter()
        run()
        used = time.process_time() - cpu
        best_cpu = min(best_cpu, used / samples * 1e6)
        best_wall = min(best_wall, (time.perf_counter() - wall) / samples * 1e6)
        spent += used
    return best_cpu, best_wall


if __name__ == "__main__":
    main()
