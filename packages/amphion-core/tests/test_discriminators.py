import pytest
import torch

from amphion_core.config import Config
from amphion_core.discriminators import (
    ConstantQConfig,
    DiscriminatorConfig,
    Discriminators,
    MultiPeriodDiscriminator,
    MultiResolutionDiscriminator,
    MultiResolutionSpectrogramDiscriminator,
    MultiScaleDiscriminator,
    MultiScaleStftDiscriminator,
    MultiScaleSubBandConstantQDiscriminator,
    PeriodConfig,
    ResolutionConfig,
    ScaleConfig,
    SpectrogramConfig,
    StftConfig,
)

PERIOD = PeriodConfig(channels=(4, 8, 8, 8, 8))
SCALE = ScaleConfig(channels=(8, 8, 8, 8), kernel_sizes=(5, 9, 9, 5), strides=(1, 2, 4, 1), groups=(1, 2, 4, 1))
SPECTROGRAM = SpectrogramConfig(n_ffts=(32, 128), channels=4, max_channels=8)
RESOLUTION = ResolutionConfig(n_ffts=(128, 64), hops=(30, 15), windows=(60, 48), channels=4)
STFT = StftConfig(n_ffts=(128, 64), hops=(32, 16), channels=4)
CONSTANT_Q = ConstantQConfig(
    sample_rate=8000, hops=(32, 16), octaves=(4, 3), bins_per_octave=(6, 8), f_min=110.0, channels=4
)
KINDS = [
    (MultiPeriodDiscriminator, PERIOD, 5),
    (MultiScaleDiscriminator, SCALE, 3),
    (MultiResolutionSpectrogramDiscriminator, SPECTROGRAM, 2),
    (MultiResolutionSpectrogramDiscriminator, SPECTROGRAM.updated(parts=True, norm="none"), 2),
    (MultiResolutionDiscriminator, RESOLUTION, 2),
    (MultiResolutionDiscriminator, RESOLUTION.updated(norm="spectral"), 2),
    (MultiScaleStftDiscriminator, STFT, 2),
    (MultiScaleSubBandConstantQDiscriminator, CONSTANT_Q, 2),
]


@pytest.mark.parametrize(("kind", "config", "count"), KINDS)
def test_one_verdict_for_each_sub_discriminator(kind, config, count):
    verdicts = kind(config)(torch.randn(2, 1001))
    assert len(verdicts) == count
    assert all(len(verdict) > 2 and verdict[-1].shape[:2] == (2, 1) for verdict in verdicts)


@pytest.mark.parametrize(("kind", "config", "count"), KINDS)
def test_items_of_a_batch_are_judged_apart(kind, config, count):
    torch.manual_seed(0)
    judge = kind(config).eval()
    wav = torch.randn(2, 1000)
    together, alone = judge(wav), judge(wav[1:])
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one[-1][1:], other[-1])


@pytest.mark.parametrize(("kind", "config", "count"), KINDS)
def test_a_few_steps_tell_two_sounds_apart(kind, config, count):
    torch.manual_seed(0)
    judge = kind(config)
    optimizer = torch.optim.Adam(judge.parameters(), 3e-3)
    real, fake = torch.randn(2, 1, 1000) * torch.tensor([[[0.3]], [[0.05]]])
    losses = []
    for _ in range(8):
        terms = [
            (1 - r[-1]).square().mean() + f[-1].square().mean() for r, f in zip(judge(real), judge(fake), strict=True)
        ]
        losses.append(torch.stack(terms).sum())
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.95 * losses[0]


def test_period_discriminator_sees_each_phase_by_itself():
    torch.manual_seed(0)
    judge = MultiPeriodDiscriminator(PERIOD.updated(periods=[4])).eval()
    wav = torch.randn(1, 400)
    changed = wav.clone()
    changed[:, 1::4] += 1
    differing = (judge(wav)[0][-1] != judge(changed)[0][-1]).any(dim=2).flatten()
    assert differing.tolist() == [False, True, False, False]


def test_last_stride_is_an_option():
    strides = PeriodConfig(strides=(3, 3, 3, 3, 3)).strides
    small = PERIOD.updated(strides=list(strides), periods=[2])
    wav = torch.randn(1, 2000)
    assert MultiPeriodDiscriminator(small)(wav)[0][-1].shape[2] < MultiPeriodDiscriminator(PERIOD)(wav)[0][-1].shape[2]


def test_each_scale_hears_half_the_rate():
    lengths = [verdict[0].shape[-1] for verdict in MultiScaleDiscriminator(SCALE)(torch.randn(1, 1024))]
    assert lengths == [1024, 513, 257]


def test_first_scale_has_spectral_norm_the_others_weight_norm():
    keys = list(MultiScaleDiscriminator(SCALE).state_dict())
    assert any(key.startswith("discriminators.0") and key.endswith("_u") for key in keys)
    assert not any(key.startswith("discriminators.1") and key.endswith("_u") for key in keys)


