"""What every vocoder of the package promises, held against the contract that a stranger's plug-in can run too."""

import subprocess
import sys

import pytest
import torch

from amphion_core import registry
from amphion_core.features import MelConfig
from amphion_core.testing import check_vocoder
from amphion_vocoders import (
    APNet,
    APNetConfig,
    BigVGAN,
    BigVGANConfig,
    DiffWave,
    DiffWaveConfig,
    GriffinLim,
    GriffinLimConfig,
    HiFiGAN,
    HiFiGANConfig,
    MelGAN,
    MelGANConfig,
    NsfHiFiGAN,
    NsfHiFiGANConfig,
    Vocos,
    VocosConfig,
    WaveGlow,
    WaveGlowConfig,
    World,
    WorldConfig,
)
from amphion_vocoders.synthesis import check_mel, synthesize_batch, synthesize_stream

MEL = MelConfig(n_fft=256, win_length=256, hop_length=64, n_mels=20)
CENTERED = MEL.updated(padding="center")


def hifigan(**changes):
    values = dict(channels=16, rates=(8, 4, 2), kernel_sizes=(16, 8, 4), block_kernel_sizes=(3, 5))
    values |= dict(block_dilations=((1, 3), (1, 2)), mel=MEL) | changes
    torch.manual_seed(0)
    return HiFiGAN(HiFiGANConfig(**values)).eval()


def bigvgan(**changes):
    values = dict(channels=16, rates=(8, 4, 2), kernel_sizes=(16, 8, 4), block_kernel_sizes=(3, 5))
    values |= dict(block_dilations=((1, 3), (1, 2)), mel=MEL) | changes
    torch.manual_seed(0)
    return BigVGAN(BigVGANConfig(**values)).eval()


def nsf_hifigan(**changes):
    values = dict(channels=16, rates=(8, 4, 2), kernel_sizes=(16, 8, 4), block_kernel_sizes=(3, 5))
    values |= dict(block_dilations=((1, 3), (1, 2)), mel=MEL) | changes
    torch.manual_seed(0)
    return NsfHiFiGAN(NsfHiFiGANConfig(**values)).eval()


def vocos(**changes):
    torch.manual_seed(0)
    return Vocos(VocosConfig(**(dict(mel=MEL, dim=16, intermediate_dim=32, num_layers=2) | changes))).eval()


def melgan(**changes):
    torch.manual_seed(0)
    return MelGAN(MelGANConfig(**(dict(mel=MEL, channels=4, rates=(4, 4, 2, 2)) | changes))).eval()


def apnet():
    torch.manual_seed(0)
    stack = {"channels": 8, "block_kernel_sizes": (3, 5), "block_dilations": ((1, 3), (1, 2))}
    return APNet(APNetConfig(mel=MEL, amplitude=stack, phase=stack)).eval()


def alive(model):
    """With weights where training begins with zeros."""
    for parameter in model.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    return model.eval()


def diffwave(**changes):
    torch.manual_seed(0)
    values = dict(mel=MEL, channels=8, layers=4, cycle=2, rates=(8, 8), steps="fast")
    return alive(DiffWave(DiffWaveConfig(**(values | changes))))


def waveglow():
    torch.manual_seed(0)
    values = dict(flows=4, early_every=2, layers=3, channels=8, upsample_kernel_size=128)
    return alive(WaveGlow(WaveGlowConfig(mel=MEL, **values)))


VOCODERS = {
    "hifigan": hifigan,
    "hifigan-block-2": lambda: hifigan(block=2),
    "hifigan-folded": lambda: hifigan().fold(),
    "bigvgan": bigvgan,
    "bigvgan-v2-block-2": lambda: bigvgan(block=2, final_tanh=False, final_bias=False, activation="snake"),
    "bigvgan-folded": lambda: bigvgan().fold(),
    "nsf-hifigan": nsf_hifigan,
    "nsf-hifigan-block-2": lambda: nsf_hifigan(block=2),
    "nsf-hifigan-upstream": lambda: nsf_hifigan(compat="upstream"),
    "vocos": vocos,
    "vocos-center": lambda: vocos(mel=CENTERED, padding="center"),
    "vocos-refined": lambda: vocos(phase_steps=3),
    "melgan": melgan,
    "melgan-odd-rates": lambda: melgan(mel=MEL.updated(hop_length=45), rates=(5, 3, 3)),
    "apnet": apnet,
    "diffwave-fast": diffwave,
    "diffwave-full": lambda: diffwave(steps="full", clip="every"),
    "waveglow": waveglow,
    "waveglow-folded": lambda: waveglow().fold(),
    "griffin-lim": lambda: GriffinLim(GriffinLimConfig(mel=MEL, iterations=4)),
    "griffin-lim-center": lambda: GriffinLim(GriffinLimConfig(mel=CENTERED, iterations=2)),
    "world": lambda: World(WorldConfig(mel=MEL)),
}


