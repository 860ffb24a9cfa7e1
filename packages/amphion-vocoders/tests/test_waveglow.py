import json

import pytest
import torch

from amphion_core.config import ConfigError
from amphion_core.features import MelConfig
from amphion_core.hub import state_tensors
from amphion_core.released import fold_weight_norm
from amphion_vocoders import WaveGlow, WaveGlowConfig, released, sampling
from amphion_vocoders.waveglow import likelihood_loss

MEL = MelConfig(n_fft=64, win_length=64, hop_length=16, n_mels=5, f_max=None)
TINY = WaveGlowConfig(
    mel=MEL, group=8, flows=5, early_every=2, layers=2, channels=4, upsample_kernel_size=40, sigma=1.0
)


def tiny(**changes):
    torch.manual_seed(0)
    model = WaveGlow(TINY.updated(**changes)).eval()
    for flow in model.flows:  # training begins with zeros and rotations
        torch.nn.init.normal_(flow.network.output.weight, std=0.1)
        flow.mixing.weight.data += 0.2 * torch.randn_like(flow.mixing.weight)
    return model


def mels(frames, items=1):
    return torch.randn(items, 5, frames).clamp(-2, 2) - 3.3


def rows_of(model, z):
    """Noise from which `sample` makes what was turned into z."""
    widths, size = model.config.widths, model.config.early_size
    finished = (model.config.group - widths[-1]) // size
    parts = [z[:, finished * size :]] + [z[:, i * size : (i + 1) * size] for i in reversed(range(finished))]
    rows, places = [part.mT.flatten(1) for part in parts], [0] * len(parts)

    def noise(row, count):
        places[row] += count
        return rows[row][:, places[row] - count : places[row]]

    return noise


@pytest.mark.parametrize(
    "changes",
    [{}, {"group": 4, "flows": 2}, {"group": 16, "early_size": 4, "flows": 6}, {"flows": 1}, {"kernel_size": 5}],
)
def test_what_was_turned_into_noise_is_turned_back(changes):
    model, mel, wav = tiny(**changes).double(), mels(9, 2).double(), torch.randn(2, 144).double() * 0.3
    with torch.no_grad():
        latent = model(mel, wav)
        made = torch.cat(list(model.sample(torch.split(mel, 4, -1), rows_of(model, latent.z))), dim=1)
    torch.testing.assert_close(made, wav, atol=1e-12, rtol=0)


def test_the_volume_is_the_determinant_of_the_jacobian():
    model, mel = tiny().double(), mels(2).double()
    wav = torch.randn(1, 32, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda x: model(mel, x).z.flatten(), wav)[:, 0]
    latent = model(mel, wav)
    volume = sum(scale.sum() for scale in latent.log_scales) + latent.log_determinants.sum()
    torch.testing.assert_close(torch.linalg.slogdet(jacobian).logabsdet, volume)


def test_loss_of_white_noise_through_the_identity_is_its_energy():
    model = tiny(flows=1)
    with torch.no_grad():
        model.flows[0].mixing.weight.copy_(torch.eye(8))
        model.flows[0].network.output.weight.zero_()
    wav = torch.randn(1, 160)
    assert likelihood_loss(model(mels(10), wav), sigma=2.0).item() == pytest.approx(wav.square().mean().item() / 8)


def test_training_begins_with_rotations():
    for flow in WaveGlow(TINY).flows:
        weight = flow.mixing.weight.double()
        torch.testing.assert_close(weight @ weight.T, torch.eye(len(weight), dtype=torch.float64), atol=1e-5, rtol=0)
        assert torch.linalg.det(weight).item() == pytest.approx(1)


def test_has_the_size_of_the_published_one():
    count = sum(tensor.numel() for tensor in fold_weight_norm(WaveGlow(WaveGlowConfig()).state_dict()).values())
    assert count / 1e6 == pytest.approx(87.9, rel=0.01)


@pytest.mark.parametrize("frames", [1, 7])
def test_hop_samples_for_each_frame(frames):
    assert tiny().synthesize(mels(frames, 2)).shape == (2, frames * 16)


def test_long_input_in_pieces_equals_the_whole(monkeypatch):
    model, mel, lengths = tiny(), mels(150, 2), torch.tensor([150, 91])
    whole = model.synthesize(mel, lengths=lengths)
    monkeypatch.setattr(sampling, "PIECE_FRAMES", 20)
    torch.testing.assert_close(model.synthesize(mel, lengths=lengths), whole, atol=1e-5, rtol=1e-5)


def test_context_is_enough_and_not_much_more_than_is_needed():
    model = tiny(layers=4).double()
    mel = mels(121).double().requires_grad_()
    noise = torch.Generator().manual_seed(0)
    made = model.sample([mel], lambda row, count: torch.randn(1, count, generator=noise, dtype=torch.float64))
    wav = torch.cat(list(made), dim=1)
    (gradient,) = torch.autograd.grad(wav[0, 60 * 16 : 61 * 16].square().sum(), mel)
    reached = gradient[0].abs().sum(0).nonzero().flatten()
    needed = max(60 - int(reached.min()), int(reached.max()) - 60)
    assert needed <= model.context <= needed + model.config.flows + 1  # whole frames for each flow


