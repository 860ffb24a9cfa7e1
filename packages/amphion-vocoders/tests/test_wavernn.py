import json
from pathlib import Path

import pytest
import torch

from amphion_core.features import MelConfig
from amphion_core.testing.golden import Case
from amphion_vocoders import WaveRNN, WaveRNNConfig, released

MEL = MelConfig(n_fft=64, win_length=64, hop_length=16, n_mels=10, f_max=None)
TINY = WaveRNNConfig(
    mel=MEL, rates=(4, 4), channels=12, head_channels=10, frame_channels=8, frame_blocks=1, aux_channels=8
)
RELEASED = Case(Path(__file__).parent / "golden" / "wavernn")


@pytest.mark.parametrize("frames", [1, 7])
def test_a_distribution_for_each_sample(frames):
    logits = WaveRNN(TINY)(torch.zeros(2, frames * 16), torch.randn(2, 10, frames + 4))
    assert logits.shape == (2, 1024, frames * 16)


def test_defaults_have_the_size_of_the_toolkit():
    model = WaveRNN(WaveRNNConfig())
    assert sum(w.numel() for w in model.state_dict().values()) == RELEASED.full()["full"]["n_values"]


def test_saved_and_loaded_gives_the_same_samples(tmp_path):
    model, mel = WaveRNN(TINY.updated(batched={"target": 40, "overlap": 10})).eval(), torch.randn(1, 10, 5) - 4
    model.save_pretrained(tmp_path)
    loaded = WaveRNN.from_pretrained(tmp_path)
    assert loaded.config.batched.target == 40
    assert torch.equal(loaded.synthesize(mel), model.synthesize(mel))


def test_a_network_in_training_speaks_as_it_will_and_learns_nothing_from_it():
    model, mel = WaveRNN(TINY).eval(), torch.randn(1, 10, 5) - 4
    expected = model.synthesize(mel)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.train()
    assert torch.equal(model.synthesize(mel), expected)
    assert torch.equal(torch.cat(list(model.stream(mel[0].split(2, dim=1))))[None], expected)
    assert model.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("nest", ["state_dict", "model"])
def test_checkpoint_of_the_toolkit_is_read(tmp_path, nest):
    torch.save({nest: dict(RELEASED.weights)}, tmp_path / "100.pt")
    (tmp_path / "args.json").write_text(json.dumps(RELEASED.config))
    model = WaveRNN.from_released(tmp_path / "100.pt")
    with torch.no_grad():
        RELEASED.check("logits", model(RELEASED.inputs["audio"], RELEASED.inputs["mel"]).mT)


def test_modes_without_mu_law_have_ten_logistics():
    part = {**RELEASED.config["VOCODER"], "MODE": "raw"}
    config = released.wavernn_config({"VOCODER": part})
    assert (config.output.kind, config.output.channels) == ("mol", 30)


def test_a_hop_that_is_not_that_of_the_factors_is_refused():
    part = {**RELEASED.config["VOCODER"], "HOP_LENGTH": 256}
    with pytest.raises(ValueError, match="HOP_LENGTH is 256, the product of UPSAMPLE_FACTORS 16"):
        released.wavernn_config({"VOCODER": part})
