"""Checkpoints of the original toolkit: found, read, refused."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from amphion_core.hub import load_pretrained
from amphion_core.testing.golden import Case
from amphion_tts.fastspeech2.model import FastSpeech2
from amphion_tts.fastspeech2.released import convert_config, convert_weights

CASE = Case(Path(__file__).with_name("golden") / "fastspeech2")


@pytest.fixture
def experiment(tmp_path):
    """An experiment folder as the toolkit leaves it."""
    folder = tmp_path / "experiment"
    checkpoint = folder / "checkpoint" / "epoch-0010_step-0001000_loss-0.100000"
    checkpoint.mkdir(parents=True)
    shutil.copy(CASE.folder / "weights.safetensors", checkpoint / "model.safetensors")
    (folder / "args.json").write_text("// JSON5\n" + json.dumps({"model": CASE.config}))
    for name in ("pitch", "energy"):
        statistics = CASE.config[f"{name}_stats"]
        table = {"LJSpeech_LJSpeech": {"voiced_positions": statistics, "total_positions": statistics}}
        (folder / name).mkdir()
        (folder / name / "statistics.json").write_text(json.dumps(table))
    return folder


def test_an_experiment_folder_is_read_with_its_config_and_statistics(experiment, tmp_path):
    model = FastSpeech2.from_released(experiment)
    assert model.config.dim == CASE.config["transformer"]["encoder_hidden"]
    assert model.config.pitch.mean == CASE.config["pitch_stats"]["mean"]
    assert model.config.symbols[91] == "@DH"
    model.save_pretrained(tmp_path / "ours")
    again = load_pretrained(tmp_path / "ours", group="models")
    phones, lengths = torch.tensor([[91, 109, 131]]), torch.tensor([3])
    assert torch.equal(again(phones, lengths).mel, model(phones, lengths).mel)


@pytest.mark.parametrize("nested", [{"model": None}, {"state_dict": None}, None])
def test_torch_files_with_prefixes_and_nests_are_read(experiment, nested):
    weights = {f"module.{name}": tensor for name, tensor in CASE.weights.items()}
    file = experiment / "generator.bin"
    torch.save(weights if nested is None else {next(iter(nested)): weights, "epoch": 3}, file)
    expected = convert_weights(CASE.weights)
    found = FastSpeech2.from_released(file).state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_weights_of_another_model_are_refused(experiment):
    file = experiment / "other.safetensors"
    from safetensors.torch import save_file

    save_file({**CASE.weights, "generator.conv_pre.weight": torch.zeros(1)}, file)
    with pytest.raises(ValueError, match=r"generator\.conv_pre\.weight"):
        FastSpeech2.from_released(file)


def test_a_checkpoint_without_config_says_what_is_missing(tmp_path):
    shutil.copy(CASE.folder / "weights.safetensors", tmp_path / "model.safetensors")
    with pytest.raises(FileNotFoundError, match=r"args\.json"):
        FastSpeech2.from_released(tmp_path / "model.safetensors")


def test_encoder_and_decoder_of_other_widths_are_refused():
    config = json.loads(json.dumps(CASE.config))
    config["transformer"]["decoder_hidden"] = 32
    shapes = {name: tuple(tensor.shape) for name, tensor in CASE.weights.items()}
    with pytest.raises(ValueError, match="encoder_hidden 24 is not decoder_hidden 32"):
        convert_config(config, shapes)
