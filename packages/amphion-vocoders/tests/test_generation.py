"""Both autoregressive vocoders, drawn sample by sample: what they draw is what their networks say."""

import pytest
import torch

from amphion_core import registry
from amphion_core.features import MelConfig
from amphion_core.testing import check_vocoder
from amphion_vocoders import WaveNet, WaveNetConfig, WaveRNN, WaveRNNConfig
from amphion_vocoders.adjusting import adjust
from amphion_vocoders.generation import BLOCK, MelBlocks, draw_block

MEL = MelConfig(n_fft=64, win_length=64, hop_length=16, n_mels=10, f_max=None)
MULAW = {"kind": "mulaw", "classes": 64}
MIXTURE = {"kind": "mol", "mixtures": 3}


def wavenet(**changes):
    values = dict(mel=MEL, rates=(4, 4), layers=6, stacks=2, channels=12, gate_channels=16, skip_channels=10)
    torch.manual_seed(0)
    return WaveNet(WaveNetConfig(**(values | {"output": MIXTURE} | changes))).eval()


def wavernn(**changes):
    values = dict(mel=MEL, rates=(4, 4), channels=20, head_channels=14, frame_channels=12, frame_blocks=2)
    torch.manual_seed(0)
    return WaveRNN(WaveRNNConfig(**(values | {"aux_channels": 16, "output": MULAW} | changes))).eval()


MODELS = {
    "wavenet": wavenet,
    "wavenet-one-hot": lambda: wavenet(input="one_hot", output=MULAW, kernel_size=2),
    "wavenet-scalar-classes": lambda: wavenet(output=MULAW, layers=5, stacks=1, kernel_size=4),
    "wavenet-no-pad": lambda: wavenet(pad=0, rates=(16,), kernel_size=1),
    "wavenet-folded": lambda: wavenet().fold(),
    "wavenet-around-last": lambda: wavenet(output=MIXTURE | {"around": "last"}),
    "wavernn": wavernn,
    "wavernn-raw": lambda: wavernn(output={"kind": "raw", "classes": 32}, pad=1, frame_blocks=0),
    "wavernn-around-last": lambda: wavernn(output=MIXTURE | {"around": "last"}),
    "wavernn-mixture": lambda: wavernn(output=MIXTURE, rates=(2, 2, 4)),
}


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_distributions_one_by_one_are_those_of_the_parallel_network(name):
    model = MODELS[name]()
    mel = torch.randn(3, 10, 12 + 2 * model.config.pad) - 4
    condition = model.condition(mel)
    numbers = model.output.uniform(12 * 16, torch.Generator().manual_seed(0))[:, None]
    steps, signal, drawn, logits = model.steps(3), torch.zeros(3, 1), [], []
    for begin, end in ((0, 1), (1, 100), (100, 192)):  # blocks of any size
        part, at = condition[:, :, begin:end], numbers[begin:end]
        block, signal = draw_block(steps, model.output, part, signal, at, logits)
        drawn.append(block)
    wav = torch.cat(drawn, 1)
    assert wav.std() > 0.05  # it is not silent
    # Weights are joined and sums taken in another order; seen 4e-7.
    torch.testing.assert_close(torch.stack(logits, -1), model(wav, mel), atol=5e-6, rtol=1e-5)


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_each_sample_is_drawn_from_the_distribution_before_it(name):
    model = MODELS[name]()
    mel = torch.randn(1, 10, 6) - 4
    wav = model.synthesize(mel, generator=torch.Generator().manual_seed(3))
    source = torch.Generator().manual_seed(3)
    numbers = torch.cat([model.output.uniform(16, source) for _ in range(6)])
    pad = model.config.pad
    signal = model.output.signal(wav)
    signal[:, 0] = 0  # the first sample is no class
    logits = model(signal, torch.cat([mel[:, :, :1]] * pad + [mel] + [mel[:, :, -1:]] * pad, dim=2))
    expected = model.output.wav(model.output.draw(logits[0].mT, model.output.noise(numbers))[:, 0])
    # Companding and expanding again rounds.
    torch.testing.assert_close(wav[0, 1:], expected[:-1], atol=2e-5, rtol=0)


@pytest.mark.parametrize("name", ["wavenet", "wavernn"])
def test_a_stream_draws_from_its_generator_what_the_whole_draws(name):
    model, mel = MODELS[name](), torch.randn(10, 8) - 4
    draw = [torch.Generator().manual_seed(seed) for seed in (3, 3, 4)]
    whole = model.synthesize(mel[None], generator=draw[0])[0]
    same, other = (torch.cat(list(model.stream(mel.split(3, 1), generator=given))) for given in draw[1:])
    torch.testing.assert_close(same, whole, atol=1e-5, rtol=0)
    assert not torch.allclose(other, whole, atol=1e-2)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_contract_is_kept(name):
    # Values, not classes, go back into a network with a mixture, and with them their rounding.
    check_vocoder(MODELS[name](), atol=1e-4)


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_nothing_but_the_past_counts(name):
    model = MODELS[name]()
    mel = torch.randn(1, 10, 6 + 2 * model.config.pad) - 4
    signal = model.output.signal(torch.rand(1, 96) - 0.5)
    other = signal.clone()
    other[:, 50:] = -signal[:, 50:]
    first, second = model(signal, mel), model(other, mel)
    assert torch.equal(first[:, :, :50], second[:, :, :50])
    assert not torch.equal(first[:, :, 50], second[:, :, 50])


