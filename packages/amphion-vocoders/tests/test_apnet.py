import json

import pytest
import torch

from amphion_core.config import ConfigError
from amphion_core.features import MelConfig
from amphion_core.features.stft import amplitude_phase
from amphion_core.testing import check_resume, check_task
from amphion_vocoders import APNet, APNetConfig, GanVocoderRecipe, GanVocoderTask, released
from amphion_vocoders.apnet import Spectra
from amphion_vocoders.spectra import SpectraLossConfig, spectra_terms

MEL = MelConfig(n_fft=64, win_length=64, hop_length=16, n_mels=10, f_max=None)
STACK = {"channels": 8, "block_kernel_sizes": [3], "block_dilations": [[1, 3, 5]], "input_kernel_size": 5}
TINY = APNetConfig.parse({"mel": MEL.to_dict(), "amplitude": STACK, "phase": STACK})
PART = {"channel": 8, "resblock_kernel_sizes": [3], "resblock_dilation_sizes": [[1, 3, 5]], "input_conv_kernel_size": 5}
NETWORK = {f"{part}_{key}": value for part in ("ASP", "PSP") for key, value in PART.items()}
NETWORK |= {f"{name}_kernel_size": 7 for name in ("ASP_output_conv", "PSP_output_R_conv", "PSP_output_I_conv")}
ARGS = {
    "model": {"generator": "apnet", "apnet": NETWORK},
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


def tiny():
    torch.manual_seed(0)
    return APNet(TINY).eval()


@pytest.mark.parametrize("frames", [1, 7])
def test_hop_samples_for_each_frame(frames):
    assert tiny()(torch.randn(2, 10, frames)).shape == (2, frames * 16)


def test_parts_are_those_of_amplitude_and_phase():
    spectra = tiny().spectra(torch.randn(1, 10, 9))
    torch.testing.assert_close(spectra.log_amplitude.exp() * spectra.phase.cos(), spectra.real)
    torch.testing.assert_close(spectra.log_amplitude.exp() * spectra.phase.sin(), spectra.imaginary)


def test_a_real_spectrum_has_no_loss_but_the_least_of_the_phase():
    wav = torch.randn(2, 512) * 0.1
    goal = amplitude_phase(wav, MEL)
    terms = spectra_terms(Spectra(*goal, wav), wav, MEL, SpectraLossConfig())
    assert terms["phase"].item() == pytest.approx(-300)  # three cosines of 0, weight 100
    assert all(terms[name].item() == 0 for name in ("amplitude", "consistency", "parts"))


def test_weights_of_zero_leave_terms_out():
    spectra = tiny().spectra(torch.randn(1, 10, 32))
    terms = spectra_terms(spectra, torch.randn(1, 512), MEL, SpectraLossConfig(phase=0, consistency=0))
    assert set(terms) == {"amplitude", "parts"}


def test_a_few_steps_lower_all_spectral_losses():
    model = tiny().train()
    wav = torch.sin(torch.arange(512) * 0.3)[None] * 0.5
    mel = torch.randn(1, 10, 32)
    optimizer, totals = torch.optim.Adam(model.parameters(), 5e-3), []
    for _ in range(80):
        terms = spectra_terms(model.spectra(mel), wav, MEL, SpectraLossConfig())
        totals.append({name: term.item() for name, term in terms.items()})
        optimizer.zero_grad()
        sum(terms.values()).backward()
        optimizer.step()
    assert all(totals[-1][name] < totals[0][name] for name in ("amplitude", "phase", "parts"))


def test_phase_and_transform_stay_in_single_precision_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        spectra = tiny().spectra(torch.randn(1, 10, 9))
    assert {tensor.dtype for tensor in spectra} == {torch.float32}


def test_saved_and_loaded_gives_the_same_samples(tmp_path):
    model, mel = tiny(), torch.randn(1, 10, 9)
    model.save_pretrained(tmp_path)
    assert torch.equal(APNet.from_pretrained(tmp_path).synthesize(mel), model.synthesize(mel))


def test_an_experiment_folder_of_the_toolkit_is_loaded(tmp_path):
    from amphion_core.hub import state_tensors
    from amphion_core.released import fold_weight_norm

    ours = fold_weight_norm(state_tensors(tiny()))
    names = {"amplitude.": "ASP_", "phase.": "PSP_", "input.": "input_conv.", "blocks.": "ResNet.", "dilated": "convs1"}
    names |= {"plain": "convs2", "output.ASP_": "ASP_output_conv.", "output.cosine": "PSP_output_R_conv"}
    names |= {"output.sine": "PSP_output_I_conv"}
    theirs = {}
    for name, tensor in ours.items():
        for mine, other in names.items():
            name = name.replace(mine, other)
        theirs[name] = tensor
    torch.save({"generator": theirs}, tmp_path / "g.pt")
    (tmp_path / "args.json").write_text(json.dumps(ARGS))
    mel = torch.randn(1, 10, 6)
    torch.testing.assert_close(APNet.from_released(tmp_path / "g.pt")(mel), tiny()(mel), atol=1e-5, rtol=1e-5)


def test_outputs_of_different_widths_are_read_from_released_args():
    network = {**NETWORK, "ASP_output_conv_kernel_size": 3, "PSP_output_I_conv_kernel_size": 5}
    assert released.apnet_config({**ARGS, "model": {"apnet": network}}).output_kernel_sizes == (3, 7, 5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mel": {**MEL.to_dict(), "win_length": 32}}, "win_length 32 must be mel.n_fft 64"),
        ({"mel": {**MEL.to_dict(), "padding": "center"}}, "frames of 'same'"),
        ({"sine_kernel_size": 4}, "must be odd"),
        ({"amplitude": {"block_kernel_sizes": [3, 4]}}, "must be odd"),
        ({"phase": {"block_kernel_sizes": [3]}}, "1 block_kernel_sizes and 3 block_dilations"),
    ],
)
def test_faults_of_a_config_are_told(changes, words):
    with pytest.raises(ConfigError, match=words):
        APNetConfig.parse({"mel": MEL.to_dict()} | changes)