ITERATIVE = ("griffin-lim", "griffin-lim-center", "vocos-refined")


@pytest.mark.parametrize("name", VOCODERS)
def test_contract_is_kept(name):
    # Griffin-Lim divides by magnitudes near 0, so that rounding grows with each iteration.
    check_vocoder(VOCODERS[name](), atol=2e-3 if name in ITERATIVE else 1e-5)


@pytest.mark.parametrize(
    "name",
    ["apnet", "bigvgan", "diffwave", "griffin-lim", "hifigan", "melgan", "nsf-hifigan", "vocos", "waveglow", "world"],
)
def test_all_are_found_by_their_names(name):
    assert registry.find("vocoders", name).name == name


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64, torch.int64])
@pytest.mark.parametrize(
    "name", ["hifigan", "nsf-hifigan", "vocos", "diffwave-fast", "waveglow", "griffin-lim", "world"]
)
def test_mels_of_every_real_type_are_taken(name, dtype):
    vocoder, mel = VOCODERS[name](), torch.linspace(-7, -1, 20 * 30).reshape(MEL.n_mels, 30).to(dtype)
    f0 = torch.full((30,), 150).to(dtype)
    whole = vocoder.synthesize(mel.float()[None], f0=f0.float()[None])
    torch.testing.assert_close(vocoder.synthesize(mel[None], f0=f0[None]), whole)
    chunks = [(mel, f0)] if name in ("nsf-hifigan", "world") else [mel]
    torch.testing.assert_close(torch.cat(list(vocoder.stream(chunks)))[None], whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["hifigan", "vocos", "diffwave-fast", "waveglow", "griffin-lim"])
def test_a_stream_of_pairs_is_refused_where_f0_is_not_heard(name):
    with pytest.raises(ValueError, match="a chunk is a tuple; this vocoder takes mels"):
        list(VOCODERS[name]().stream([(torch.zeros(MEL.n_mels, 3), torch.full((3,), 150.0))]))


@pytest.mark.parametrize("name", ["griffin-lim", "nsf-hifigan", "diffwave-fast", "waveglow", "vocos", "world"])
def test_a_stream_draws_from_its_generator_what_the_whole_draws(name):
    vocoder, mel, f0 = (
        VOCODERS[name](),
        torch.linspace(-7, -1, 20 * 40).reshape(MEL.n_mels, 40),
        torch.full((40,), 150.0),
    )
    pitched = name in ("nsf-hifigan", "world")
    chunks = list(zip(mel.split(9, 1), f0.split(9), strict=True)) if pitched else mel.split(9, 1)
    made = []
    for seed in (3, 4):
        draw = lambda: torch.Generator().manual_seed(seed)  # noqa: B023, E731
        whole = vocoder.synthesize(mel[None], f0=f0[None], generator=draw())[0]
        made.append(torch.cat(list(vocoder.stream(chunks, generator=draw()))))
        # Griffin-Lim divides by magnitudes near 0, so that rounding grows with each iteration.
        torch.testing.assert_close(made[-1], whole, atol=2e-3 if name in ITERATIVE else 1e-5, rtol=0)
    drawing = name not in ("vocos", "world")
    assert torch.equal(*made) != drawing


