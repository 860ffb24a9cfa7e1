"""HiFi-GAN and BigVGAN beside their original form, and seconds of audio per CPU second of the other vocoders.

Method: random weights of a scale that keeps signals alive, CPU time of one thread and wall time of two, best of some
runs that take turns, so that other work on the machine meets all alike. The original form is written here as the papers
describe it, weight norm kept, on the same weights; its samples are checked to be ours to 1e-5. A ratio above 1 says
that ours is faster. Peers of the baselines are those of librosa.
"""

import argparse
import math
import time

import librosa
import torch
from torch.nn import functional as F

from amphion_core.features import MelConfig
from amphion_core.features.mel import mel_spectrogram
from amphion_core.modules.anti_alias import kaiser_filter
from amphion_core.testing.sounds import glide
from amphion_vocoders import (
    BigVGAN,
    BigVGANConfig,
    GriffinLim,
    GriffinLimConfig,
    HiFiGAN,
    HiFiGANConfig,
    Vocos,
    VocosConfig,
    World,
    WorldConfig,
)

MEL = MelConfig()
MEL_24K = MelConfig(sample_rate=24000, n_mels=100, f_max=12000.0)

SMALL_BLOCKS = {"block": 2, "block_kernel_sizes": (3, 5, 7), "block_dilations": ((1, 2), (2, 6), (3, 12))}
SIX_STAGES = {"channels": 1536, "rates": (4, 4, 2, 2, 2, 2), "kernel_sizes": (8, 8, 4, 4, 4, 4)}
MODELS = {
    "hifigan-v1": (HiFiGAN, HiFiGANConfig()),
    "hifigan-v2": (HiFiGAN, HiFiGANConfig(channels=128)),
    "hifigan-v3": (HiFiGAN, HiFiGANConfig(channels=256, rates=(8, 8, 4), kernel_sizes=(16, 16, 8), **SMALL_BLOCKS)),
    "hifigan-enhanced": (
        HiFiGAN,
        HiFiGANConfig(
            mel=MEL_24K,
            channels=768,
            rates=(8, 4, 2, 2, 2),
            kernel_sizes=(16, 8, 4, 4, 4),
            block_kernel_sizes=(3, 5, 7),
        ),
    ),
    "bigvgan-base": (BigVGAN, BigVGANConfig(mel=MEL_24K)),
    "bigvgan-v2": (BigVGAN, BigVGANConfig(mel=MEL_24K, final_tanh=False, final_bias=False, **SIX_STAGES)),
}


