import json

import pytest
import torch

from amphion_core.config import ConfigError
from amphion_core.features import MelConfig
from amphion_core.hub import state_tensors
from amphion_vocoders import DiffWave, DiffWaveConfig, released, sampling

MEL = MelConfig(n_fft=64, win_length=64, hop_length=16, n_mels=10, f_max=None)
TINY = DiffWaveConfig(mel=MEL, channels=6, layers=4, cycle=3, rates=(4, 4), steps="fast")
ARGS = {
    "model": {
        "generator": "diffwave",
        "diffwave": {
            "residual_channels": 6,
            "residual_layers": 4,
            "dilation_cycle_length": 3,
            "noise_schedule_factors": [1e-4, 0.05, 50],
            "inference_noise_schedule": [1e-4, 1e-3, 1e-2, 0.05, 0.2, 0.5],
            "upsample_factors": [4, 4],
        },
    },
    "preprocess": {
        "n_mel": 10,
        "sample_rate": 22050,
        "n_fft": 64,
        "win_size": 64,
        "hop_size": 16,
        "fmin": 0,
        "fmax": None,
    },
}


def tiny(**changes):
    torch.manual_seed(0)
    model = DiffWave(TINY.updated(**changes)).eval()
    torch.nn.init.normal_(model.output.weight, std=0.05)  # training begins with zeros
    return model


def mels(frames, items=1):
    return torch.randn(items, 10, frames).clamp(-2, 2) - 3.3


@pytest.mark.parametrize("frames", [1, 7])
def test_as_many_samples_of_noise_are_predicted(frames):
    predicted = tiny()(torch.randn(2, frames * 16), torch.tensor([0, 49]), mels(frames, 2))
    assert predicted.shape == (2, frames * 16)


def test_training_begins_at_no_noise():
    model = DiffWave(TINY)
    assert not model(torch.randn(1, 32), torch.tensor([3]), mels(2)).abs().max() > model.output.bias.abs() + 1e-6


def test_has_the_size_of_the_paper():
    count = sum(p.numel() for p in DiffWave(DiffWaveConfig()).parameters())
    assert count / 1e6 == pytest.approx(2.62, rel=0.02)  # base, table 1 of the paper: 2.64 M


def test_fractional_steps_lie_between_their_neighbours():
    embed = tiny().time
    torch.testing.assert_close(embed(torch.tensor([3.0])), embed(torch.tensor([3])))
    torch.testing.assert_close(embed(torch.tensor([49.0])), embed(torch.tensor([49])))


@pytest.mark.parametrize("steps", ["fast", "full", (1e-4, 0.01, 0.3)])
def test_who_knows_the_noise_gets_the_signal_back(steps, monkeypatch):
    """With the true noise at each step, the last step leaves the signal itself."""
    model, wav = tiny(steps=steps), torch.sin(torch.arange(160) * 0.1)[None] * 0.5

    def oracle(self, noisy, time, mel):
        root = levels_at(time.item())
        return (noisy - root * wav) / (1 - root**2).sqrt()

    def levels_at(time):
        roots, low = model.levels.sqrt(), int(time)
        return roots[low] + (time - low) * (roots[min(low + 1, 49)] - roots[low])

    monkeypatch.setattr(DiffWave, "forward", oracle)
    made = torch.cat(list(model.sample([mels(10)], sampling.SeededNoise(0))), dim=1)
    # The first level leaves 1 % noise, whose rounding in single precision is divided away.
    torch.testing.assert_close(made, wav, atol=1e-4, rtol=0)


def test_long_input_in_pieces_equals_the_whole(monkeypatch):
    model, mel, lengths = tiny(), mels(150, 2), torch.tensor([150, 91])
    whole = model.synthesize(mel, lengths=lengths)
    monkeypatch.setattr(sampling, "PIECE_FRAMES", 20)
    torch.testing.assert_close(model.synthesize(mel, lengths=lengths), whole, atol=1e-5, rtol=0)


def test_network_is_given_bounded_pieces(monkeypatch):
    model, lengths, forward = tiny(), [], DiffWave.forward
    monkeypatch.setattr(sampling, "PIECE_FRAMES", 20)
    monkeypatch.setattr(
        DiffWave, "forward", lambda self, wav, time, mel: lengths.append(mel.shape[-1]) or forward(self, wav, time, mel)
    )
    model.synthesize(mels(400))
    # The last piece brings what every step has held back.
    assert max(lengths) <= 20 + 2 * model._reach + model.context


@pytest.mark.parametrize(("layers", "cycle"), [(1, 1), (4, 3), (6, 6)])
def test_context_is_enough_and_not_much_more_than_is_needed(layers, cycle):
    model = tiny(layers=layers, cycle=cycle).double()
    mel = mels(101).double().requires_grad_()
    wav = torch.cat(list(model.sample([mel], lambda row, count: torch.zeros(1, count, dtype=torch.float64))), dim=1)
    (gradient,) = torch.autograd.grad(wav[0, 50 * 16 : 51 * 16].square().sum(), mel)
    reached = gradient[0].abs().sum(0).nonzero().flatten()
    needed = max(50 - int(reached.min()), int(reached.max()) - 50)
    # Each of the six steps is given whole frames, up to three more than it needs.
    assert needed <= model.context <= needed + 18


