"""FastSpeech 2: shapes, padding, controls, saving, learning."""

import pytest
import torch

from amphion_core.hub import load_pretrained
from amphion_tts.fastspeech2.config import FastSpeech2Config
from amphion_tts.fastspeech2.losses import fastspeech2_losses
from amphion_tts.fastspeech2.model import Controls, FastSpeech2

TINY = FastSpeech2Config.parse(
    {
        "mel": {"n_mels": 6},
        "symbols": ["_", *"abcdefgh"],
        "max_length": 20,
        "dim": 8,
        "encoder_layers": 1,
        "decoder_layers": 2,
        "filter_size": 12,
        "kernel_sizes": [3, 3],
        "predictor_filter": 8,
        "bins": 16,
        "postnet_channels": 8,
        "pitch": {"mean": 100, "std": 20, "min": 40, "max": 300},
        "energy": {"mean": 5, "std": 2, "min": 0, "max": 20},
    }
)


def make(seed=0, **changes):
    torch.manual_seed(seed)
    model = FastSpeech2(TINY.updated(**changes)).eval()
    with torch.no_grad():
        model.variance.duration_predictor.out.bias.fill_(1.2)  # else an untrained model gives hardly any frame
        for block in model.postnet.layers if model.postnet else ():
            block.norm.bias.fill_(0.3)  # padding that is not zero
    return model


def batch(model, lengths, seed=0):
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, model.config.rows, (len(lengths), max(lengths)), generator=generator)
    lengths = torch.tensor(lengths)
    return ids * (torch.arange(ids.shape[1]) < lengths[:, None]), lengths


@pytest.mark.parametrize("level", ["phone", "frame"])
@pytest.mark.parametrize("lengths", [[1], [5, 3, 1], [27]])
def test_mel_has_the_frames_that_the_durations_say(level, lengths):
    model = make(pitch={**TINY.pitch.to_dict(), "level": level}, energy={**TINY.energy.to_dict(), "level": level})
    phones, sizes = batch(model, lengths)
    durations = torch.arange(phones.numel()).reshape(phones.shape) % 4 * (phones > 0) + (phones > 0)
    result = model(phones, sizes, durations=durations)
    assert result.mel_lengths.tolist() == durations.sum(1).tolist()
    assert result.mel.shape == (len(lengths), 6, int(durations.sum(1).max()))
    assert result.pitch.shape == (phones.shape if level == "phone" else (len(lengths), result.mel.shape[2]))


@pytest.mark.parametrize("postnet_layers", [0, 3])
@pytest.mark.parametrize("level", ["phone", "frame"])
def test_an_item_of_a_batch_comes_out_as_alone(postnet_layers, level):
    model = make(postnet_layers=postnet_layers, energy={**TINY.energy.to_dict(), "level": level})
    phones, lengths = batch(model, [9, 4, 1])
    mel, frames = model.generate(phones, lengths)
    for item, length in enumerate(lengths.tolist()):
        alone, count = model.generate(phones[item : item + 1, :length], lengths[item : item + 1])
        assert count.item() == frames[item].item()
        # float32 sums of other sizes
        torch.testing.assert_close(mel[item, :, : frames[item]], alone[0, :, : frames[item]], atol=1e-5, rtol=1e-5)


def test_legacy_padding_changes_batches_but_no_single_item():
    ours, legacy = make(), make(legacy_padding=True)
    phones, lengths = batch(ours, [9, 4])
    one = phones[:1], lengths[:1]
    torch.testing.assert_close(ours(*one).mel, legacy(*one).mel)
    assert not torch.allclose(ours(phones, lengths).mel[1, :, :8], legacy(phones, lengths).mel[1, :, :8])


def test_speed_divides_the_durations():
    model = make()
    phones, lengths = batch(model, [12])
    normal = model.generate(phones, lengths)[1].item()
    assert model.generate(phones, lengths, speed=0.5)[1].item() == 2 * normal


def test_pitch_control_is_a_factor_of_hertz():
    model = make()
    phones, lengths = batch(model, [6])
    plain = model(phones, lengths).pitch * 20 + 100
    raised = model(phones, lengths, controls=Controls(pitch=1.5)).pitch * 20 + 100
    torch.testing.assert_close(raised, 1.5 * plain)


@pytest.mark.parametrize("name", ["speed", "pitch", "energy"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_controls_that_are_no_factor_are_refused(name, value):
    model = make()
    with pytest.raises(ValueError, match=f"{name} is a factor above 0"):
        model.generate(*batch(model, [3]), **{name: value})


def test_saved_and_loaded_it_gives_the_same_numbers(tmp_path):
    model = make(speakers=["a", "b"])
    phones, lengths = batch(model, [7])
    expected = model.generate(phones, lengths, torch.tensor([1]))[0]
    model.save_pretrained(tmp_path)
    again = load_pretrained(tmp_path, group="models")
    assert again.config == model.config
    assert torch.equal(again.generate(phones, lengths, torch.tensor([1]))[0], expected)


def test_a_few_steps_lower_every_loss_on_one_batch():
    model = make().train()
    phones, lengths = batch(model, [6, 4])
    durations = torch.full_like(phones, 2) * (phones > 0)
    generator = torch.Generator().manual_seed(1)
    mel = torch.randn(2, 6, 12, generator=generator) - 4
    pitch, energy = torch.randn(2, 2, 6, generator=generator)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    history = []
    for _ in range(40):
        result = model(phones, lengths, durations=durations, pitch=pitch, energy=energy)
        losses = fastspeech2_losses(result, mel, durations, pitch, energy)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        history.append({name: loss.item() for name, loss in losses.items()})
    assert all(history[-1][name] < 0.9 * history[0][name] for name in history[0])


@pytest.mark.parametrize(
    ("phones", "lengths", "words"),
    [
        ([[1, 99]], [2], "ids go from 0 to 8, got 1 to 99"),
        ([[1, 2]], [3], "each item needs 1 to 2 phones"),
        ([[1, 2]], [0], "each item needs 1 to 2 phones"),
        ([1, 2], [2], "phones .B, N. and lengths .B,. expected"),
    ],
)
def test_impossible_inputs_are_named(phones, lengths, words):
    with pytest.raises(ValueError, match=words):
        make()(torch.tensor(phones), torch.tensor(lengths))


def test_speakers_are_asked_for_and_refused():
    phones, lengths = batch(make(), [3])
    with pytest.raises(ValueError, match="0 speakers; speaker ids are not expected"):
        make()(phones, lengths, torch.tensor([0]))
    with pytest.raises(ValueError, match="2 speakers; speaker ids are missing"):
        make(speakers=["a", "b"])(phones, lengths)
    with pytest.raises(ValueError, match="from 0 to 1"):
        make(speakers=["a", "b"])(phones, lengths, torch.tensor([2]))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kernel_sizes": [4, 1]}, "kernel sizes must be odd"),
        ({"encoder_heads": 3}, "encoder_heads 3 does not divide dim 8"),
        ({"symbols": ["_", "a", "a"]}, "symbols stand twice in the table: 'a'"),
        ({"vocabulary": 3}, "vocabulary 3 is smaller than the table of 9 symbols"),
        ({"pitch": {"quantization": "log", "mean": 5, "std": 1, "min": 1, "max": 9}}, "log bins need positive"),
    ],
)
def test_impossible_configs_are_named(changes, words):
    with pytest.raises(ValueError, match=words):
        TINY.updated(**changes)