class Original:
    """A network by its paper: every weight is made from gain and direction in each forward pass."""

    def __init__(self, model):
        self.config, self.weights = model.config, dict(model.state_dict())
        self.smooth = isinstance(model, BigVGAN)
        self.taps = kaiser_filter(0.25, 0.3, 12)

    def conv(self, name, x, **options):
        """One layer by its name."""
        part = f"{name}.parametrizations.weight.original"
        gain, direction = self.weights[part + "0"], self.weights[part + "1"]
        weight = direction * (gain / direction.flatten(1).norm(dim=1).reshape(-1, 1, 1))
        return options.pop("kind", F.conv1d)(x, weight, self.weights.get(f"{name}.bias"), **options)

    def activate(self, name, x, slope=0.1):
        """A leaky ReLU; in BigVGAN a snake between up- and down-sampling, at double rate."""
        if not self.smooth:
            return F.leaky_relu(x, slope)
        alpha, beta = (self.weights[f"{name}.activation.{key}"].exp()[:, None] for key in ("alpha", "beta"))
        taps = self.taps.expand(x.shape[1], 1, -1)
        x = F.conv_transpose1d(F.pad(x, (5, 5), mode="replicate"), taps, stride=2, groups=x.shape[1])
        x = 2 * x[..., 15:-15]
        x = x + torch.sin(x * alpha).pow(2) / (beta + 1e-9)
        return F.conv1d(F.pad(x, (5, 6), mode="replicate"), taps, stride=2, groups=x.shape[1])

    def block(self, name, x, width, dilations):
        """One residual block."""
        single = self.config.block == 2
        for n, dilation in enumerate(dilations):
            pad, number = dilation * (width - 1) // 2, n if single else 2 * n
            z = self.activate(f"{name}.activations.{number}", x)
            z = self.conv(f"{name}.dilated.{n}", z, padding=pad, dilation=dilation)
            if not single:
                z = self.activate(f"{name}.activations.{number + 1}", z)
                z = self.conv(f"{name}.plain.{n}", z, padding=width // 2)
            x = x + z
        return x

    def __call__(self, mel):
        """Waveforms of mels."""
        config = self.config
        x = self.conv("input", mel, padding=3)
        for i, (rate, kernel) in enumerate(zip(config.rates, config.kernel_sizes, strict=True)):
            x = x if self.smooth else F.leaky_relu(x, 0.1)
            x = self.conv(f"stages.{i}.upsample", x, kind=F.conv_transpose1d, stride=rate, padding=(kernel - rate) // 2)
            total = None
            for j, (width, dilations) in enumerate(zip(config.block_kernel_sizes, config.block_dilations, strict=True)):
                y = self.block(f"stages.{i}.blocks.{j}", x, width, dilations)
                total = y if total is None else total + y
            x = total / len(config.block_kernel_sizes)
        wav = self.conv("output", self.activate("activation", x, slope=0.01), padding=3).squeeze(1)
        return torch.tanh(wav) if not self.smooth or config.final_tanh else wav.clamp(-1, 1)


def random_model(name):
    """A model whose signals keep about their level from stage to stage, so that rounding does not grow."""
    torch.manual_seed(0)
    kind, config = MODELS[name]
    model = kind(config).eval()
    level = 1.35 if kind is BigVGAN else 1.5  # snakes let more through than leaky ReLUs
    with torch.inference_mode():
        for key, parameter in model.named_parameters():
            if key.endswith("original0"):
                parameter.mul_(level)
        wav = model(-4 + torch.randn(1, config.mel.n_mels, 50))
        model.output.parametrizations.weight.original0.mul_(0.3 / wav.std())
    return model


def best_of(runs, actions, clock):
    """Least seconds of each action; one of each in turn."""
    found = {name: [] for name in actions}
    for _ in range(runs + 1):
        for name, action in actions.items():
            began = clock()
            action()
            found[name].append(clock() - began)
    return {name: min(values[1:]) for name, values in found.items()}


def compare(name, seconds, runs, batch):
    """One line of the table."""
    model = random_model(name)
    original = Original(model)
    model.fold()
    frames = math.ceil(seconds * model.config.mel.frame_rate)
    mel = -4 + torch.randn(batch, model.config.mel.n_mels, frames)
    with torch.inference_mode():
        expected = original(mel)
        difference = float((model.synthesize(mel) - expected).abs().max())
        assert difference < 1e-5, f"{name} differs by {difference:.1e}"
        actions = {"ours": lambda: model.synthesize(mel), "original": lambda: original(mel)}
        measured = []
        for threads, clock in ((1, time.process_time), (2, time.perf_counter)):
            torch.set_num_threads(threads)
            times = best_of(runs, actions, clock)
            measured += [times["original"], times["ours"], times["original"] / times["ours"]]
        torch.set_num_threads(1)
    cells = "".join(f" {a:8.3f} {b:8.3f} {c:6.2f}" for a, b, c in (measured[:3], measured[3:]))
    print(
        f"{name:18} {seconds:6.1f} {batch:5} {cells}  {difference:.0e} of {float(expected.abs().max()):.1f}", flush=True
    )


def librosa_griffin_lim(mel):
    """Librosa's inversion of a mel of magnitudes, 32 iterations with momentum, like ours."""
    magnitude = librosa.feature.inverse.mel_to_stft(
        mel.exp().numpy(), sr=MEL.sample_rate, n_fft=MEL.n_fft, power=1.0, fmin=MEL.f_min, fmax=MEL.f_max
    )
    return librosa.griffinlim(magnitude, n_iter=32, hop_length=MEL.hop_length, momentum=0.99)


def baselines(seconds, runs):
    """Vocoders without an original form of their own, one thread."""
    wav = torch.from_numpy(glide(110, 220, MEL.sample_rate, seconds)).float()
    mel = mel_spectrogram(wav, MEL)[None]
    f0 = torch.full((1, mel.shape[2]), 150.0)
    vocos = Vocos(VocosConfig()).eval()
    with torch.inference_mode():
        times = best_of(
            runs,
            {
                "Vocos, 13.5 million": lambda: vocos.synthesize(mel),
                "Griffin-Lim, ours": lambda: GriffinLim(GriffinLimConfig()).synthesize(mel),
                "Griffin-Lim, librosa": lambda: librosa_griffin_lim(mel[0]),
                "WORLD": lambda: World(WorldConfig()).synthesize(mel, f0=f0),
            },
            time.process_time,
        )
    length = mel.shape[2] / MEL.frame_rate
    print(f"\n{'vocoder':36} {'x real time':>12}   ratio")
    for name, spent in times.items():
        peer = times["Griffin-Lim, librosa"] / spent if name == "Griffin-Lim, ours" else None
        ratio = "" if peer is None else f"{peer:6.2f} times the peer"
        print(f"{name:36} {length / spent:12.2f}   {ratio}".rstrip())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="*", default=list(MODELS), choices=list(MODELS), help="default: all")
    parser.add_argument("--seconds", nargs="*", type=float, default=[3.0], help="of audio in a run (default: 3)")
    parser.add_argument("--batch", type=int, default=1, help="mels in a run (default: 1)")
    parser.add_argument("--runs", type=int, default=3, help="of each (default: 3)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    titles = "".join(f" {'original':>8} {'ours':>8} {'ratio':>6}" for _ in range(2))
    print(f"{'':31} {'CPU s, 1 thread':>24} {'wall s, 2 threads':>25}")
    print(f"{'model':18} {'audio':>6} {'batch':>5} {titles}  difference")
    for name in options.models:
        for seconds in options.seconds:
            compare(name, seconds, options.runs, options.batch)
    baselines(3.0, options.runs)


if __name__ == "__main__":
    main()