def test_no_noise_gives_one_waveform_whatever_the_seed():
    mel = mels(6)
    model = tiny().with_sigma(0.0)
    made = [model.synthesize(mel, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2)]
    assert torch.equal(*made)
    assert not torch.equal(model.with_sigma(0.5).synthesize(mel), made[0])


def test_kept_inverses_are_those_of_the_matrices_and_training_forgets_them():
    model, mel = tiny(), mels(6)
    before = model.synthesize(mel)
    assert torch.equal(model.fold().synthesize(mel), before)
    assert all(flow.mixing.folded is not None for flow in model.flows)
    assert all(flow.mixing.folded is None for flow in model.train().flows)
    model.eval().fold().load_state_dict(tiny(seed=1).state_dict())
    assert all(flow.mixing.folded is None for flow in model.flows)


def test_the_signal_stays_in_single_precision_under_autocast():
    model, mel, wav = tiny(), mels(9), torch.randn(1, 144)
    with torch.autocast("cpu", torch.bfloat16):
        latent = model(mel, wav)
    assert latent.z.dtype == latent.log_scales[0].dtype == torch.float32


def test_saved_and_loaded_gives_the_same_samples(tmp_path):
    model, mel = tiny(), mels(6)
    model.save_pretrained(tmp_path)
    assert torch.equal(WaveGlow.from_pretrained(tmp_path).synthesize(mel), model.synthesize(mel))


def test_a_few_steps_raise_the_likelihood():
    torch.manual_seed(0)
    model = WaveGlow(TINY)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    mel, wav = mels(10), torch.sin(torch.arange(160) * 0.3)[None] * 0.5 + 0.01 * torch.randn(1, 160)
    losses = []
    for _ in range(40):
        losses.append(likelihood_loss(model(mel, wav)))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < losses[0] - 1


OLD = {"INPUT_DIM": 5, "N_GROUP": 8, "N_FLOWS": 2, "N_EARLY_EVERY": 4, "N_EARLY_SIZE": 2, "N_LAYERS": 2}
OLD |= {"N_CHANNELS": 4, "KERNEL_SIZE": 3}
PREPROCESS = {"n_mel": 5, "sample_rate": 22050, "n_fft": 64, "win_size": 64, "hop_size": 16, "fmin": 0, "fmax": None}


@pytest.mark.parametrize(
    "args",
    [
        {"VOCODER": OLD, "preprocess": PREPROCESS},
        {"model": {"waveglow": {name.lower(): value for name, value in OLD.items()}}, "preprocess": PREPROCESS},
    ],
)
def test_older_and_newer_names_of_a_released_configuration_are_read(args):
    config = released.waveglow_config(args)
    assert (config.mel, config.flows, config.channels, config.upsample_kernel_size) == (MEL, 2, 4, 1024)


def test_without_a_mel_it_is_the_one_of_22_khz_with_its_bands():
    assert released.waveglow_config({"VOCODER": OLD}).mel == MelConfig(n_mels=5)


def test_a_released_file_is_loaded(tmp_path):
    model = tiny(flows=2, upsample_kernel_size=1024)
    names = {".mixing.": ".conv.", ".network.condition": ".cond_layer", ".network.dilated": ".in_layers"}
    names |= {".network.mixed": ".res_skip_layers", ".network.input": ".start", ".network.output": ".end"}
    weights = {}
    for name, tensor in fold_weight_norm(state_tensors(model)).items():
        matrix = ".mixing." in name
        for ours, theirs in names.items():
            name = name.replace(ours, theirs)
        weights[name.replace("flows.", "convinv." if matrix else "WN.")] = tensor[..., None] if matrix else tensor
    torch.save({"state_dict": weights}, tmp_path / "waveglow.pt")
    (tmp_path / "args.json").write_text(json.dumps({"VOCODER": OLD, "preprocess": PREPROCESS}))
    loaded, mel = WaveGlow.from_released(tmp_path / "waveglow.pt").with_sigma(1.0), mels(6)
    torch.testing.assert_close(loaded.synthesize(mel), model.synthesize(mel), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"VOCODER": {"N_GROUP": 8}}, "N_FLOWS, N_EARLY_EVERY"),
        ({"model": {"generator": "apnet", "apnet": {}}}, "'apnet', not of waveglow"),
    ],
)
def test_args_that_are_none_of_a_waveglow_are_refused(args, words):
    with pytest.raises(ValueError, match=words):
        released.waveglow_config(args)


@pytest.mark.parametrize("samples", [144 + 8, 143])
def test_waveforms_that_do_not_fit_the_mel_are_refused(samples):
    with pytest.raises(ValueError, match=f"the waveforms have {samples} samples; 9 frames go with 144"):
        tiny()(mels(9), torch.zeros(1, samples))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"group": 6}, "no multiple of group 6"),
        ({"group": 7}, "multiple of 2"),
        ({"flows": 9}, "more than the 8 of group"),
        ({"kernel_size": 4}, "must be odd"),
        ({"upsample_kernel_size": 8}, "is less than mel"),
    ],
)
def test_faults_of_a_config_are_told(changes, words):
    with pytest.raises(ConfigError, match=words):
        WaveGlowConfig.parse(TINY.to_dict() | changes)
