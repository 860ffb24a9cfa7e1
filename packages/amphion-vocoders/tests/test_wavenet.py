import json
from pathlib import Path

import pytest
import torch

from amphion_core.features import MelConfig
from amphion_core.testing.golden import Case
from amphion_vocoders import WaveNet, WaveNetConfig, released

MEL = MelConfig(n_fft=64, win_length=64, hop_length=16, n_mels=10, f_max=None)
TINY = WaveNetConfig(mel=MEL, rates=(4, 4), layers=4, stacks=2, channels=8, gate_channels=12, skip_channels=6)
RELEASED = Case(Path(__file__).parent / "golden" / "wavenet")


@pytest.mark.parametrize("frames", [1, 7])
def test_a_distribution_for_each_sample(frames):
    logits = WaveNet(TINY)(torch.zeros(2, frames * 16), torch.randn(2, 10, frames + 4))
    assert logits.shape == (2, 30, frames * 16)


def test_defaults_have_the_size_of_the_toolkit():
    # Weight norm kept: gains and directions.
    assert sum(p.numel() for p in WaveNet(WaveNetConfig()).parameters()) == RELEASED.full()["full"]["n_values"]


def test_stretching_starts_as_a_mean_over_equal_neighbours():
    model = WaveNet(TINY)
    stretched = model.stretches[0](torch.ones(1, 3, 5))
    torch.testing.assert_close(stretched[:, :, 4:-4], torch.ones(1, 3, 12))


def test_dropout_acts_in_training_only():
    model = WaveNet(TINY.updated(dropout=0.5))
    signal, mel = torch.randn(1, 48).clamp(-1, 1), torch.randn(1, 10, 7)
    assert not torch.equal(model(signal, mel), model(signal, mel))
    model.eval()
    assert torch.equal(model(signal, mel), model(signal, mel))


def test_saved_and_loaded_gives_the_same_samples(tmp_path):
    model, mel = WaveNet(TINY).eval(), torch.randn(1, 10, 5) - 4
    model.save_pretrained(tmp_path)
    loaded = WaveNet.from_pretrained(tmp_path)
    assert not loaded.training
    assert torch.equal(loaded.synthesize(mel), model.synthesize(mel))


@pytest.mark.parametrize("nest", ["state_dict", "generator_state_dict"])
def test_checkpoint_of_the_toolkit_is_read(tmp_path, nest):
    torch.save({nest: {f"module.{name}": w for name, w in RELEASED.weights.items()}}, tmp_path / "100.pt")
    (tmp_path / "args.json").write_text(json.dumps(RELEASED.config))
    model = WaveNet.from_released(tmp_path / "100.pt")
    with torch.no_grad():
        RELEASED.check("logits", model(RELEASED.inputs["audio"][:, 0], RELEASED.inputs["mel"]))


def test_mel_of_the_configuration_is_kept_and_must_fit():
    preprocess = {"n_mel": 12, "sample_rate": 24000, "n_fft": 64, "win_size": 64, "hop_size": 16}
    args = {**RELEASED.config, "preprocess": preprocess | {"fmin": 0, "fmax": 12000}}
    assert released.wavenet_config(args).mel.sample_rate == 24000
    args["preprocess"]["n_mel"] = 80
    with pytest.raises(ValueError, match="80 bands and hop 16, the network takes 12 and 16"):
        released.wavenet_config(args)


def test_configuration_of_another_model_is_refused():
    with pytest.raises(ValueError, match="no configuration of a WaveNet: LAYERS, STACKS"):
        released.wavenet_config({"VOCODER": {"RNN_DIMS": 512}})


def test_weights_of_another_model_are_refused_by_key(tmp_path):
    weights = {**RELEASED.weights, "rnn1.weight_ih_l0": torch.zeros(3)}
    torch.save({"state_dict": weights}, tmp_path / "x.pt")
    with pytest.raises(ValueError, match="rnn1"):
        WaveNet.from_released(tmp_path / "x.pt", RELEASED.config)
