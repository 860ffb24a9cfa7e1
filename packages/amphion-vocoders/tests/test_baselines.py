"""Griffin-Lim, WORLD, and the way from a mel back to magnitudes."""

import numpy as np
import pytest
import torch

from amphion_core.config import ConfigError
from amphion_core.features import MelConfig
from amphion_core.features.mel import mel_filterbank, mel_spectrogram
from amphion_core.features.world import dio_f0
from amphion_core.interfaces import load_vocoder
from amphion_core.testing.sounds import glide, tone
from amphion_vocoders import GriffinLim, GriffinLimConfig, VocosConfig, World, WorldConfig
from amphion_vocoders.mel_inversion import linear_magnitude, smooth_bins

MEL = MelConfig()


def voice(start=110.0, end=150.0, duration=0.6):
    return torch.from_numpy(glide(start, end, MEL.sample_rate, duration)).float()


def distance(wav, reference):
    return float((mel_spectrogram(wav, MEL) - mel_spectrogram(reference, MEL)).abs().mean())


def test_magnitudes_have_the_mel_that_they_come_from():
    mel = mel_spectrogram(voice(), MEL)
    magnitude = linear_magnitude(mel[None], MEL, steps=200)[0]
    again = (mel_filterbank(MEL) @ magnitude).clamp(min=1e-5).log()
    # Least squares looks at loud bands first; a quarter of a neper of error is left in the quiet ones.
    assert (again - mel).abs().mean() < 0.25
    assert magnitude.min() >= 0


@pytest.mark.parametrize("changes", [{"log": "log10"}, {"mean": -4.0, "std": 2.0}, {"power": 2}])
def test_magnitudes_do_not_depend_on_how_the_mel_is_written(changes):
    wav = voice()
    plain = linear_magnitude(mel_spectrogram(wav, MEL)[None], MEL)
    config = MEL.updated(**changes)
    other = linear_magnitude(mel_spectrogram(wav, config)[None], config)
    # A mel of powers is a coarser description of the magnitudes than one of magnitudes.
    scale = 0.35 if "power" in changes else 0.02
    assert (other - plain).norm() < scale * plain.norm()


def test_smoothing_keeps_a_flat_spectrum_and_spreads_a_line():
    flat = smooth_bins(torch.ones(50, 2).double(), torch.tensor([3.0, 0.5]).double())
    torch.testing.assert_close(flat, torch.ones(50, 2).double())
    line = torch.zeros(50, 1).double()
    line[20] = 7.0
    spread = smooth_bins(line, torch.tensor([3.0]).double())[:, 0]
    torch.testing.assert_close(spread[17:24], torch.ones(7).double())
    assert spread[:17].sum() + spread[24:].sum() == pytest.approx(0, abs=1e-12)


def test_griffin_lim_gives_back_the_mel():
    wav = voice()
    made = GriffinLim(GriffinLimConfig()).synthesize(mel_spectrogram(wav, MEL)[None])[0]
    # 0.1 to 0.2 on recorded voices; a shuffled or phaseless result lies above 1.
    assert distance(made, wav) < 0.3


def test_momentum_and_iterations_help():
    wav = voice()
    mel = mel_spectrogram(wav, MEL)[None]
    found = [
        distance(GriffinLim(GriffinLimConfig(iterations=n, momentum=m)).synthesize(mel)[0], wav)
        for n, m in ((0, 0.0), (16, 0.0), (16, 0.99))
    ]
    assert found[0] > found[1] > found[2]


def test_griffin_lim_depends_on_the_generator_alone():
    mel = mel_spectrogram(voice(), MEL)[None]
    vocoder = GriffinLim(GriffinLimConfig(iterations=2))
    runs = [vocoder.synthesize(mel, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])
    assert torch.equal(vocoder.synthesize(mel), vocoder.synthesize(mel))


@pytest.mark.parametrize("padding", ["same", "center", "center_zero"])
def test_griffin_lim_puts_sounds_where_they_were(padding):
    config = MEL.updated(padding=padding)
    wav = torch.zeros(16384)
    wav[8000:8256] = torch.hann_window(256) * torch.sin(torch.arange(256) * 0.5)
    made = GriffinLim(GriffinLimConfig(mel=config)).synthesize(mel_spectrogram(wav, config)[None])[0]
    energy = made.square()
    centre = float((energy * torch.arange(len(energy))).sum() / energy.sum())
    assert abs(centre - 8128) < 64


@pytest.mark.parametrize("pitch", [100.0, 220.0])
def test_world_speaks_at_the_f0_that_it_is_given(pitch):
    mel = mel_spectrogram(torch.from_numpy(tone(110.0, MEL.sample_rate)).float(), MEL)[None]
    made = World(WorldConfig()).synthesize(mel, f0=torch.full((1, mel.shape[2]), pitch))[0]
    heard = dio_f0(made.numpy(), MEL.sample_rate, hop_length=256)[8:-8]
    assert np.median(heard[heard > 0]) == pytest.approx(pitch, rel=0.01)
    assert (heard > 0).mean() > 0.9


def test_world_without_f0_whispers():
    wav = torch.from_numpy(tone(110.0, MEL.sample_rate)).float()
    made = World(WorldConfig()).synthesize(mel_spectrogram(wav, MEL)[None])[0]
    voiced = [(dio_f0(w.numpy(), MEL.sample_rate, hop_length=256) > 0).mean() for w in (wav, made)]
    assert voiced[0] > 0.9
    assert voiced[1] < 0.3


def test_world_keeps_the_level_within_two_decibels():
    wav = voice()
    mel = mel_spectrogram(wav, MEL)[None]
    contour = torch.from_numpy(dio_f0(wav.numpy(), MEL.sample_rate, hop_length=256)[: mel.shape[2]]).float()[None]
    made = World(WorldConfig()).synthesize(mel, f0=contour)[0]
    assert abs(20 * torch.log10(made.norm() / wav.norm())) < 2


def test_world_takes_apart_and_puts_together():
    wav = voice()
    made = World(WorldConfig()).resynthesize(wav.numpy())
    assert made.shape == wav.shape
    assert distance(torch.from_numpy(made), wav) < 0.6


@pytest.mark.parametrize("f0", [torch.zeros(1, 3), torch.full((1, 10), -1.0), torch.full((1, 10), float("nan"))])
def test_f0_that_is_none_is_refused(f0):
    with pytest.raises(ValueError, match="f0"):
        World(WorldConfig()).synthesize(torch.zeros(1, 80, 10) - 4, f0=f0)


@pytest.mark.parametrize("name", ["griffin-lim", "world"])
def test_vocoders_without_weights_are_loaded_by_name_for_any_mel(name):
    config = MEL.updated(sample_rate=16000)
    assert load_vocoder(name, mel=config).config.mel == config


def test_a_vocoder_that_needs_weights_is_not_loaded_by_name():
    with pytest.raises(LookupError, match="'hifigan' needs weights"):
        load_vocoder("hifigan")


def test_a_hop_that_griffin_lim_cannot_centre_is_refused_at_once():
    mel = MelConfig(n_fft=100, win_length=100, hop_length=25, n_mels=10)
    for cls, values in ((GriffinLimConfig, {}), (VocosConfig, {"phase_steps": 1})):
        with pytest.raises(ConfigError, match="needs n_fft - hop_length to be even; got 100 and 25"):
            cls.parse({"mel": mel.to_dict(), **values})
    assert VocosConfig(mel=mel).phase_steps == 0