def test_an_ensemble_joins_the_verdicts_in_order():
    judge = Discriminators([SPECTROGRAM, PERIOD]).eval()
    wav = torch.randn(1, 800)
    joined = judge(wav)
    assert len(joined) == 7
    assert torch.equal(joined[0][-1], judge.members[0](wav)[0][-1])


def test_an_ensemble_of_none_is_refused():
    with pytest.raises(ValueError, match="at least one discriminator"):
        Discriminators([])


def test_recipe_chooses_the_kind_by_name():
    class Recipe(Config):
        discriminators: tuple[DiscriminatorConfig, ...]

    parsed = Recipe.parse({"discriminators": [{"name": "scale"}, {"name": "period", "periods": [2, 3]}]})
    assert [type(config) for config in parsed.discriminators] == [ScaleConfig, PeriodConfig]


@pytest.mark.parametrize(
    ("kind", "values", "words"),
    [
        (PeriodConfig, {"channels": [4, 8]}, "2 channels and 5 strides"),
        (PeriodConfig, {"periods": []}, "periods must be 1 or more"),
        (ScaleConfig, {"groups": [1]}, "one value for each layer"),
        (SpectrogramConfig, {"hops": [32]}, "hops has 1 values for 5 transforms"),
        (ResolutionConfig, {"hops": [32]}, "3 n_ffts, 1 hops and 3 windows"),
        (ResolutionConfig, {"windows": [600, 1200, 2400]}, "must not be longer than n_ffts"),
        (StftConfig, {"windows": [32]}, "3 n_ffts, 3 hops and 1 windows"),
        (ConstantQConfig, {"octaves": [9]}, "3 hops, 1 octaves and 3 bins_per_octave"),
    ],
)
def test_lists_that_do_not_fit_are_refused(kind, values, words):
    with pytest.raises(ValueError, match=words):
        kind.parse(values)


@pytest.mark.parametrize("config", [RESOLUTION, STFT, CONSTANT_Q])
def test_waveforms_just_above_the_reach_are_judged(config):
    assert len(Discriminators([config])(torch.randn(1, config.reach + 1))) == 2


@pytest.mark.parametrize("config", [RESOLUTION, STFT, CONSTANT_Q])
def test_silence_gives_finite_gradients(config):
    wav = torch.zeros(1, 800, requires_grad=True)
    verdicts = Discriminators([config])(wav)
    torch.stack([verdict[-1].square().mean() for verdict in verdicts]).sum().backward()
    assert wav.grad is not None
    assert bool(torch.isfinite(wav.grad).all())


def test_constant_q_discriminator_takes_the_rate_of_the_training():
    open_rate = CONSTANT_Q.updated(sample_rate=None)
    judge, same = Discriminators([open_rate], sample_rate=8000), Discriminators([CONSTANT_Q], sample_rate=8000)
    assert torch.equal(
        judge.members[0].discriminators[0].transform.kernels, same.members[0].discriminators[0].transform.kernels
    )


@pytest.mark.parametrize(
    ("config", "rate", "words"),
    [
        (CONSTANT_Q, 16000, "is for 8000 Hz, the waveforms have 16000 Hz"),
        (ConstantQConfig(), None, "needs sample_rate"),
        (ConstantQConfig(), 8000, "more than the constant-Q discriminator can see at 8000 Hz"),
    ],
)
def test_constant_q_discriminator_of_another_rate_is_refused(config, rate, words):
    with pytest.raises(ValueError, match=words):
        Discriminators([config], sample_rate=rate)


def test_raising_the_rate_keeps_a_tone():
    judge = MultiScaleSubBandConstantQDiscriminator(CONSTANT_Q)
    time = torch.arange(800) / 8000
    raised = judge.raised(torch.sin(2 * torch.pi * 440 * time)[None])[0]
    expected = torch.sin(2 * torch.pi * 440 * torch.arange(1600) / 16000)
    assert raised.shape == (1600,)
    # The window is six zeros wide and rolls off at 0.99, hence a percent; the ends lack neighbours.
    torch.testing.assert_close(raised[40:-40], expected[40:-40], atol=0.02, rtol=0)


def test_raising_is_what_torchaudio_does():
    transforms = pytest.importorskip("torchaudio.transforms")
    wav = torch.randn(2, 333)
    expected = transforms.Resample(24000, 48000)(wav)
    raised = MultiScaleSubBandConstantQDiscriminator(CONSTANT_Q).raised(wav)
    torch.testing.assert_close(raised, expected, atol=1e-6, rtol=1e-5)


def test_each_octave_has_its_own_convolution():
    torch.manual_seed(0)
    judge = MultiScaleSubBandConstantQDiscriminator(CONSTANT_Q.updated(hops=[32], octaves=[4], bins_per_octave=[6]))
    sub = judge.discriminators[0]
    wav = torch.randn(1, 1000)
    first = judge(wav)[0][0]
    with torch.no_grad():
        sub.bands[3].weight.zero_()  # of the highest octave: bins 18 to 23
        sub.bands[3].bias.zero_()
    differing = (judge(wav)[0][0] != first).any(dim=(0, 1, 2)).nonzero().flatten()
    assert differing.tolist() == list(range(14, 24))  # and the four bins below that its first layer reaches