@pytest.mark.parametrize(("kernel", "layers", "stacks"), [(2, 6, 2), (3, 4, 1), (4, 2, 2)])
def test_receptive_field_is_as_long_as_said(kernel, layers, stacks):
    model = wavenet(kernel_size=kernel, layers=layers, stacks=stacks, output={"kind": "raw", "classes": 8})
    field = model.config.receptive_field
    signal = torch.zeros(1, 96, requires_grad=True)
    logits = model(signal, torch.randn(1, 10, 10))
    (gradient,) = torch.autograd.grad(logits[0, :, 80].square().sum(), signal)
    reached = gradient[0].nonzero().flatten()
    assert reached.max() == 80
    assert 80 - reached.min() + 1 == field


@pytest.mark.parametrize("name", ["wavenet", "wavenet-no-pad", "wavernn", "wavernn-mixture"])
@pytest.mark.parametrize("size", [1, 3, 8])
@torch.no_grad()
def test_condition_in_blocks_is_that_of_the_whole(name, size):
    model = MODELS[name]()
    mel, pad = torch.randn(10, 21) - 4, model.config.pad
    whole = model.condition(torch.cat([mel[:, :1]] * pad + [mel] + [mel[:, -1:]] * pad, dim=1)[None])[0]
    blocks, parts = MelBlocks(model), []
    for chunk in mel.split(5, dim=1):
        blocks.push(chunk)
        while blocks.ready >= size:
            parts.append(blocks.take(size))
    blocks.close()
    while blocks.ready:
        parts.append(blocks.take(min(size, blocks.ready)))
    torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["wavenet", "wavernn"])
def test_reach_is_what_stretching_needs(name):
    model = MODELS[name]()
    mel = (torch.randn(1, 10, 21) - 4).requires_grad_()
    (gradient,) = torch.autograd.grad(model.condition(mel)[0, :, 8 * 16 : 9 * 16].square().sum(), mel)
    reached = gradient[0].abs().sum(0).nonzero().flatten() - 2  # frames of the unpadded mel
    assert max(8 - int(reached.min()), int(reached.max()) - 8) <= model.context


@pytest.mark.parametrize("name", ["wavenet", "wavernn"])
def test_memory_is_bounded_by_blocks(name, monkeypatch):
    model = MODELS[name]()
    seen, condition = [], model.condition
    monkeypatch.setattr(model, "condition", lambda mel: seen.append(mel.shape[2]) or condition(mel))
    model.synthesize(torch.randn(1, 10, 70) - 4)
    assert max(seen) <= BLOCK + 2 * model.context
    assert len(seen) == -(-70 // BLOCK)


@pytest.mark.parametrize("name", ["wavenet", "wavenet-no-pad", "wavernn"])
def test_stream_is_behind_by_its_context_only(name):
    model, taken = MODELS[name](), []
    chunks = (taken.append(i) or torch.randn(10, 1) - 4 for i in range(20))
    first = next(model.stream(chunks))
    assert first.shape == (16,)
    assert len(taken) == model.context + 1


@pytest.mark.parametrize("name", ["wavenet", "wavernn"])
def test_noise_comes_from_the_generator_alone(name):
    model, mel = MODELS[name](), torch.randn(1, 10, 8) - 4
    draws = [model.synthesize(mel, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    torch.manual_seed(99)
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert torch.equal(model.synthesize(mel), model.synthesize(mel))


@pytest.mark.parametrize("name", ["wavenet", "wavernn-mixture"])
def test_items_that_end_leave_the_others_as_they_are(name):
    model = MODELS[name]()
    mel, lengths = torch.randn(4, 10, 19) - 4, torch.tensor([3, 19, 0, 11])
    batch = model.synthesize(mel, lengths=lengths)
    for row, item, length in zip(batch, mel, lengths.tolist(), strict=True):
        if length:
            alone = model.synthesize(item[None, :, :length])[0]
            torch.testing.assert_close(row[: length * 16], alone, atol=1e-4, rtol=0)
        assert not row[length * 16 :].any()


@pytest.mark.parametrize("name", ["wavenet", "wavernn-around-last"])
def test_drawing_stays_in_single_precision(name):
    model, mel = MODELS[name](), torch.randn(1, 10, 6) - 4
    with torch.autocast("cpu", torch.bfloat16):
        half = model.synthesize(mel)
    assert torch.equal(half, model.synthesize(mel))


@pytest.mark.parametrize(("name", "kind"), [("wavenet", WaveNet), ("wavernn", WaveRNN)])
def test_both_are_found_by_their_names(name, kind):
    assert registry.find("vocoders", name) is kind


def test_settings_of_drawing_are_changed_on_a_trained_vocoder():
    mel, vocoder = torch.randn(1, 10, 8) - 4, wavernn()
    loud = vocoder.synthesize(mel)
    adjust(vocoder, ["temperature=0.2"])
    quiet = vocoder.synthesize(mel)
    assert torch.equal(quiet, wavernn(temperature=0.2).synthesize(mel))
    assert quiet.std() < loud.std()
    adjust(vocoder, ["batched={target: 40, overlap: 10}"])
    assert vocoder.config.batched.target == 40
    with pytest.raises(ValueError, match="'channels' is no setting"):
        adjust(vocoder, ["channels=3"])