@pytest.mark.parametrize("name", ["hifigan", "bigvgan", "vocos", "melgan", "apnet", "griffin-lim"])
def test_long_input_in_pieces_equals_the_whole(name):
    vocoder = VOCODERS[name]()
    frames = torch.randn(1, MEL.n_mels, 260).clamp(-2, 2) - 3
    if name == "griffin-lim":
        frames = torch.cat([frames, torch.zeros(1, MEL.n_fft // 2 + 1, 260)], dim=1)
        network = vocoder._network
    else:
        network = vocoder
    with torch.no_grad():
        pieces = synthesize_batch(network, frames, None, hop_length=64, context=vocoder.context, max_frames=50)
        torch.testing.assert_close(pieces, network(frames), atol=1e-3 if name == "griffin-lim" else 1e-5, rtol=0)


@pytest.mark.parametrize(
    "name",
    ["hifigan", "hifigan-block-2", "bigvgan", "bigvgan-v2-block-2", "vocos", "melgan", "apnet"],
)
def test_context_is_enough_and_not_more_than_twice_what_is_needed(name):
    vocoder = VOCODERS[name]().double()
    mel = torch.randn(1, MEL.n_mels, 121, dtype=torch.float64, requires_grad=True)
    middle = vocoder(mel)[0, 60 * 64 : 61 * 64].square().sum()
    (gradient,) = torch.autograd.grad(middle, mel)
    reached = gradient[0].abs().sum(0).nonzero().flatten()
    needed = max(60 - int(reached.min()), int(reached.max()) - 60)
    assert needed <= vocoder.context <= 2 * needed


def test_long_griffin_lim_as_a_stream_equals_the_whole(monkeypatch):
    vocoder = VOCODERS["griffin-lim"]()
    mel = torch.randn(2, MEL.n_mels, 150).clamp(-2, 2) - 4
    lengths = torch.tensor([150, 121])
    whole = vocoder.synthesize(mel, lengths=lengths)
    monkeypatch.setattr("amphion_vocoders.griffin_lim.MAX_FRAMES", 40)
    # Rounding grows where Griffin-Lim divides by small magnitudes.
    torch.testing.assert_close(vocoder.synthesize(mel, lengths=lengths), whole, atol=2e-3, rtol=0)


def test_network_is_given_bounded_pieces():
    seen = []

    def network(frames):
        seen.append(frames.shape[-1])
        return frames[:, 0].repeat_interleave(2, 1)

    frames = torch.arange(1000.0)[None, None]
    wav = synthesize_batch(network, frames, None, hop_length=2, context=5, max_frames=100)
    assert max(seen) <= 110
    assert torch.equal(wav, frames[:, 0].repeat_interleave(2, 1))


def test_stream_is_behind_by_its_context_only():
    steps = []
    chunks = (steps.append(i) or torch.zeros(1, 1) for i in range(20))
    first = next(synthesize_stream(lambda f: f[:, 0], chunks, hop_length=1, context=6))
    assert first.shape == (1,)
    assert len(steps) == 7


@pytest.mark.parametrize("name", ["hifigan", "bigvgan", "nsf-hifigan", "vocos"])
def test_look_ahead_is_what_a_stream_waits_for(name):
    vocoder = VOCODERS[name]()
    mel, f0, given = torch.randn(MEL.n_mels, 60).clamp(-2, 2) - 4, torch.full((1,), 150.0), []

    def frames():
        for frame in mel.split(1, dim=1):
            given.append(frame)
            yield (frame, f0) if name == "nsf-hifigan" else frame

    assert next(vocoder.stream(frames())).shape == (MEL.hop_length,)
    assert len(given) - 1 == round(vocoder.look_ahead * MEL.frame_rate)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length():
    pytest.importorskip("resource")
    code = (
        "import resource, torch; from amphion_vocoders import HiFiGAN, HiFiGANConfig; torch.set_num_threads(1);"
        "config = HiFiGANConfig(channels=128, block=2, block_kernel_sizes=(3,), block_dilations=((1,),));"
        "model = HiFiGAN(config).eval();"
        "mel = torch.randn(1, 80, 16000) - 4; model.synthesize(mel[:, :, :1100]);"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; before = peak();"
        "model.synthesize(mel); print(peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    unit = 1 if sys.platform == "darwin" else 1024
    # Three minutes: a layer's output at the rate of the samples has 8 channels, 131 MB, and a few exist at once. In
    # pieces there are the waveform, 16 MB, its parts before they are joined, and what the allocator keeps.
    assert int(done.stdout) * unit < 120e6


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda mel: mel[0], "add the batch axis"),
        (lambda mel: mel.mT, "transpose it"),
        (lambda mel: mel + 0j, "mel holds complex64, not real numbers; give it as float32"),
        (lambda mel: mel[:, :7], "has 7 bands, this vocoder takes 20"),
        (lambda mel: mel[:, :, :0], "no frames"),
        (lambda mel: mel * 20 / 2.3, "decibels"),
        (lambda mel: mel.clamp(min=-11.5) / 2.302585093, "log10"),
        (lambda mel: torch.where(mel > -3, torch.inf, mel), "NaN or infinite"),
    ],
)
def test_what_is_no_mel_of_the_vocoder_is_refused_with_what_to_do(change, words):
    mel = torch.linspace(-12, 1, 20 * 30).reshape(1, 20, 30).clamp(min=-11.512925)
    check_mel(mel, MEL)
    if words == "log10":
        mel = mel.clamp(min=-11.512925465)
        change = lambda value: value.clamp(min=-11.512925465) / 2.302585093  # noqa: E731
    with pytest.raises(ValueError, match=words):
        check_mel(change(mel), MEL)
