"""Seconds of audio per CPU second of the vocoders, and HiFi-GAN V1 beside its original form, weight norm kept.

Method: random weights, one thread, CPU time of the process, best of some runs that take turns, so that other work on
the machine meets all alike. The original form is written here as its paper describes it, on the same weights under the
keys of the released checkpoints; its samples are checked to be ours. Peers of the baselines are those of librosa.
"""

import argparse
import time

import librosa
import torch
from torch.nn import functional as F

from amphion_core.features import MelConfig
from amphion_core.features.mel import mel_spectrogram
from amphion_core.testing.sounds import glide
from amphion_vocoders import (
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


def spent(action):
    began = time.process_time()
    action()
    return time.process_time() - began


def best_of(runs, actions):
    """Least CPU seconds of each action; one of each in turn."""
    found = {name: [] for name in actions}
    for _ in range(runs + 1):
        for name, action in actions.items():
            found[name].append(spent(action))
    return {name: min(values[1:]) for name, values in found.items()}


class Original:
    """HiFi-GAN V1 by its paper: every weight is made from gain and direction in each forward pass."""

    def __init__(self, model):
        self.config, self.weights = model.config, dict(model.state_dict())

    def conv(self, name, x, **options):
        """One layer by its name."""
        part = f"{name}.parametrizations.weight.original"
        gain, direction = self.weights[part + "0"], self.weights[part + "1"]
        weight = direction * (gain / direction.flatten(1).norm(dim=1).reshape(-1, 1, 1))
        return options.pop("kind", F.conv1d)(x, weight, self.weights[f"{name}.bias"], **options)

    def __call__(self, mel):
        """Waveforms of mels."""
        x = self.conv("input", mel, padding=3)
        for i, (rate, kernel) in enumerate(zip(self.config.rates, self.config.kernel_sizes, strict=True)):
            stage, padding = f"stages.{i}", (kernel - rate) // 2
            x = F.leaky_relu(x, 0.1)
            x = self.conv(f"{stage}.upsample", x, kind=F.conv_transpose1d, stride=rate, padding=padding)
            total = None
            for j, (width, dilations) in enumerate(
                zip(self.config.block_kernel_sizes, self.config.block_dilations, strict=True)
            ):
                y = x
                for n, dilation in enumerate(dilations):
                    block, pad = f"{stage}.blocks.{j}", dilation * (width - 1) // 2
                    z = self.conv(f"{block}.dilated.{n}", F.leaky_relu(y, 0.1), padding=pad, dilation=dilation)
                    y = y + self.conv(f"{block}.plain.{n}", F.leaky_relu(z, 0.1), padding=width // 2)
                total = y if total is None else total + y
            x = total / len(self.config.block_kernel_sizes)
        return torch.tanh(self.conv("output", F.leaky_relu(x), padding=3)).squeeze(1)


def librosa_griffin_lim(mel):
    """Librosa's inversion of a mel of magnitudes, 32 iterations with momentum, like ours."""
    magnitude = librosa.feature.inverse.mel_to_stft(
        mel.exp().numpy(), sr=MEL.sample_rate, n_fft=MEL.n_fft, power=1.0, fmin=MEL.f_min, fmax=MEL.f_max
    )
    return librosa.griffinlim(magnitude, n_iter=32, hop_length=MEL.hop_length, momentum=0.99)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="of audio in a run (default: 3)")
    parser.add_argument("--runs", type=int, default=3, help="of each (default: 3)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    wav = torch.from_numpy(glide(110, 220, MEL.sample_rate, options.seconds)).float()
    mel = mel_spectrogram(wav, MEL)[None]
    f0 = torch.full((1, mel.shape[2]), 150.0)
    hifigan = HiFiGAN(HiFiGANConfig()).eval()
    original, folded = Original(hifigan), HiFiGAN(HiFiGANConfig()).eval()
    folded.load_state_dict(hifigan.state_dict())
    folded.fold()
    vocos = Vocos(VocosConfig()).eval()
    with torch.inference_mode():
        torch.testing.assert_close(folded(mel), original(mel), atol=1e-5, rtol=0)
        times = best_of(
            options.runs,
            {
                "HiFi-GAN V1, ours, folded": lambda: folded.synthesize(mel),
                "HiFi-GAN V1, ours, weight norm kept": lambda: hifigan.synthesize(mel),
                "HiFi-GAN V1, original form": lambda: original(mel),
                "Vocos, 13.5 million": lambda: vocos.synthesize(mel),
                "Griffin-Lim, ours": lambda: GriffinLim(GriffinLimConfig()).synthesize(mel),
                "Griffin-Lim, librosa": lambda: librosa_griffin_lim(mel[0]),
                "WORLD": lambda: World(WorldConfig()).synthesize(mel, f0=f0),
            },
        )
    length = mel.shape[2] / MEL.frame_rate
    print(f"{'vocoder':36} {'x real time':>12}   ratio")
    peers = {"HiFi-GAN V1, ours": "HiFi-GAN V1, original form", "Griffin-Lim, ours": "Griffin-Lim, librosa"}
    for name, seconds in times.items():
        peer = next((times[other] for start, other in peers.items() if name.startswith(start)), None)
        ratio = "" if peer is None else f"{peer / seconds:6.2f} times the peer"
        print(f"{name:36} {length / seconds:12.2f}   {ratio}".rstrip())


if __name__ == "__main__":
    main()