def recipe(shards):
    optimizer = {"lr": 1e-3, "schedule": {"name": "exponential_epoch", "decay": 0.9}}
    mel = {"sample_rate": 8000, "n_fft": 128, "win_length": 128, "hop_length": 32, "n_mels": 12, "f_max": 4000}
    return {
        "task": "gan-vocoder",
        "name": "tiny",
        "vocoder": "apnet",
        "model": {"mel": mel, "amplitude": STACK, "phase": STACK},
        "discriminators": [{"name": "period", "periods": [2, 3], "channels": [2, 4], "strides": [3, 1]}],
        "loss": {"mel": 45, "spectra": {}},
        "data": {
            "train": [{"path": str(shards / "train")}],
            "valid": [{"path": str(shards / "valid")}],
            "batch": {"size": 4, "buckets": 1},
            "valid_batch": {"size": 2, "buckets": 1, "shuffle": False},
        },
        "segment": 1024,
        "optimizers": {"discriminator": optimizer, "generator": optimizer},
        "trainer": {"device": "cpu", "steps": 1, "ema": 0.9, "sample_every": 0, "validate_every": 0},
    }


def test_contract_of_training_is_kept(shards):
    check_task(GanVocoderTask, GanVocoderRecipe.parse(recipe(shards)))


def test_losses_of_phases_are_not_asked_of_a_generator_that_predicts_none(shards):
    values = recipe(shards) | {"vocoder": "vocos"}
    values["model"] = {"mel": values["model"]["mel"], "dim": 8, "intermediate_dim": 8, "num_layers": 1}
    with pytest.raises(ValueError, match="'vocos' predicts no phase"):
        GanVocoderTask(GanVocoderRecipe.parse(values))


@pytest.mark.slow
def test_a_killed_and_resumed_training_ends_bit_for_bit_the_same(shards, tmp_path):
    check_resume(recipe(shards), tmp_path, steps=24, save_every=4, kill_after=6)
