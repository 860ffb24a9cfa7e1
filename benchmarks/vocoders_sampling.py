"""Seconds of audio per second of DiffWave, by its short and its full schedule, and of WaveGlow in one pass.

Method: random weights of the released sizes, CPU time of the process and wall time, best of some runs that take turns,
so that other work on the machine meets all alike; the memory is the highest of the process so far. With --long the fast
DiffWave also speaks for so many seconds, in pieces.
"""

import argparse
import resource
import time

import torch

from amphion_core.features import MelConfig
from amphion_vocoders import DiffWave, DiffWaveConfig, WaveGlow, WaveGlowConfig

MEL = MelConfig()


def spent(action):
    began = time.process_time(), time.perf_counter()
    action()
    return time.process_time() - began[0], time.perf_counter() - began[1]


def memory():
    """Highest memory of this process, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def mel_of(seconds):
    frames = round(seconds * MEL.frame_rate)
    return torch.randn(1, MEL.n_mels, frames).clamp(-2, 2) - 4


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="of audio in a run (default: 2)")
    parser.add_argument("--runs", type=int, default=2, help="of each (default: 2)")
    parser.add_argument("--threads", type=int, default=1, help="of torch (default: 1)")
    parser.add_argument("--full", action="store_true", help="also the fifty steps of the full schedule")
    parser.add_argument("--long", type=float, default=0.0, help="also a clip of so many seconds, once")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    mel = mel_of(options.seconds)
    fast, full = (DiffWave(DiffWaveConfig(steps=steps)).eval().fold() for steps in ("fast", "full"))
    waveglow = WaveGlow(WaveGlowConfig()).eval().fold()
    actions = {
        "DiffWave base, 6 steps": lambda: fast.synthesize(mel),
        "WaveGlow, 1 pass": lambda: waveglow.synthesize(mel),
    }
    if options.full:
        actions["DiffWave base, 50 steps"] = lambda: full.synthesize(mel)
    found = {name: [] for name in actions}
    for _ in range(options.runs):
        for name, action in actions.items():
            found[name].append(spent(action))
    length = mel.shape[2] / MEL.frame_rate
    print(f"{'vocoder':26} {'x real time':>12} {'by the clock':>13}   memory so far")
    for name, runs in found.items():
        cpu, wall = (min(times) for times in zip(*runs, strict=True))
        print(f"{name:26} {length / cpu:12.3f} {length / wall:13.3f}   {memory():.0f} MiB")
    for model, name in ((fast, "DiffWave base, 6 steps"), (waveglow, "WaveGlow, 1 pass")) if options.long else ():
        before = memory()
        cpu, _ = spent(lambda model=model: model.synthesize(mel_of(options.long)))
        print(f"{name:26} {options.long / cpu:12.3f}, {options.long:.0f} s   {before:.0f} -> {memory():.0f} MiB")


if __name__ == "__main__":
    main()