def test_look_ahead_is_that_of_the_steps_of_the_schedule():
    model = tiny()
    first = next(model.stream(iter(torch.split(mels(60)[0], 1, dim=1))))
    assert first.shape[0] >= 16
    assert model.look_ahead == pytest.approx(6 * model._reach * 16 / 22050)
    assert model.with_steps((1e-4, 0.2)).look_ahead == pytest.approx(2 * model._reach * 16 / 22050)


def test_generators_give_other_noise_and_none_the_noise_of_the_seed():
    model, mel = tiny(), mels(9)
    made = [model.synthesize(mel, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(made[0], made[1]) and not torch.equal(made[0], made[2])
    assert torch.equal(model.synthesize(mel), model.synthesize(mel))
    assert not torch.equal(model.synthesize(mel), tiny(seed=1).synthesize(mel))


def test_a_stream_by_a_generator_equals_the_whole_by_it():
    model, mel = tiny(), mels(40)
    whole = model.synthesize(mel, generator=torch.Generator().manual_seed(5))
    chunks = model.stream(torch.split(mel[0], 7, dim=1), generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(torch.cat(list(chunks)), whole[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize(("clip", "clipped"), [("last", 1), ("every", 50)])
def test_samples_are_clipped_once_or_after_every_step(clip, clipped):
    model, least = tiny(steps="full", clip=clip), []
    for number, step in enumerate(sampling_steps(model)):
        stage = model._stage(step, number, lambda row, count: torch.full((1, count), 100.0))
        piece = stage.finish((mels(1), torch.full((1, 1, 16), 9.0)))
        least.append(float(piece[1].max()) <= 1)
    assert sum(least) == clipped


def sampling_steps(model):
    from amphion_vocoders.diffusion_schedule import reverse_steps

    return reverse_steps(model.config.sampling_betas, model.config.training_betas)


def test_schedule_can_be_changed_and_is_saved(tmp_path):
    model, mel = tiny().with_steps((1e-4, 0.2)), mels(5)
    model.save_pretrained(tmp_path)
    loaded = DiffWave.from_pretrained(tmp_path)
    assert loaded.config.sampling_betas == (1e-4, 0.2)
    assert torch.equal(loaded.synthesize(mel), model.synthesize(mel))
    assert not torch.equal(loaded.with_steps("fast").synthesize(mel), model.synthesize(mel))


def test_a_few_steps_lower_the_distance_of_the_noise():
    torch.manual_seed(0)
    model = DiffWave(TINY)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    wav, mel = torch.sin(torch.arange(160) * 0.3).repeat(8, 1) * 0.5, mels(10).repeat(8, 1, 1)
    losses = []
    for _ in range(80):
        time, noise = torch.randint(50, (8,)), torch.randn(8, 160)
        losses.append((model(model.noisy(wav, time, noise), time, mel) - noise).abs().mean())
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])


def test_a_released_folder_is_loaded_with_its_clipping(tmp_path):
    weights = {}
    names = {"time.first": "diffusion_embedding.projection1", "time.second": "diffusion_embedding.projection2"}
    names |= {"blocks.": "residual_layers.", ".dilated": ".dilated_conv", ".time.": ".diffusion_projection."}
    names |= {".condition": ".conditioner_projection", "upsample.0": "spectrogram_upsampler.conv1"}
    names |= {"upsample.1": "spectrogram_upsampler.conv2", "input.": "input_projection.", "skip.": "skip_projection."}
    names |= {"output.": "output_projection."}
    for name, tensor in state_tensors(tiny()).items():
        for ours, theirs in names.items():
            name = name.replace(ours, theirs)
        weights[name] = tensor
    torch.save({"state_dict": weights}, tmp_path / "checkpoint.pt")
    (tmp_path / "args.json").write_text(json.dumps(ARGS))
    model = DiffWave.from_released(tmp_path / "checkpoint.pt")
    assert (model.config.clip, model.config.steps) == ("every", "full")
    mel = mels(4)
    assert torch.equal(model.synthesize(mel), tiny(steps="full", clip="every").synthesize(mel))


def test_args_of_another_model_are_refused():
    with pytest.raises(ValueError, match="'hifigan', not of diffwave"):
        released.diffwave_config({"model": {"generator": "hifigan", "hifigan": {}}})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rates": [4, 8]}, "the product of rates 32 is not"),
        ({"rates": [16, 1]}, "must be even"),
        ({"betas": [0.1, 0.05, 50]}, "first <= last"),
        ({"steps": [1e-9, 0.1]}, "outside of what training knows"),
        ({"steps": [1e-4, 2.0]}, "between 0 and 1"),
        ({"steps": []}, "between 0 and 1"),
    ],
)
def test_faults_of_a_config_are_told(changes, words):
    with pytest.raises(ConfigError, match=words):
        DiffWaveConfig.parse(TINY.to_dict() | changes)


def test_a_schedule_that_training_does_not_know_is_refused():
    with pytest.raises(ValueError, match="outside of what training knows"):
        tiny().with_steps((0.9,))
