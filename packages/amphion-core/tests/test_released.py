"""Checkpoints of other code bases are read whatever their nesting, and never run."""

import json
import os
import pickle

import pytest
import safetensors.torch
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from amphion_core.released import (
    fold_weight_norm,
    newest_checkpoint,
    read_args,
    read_checkpoint,
    read_content,
    rename_keys,
    split_weight_norm,
    strip_prefix,
)


@pytest.fixture
def weights():
    torch.manual_seed(0)
    return {"a.weight": torch.randn(3, 2), "a.bias": torch.randn(3)}


@pytest.mark.parametrize(
    "nest",
    [
        lambda w: w,
        lambda w: {"generator": w},
        lambda w: {"model": w, "epoch": 3},
        lambda w: {"state_dict": {f"module.{k}": v for k, v in w.items()}},
        lambda w: {"generator_state_dict": w, "discriminator_state_dict": {"d": torch.zeros(1)}},
        lambda w: {"net": {"model": w}},
    ],
)
def test_every_usual_nesting_gives_the_state_dict(tmp_path, weights, nest):
    torch.save(nest(weights), tmp_path / "model.pt")
    read = read_checkpoint(tmp_path / "model.pt")
    assert set(read) == set(weights)
    assert all(torch.equal(read[name], tensor) for name, tensor in weights.items())


def test_settings_beside_the_tensors_are_read_too(tmp_path, weights):
    torch.save({"args": {"bands": 48, "pool": (24, 7), "rate": None}, "model_state_dict": weights}, tmp_path / "a.tar")
    assert read_content(tmp_path / "a.tar")["args"] == {"bands": 48, "pool": (24, 7), "rate": None}
    assert set(read_checkpoint(tmp_path / "a.tar", "model_state_dict")) == set(weights)
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        read_content(tmp_path)


def test_the_newest_accelerate_folder_is_taken_in_both_formats(tmp_path, weights):
    for name in (
        "epoch-0002_step-0000900_loss-1.0",
        "epoch-0010_step-0000100_loss-2.0",
        "epoch-0002_step-0001000_loss-1",
    ):
        (tmp_path / "checkpoint" / name).mkdir(parents=True)
    newest = tmp_path / "checkpoint" / "epoch-0010_step-0000100_loss-2.0"
    torch.save(weights, newest / "pytorch_model.bin")
    safetensors.torch.save_file({"d": torch.ones(1)}, newest / "model_1.safetensors")
    assert newest_checkpoint(tmp_path) == newest
    assert set(read_checkpoint(tmp_path)) == set(weights)
    assert set(read_checkpoint(tmp_path, index=1)) == {"d"}


@pytest.mark.parametrize("name", ["g_02500000", "generator_v1", "400000.pt", "bigvgan_generator.pt"])
def test_the_one_generator_of_a_folder_is_taken(tmp_path, weights, name):
    torch.save({"generator": weights}, tmp_path / name)
    for other in (
        "do_02500000",
        "bigvgan_discriminator_optimizer.pt",
        "config.json",
        "README.md",
        "pytorch_model_1.bin",
    ):
        (tmp_path / other).write_bytes(b"something else")
    assert set(read_checkpoint(tmp_path)) == set(weights)
    with pytest.raises(FileNotFoundError, match="no checkpoint below"):
        read_checkpoint(tmp_path, index=1)
    torch.save({"generator": weights}, tmp_path / "g_02600000")
    with pytest.raises(FileNotFoundError, match=r"holds several checkpoints: .*g_02600000.*; give the path of one"):
        read_checkpoint(tmp_path)


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    (tmp_path / "old.pth").write_bytes(pickle.dumps({"a": Bomb()}))
    torch.save({"a": Bomb()}, tmp_path / "new.pt")
    for name in ("old.pth", "new.pt"):
        with pytest.raises(ValueError, match=r"was refused: it .*holds more than tensors") as refused:
            read_checkpoint(tmp_path / name)
        assert ("mkdir" in str(refused.value)) == (name == "new.pt") and "weights_only" not in str(refused.value)
    assert not (tmp_path / "ran").exists()


def test_what_holds_no_tensors_says_what_it_holds(tmp_path):
    torch.save({"epoch": 3, "lr": 0.1}, tmp_path / "a.pt")
    with pytest.raises(ValueError, match="holds no state dict; it holds epoch, lr"):
        read_checkpoint(tmp_path / "a.pt")
    torch.save({"gen": {"w": torch.zeros(1)}}, tmp_path / "b.pt")
    assert set(read_checkpoint(tmp_path / "b.pt", nest="gen")) == {"w"}
    with pytest.raises(ValueError, match="has no 'generator'; it holds gen"):
        read_checkpoint(tmp_path / "b.pt", nest="generator")


def test_a_cut_file_and_an_empty_folder_are_named(tmp_path, weights):
    torch.save(weights, tmp_path / "cut.pt")
    (tmp_path / "cut.pt").write_bytes((tmp_path / "cut.pt").read_bytes()[:200])
    with pytest.raises(ValueError, match="cut, or no torch file; fetch it again"):
        read_checkpoint(tmp_path / "cut.pt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no checkpoint below"):
        read_checkpoint(tmp_path / "empty")


def test_args_with_comments_and_trailing_commas_are_read_from_the_folder_above(tmp_path):
    inner = tmp_path / "checkpoint" / "epoch-1_step-1"
    inner.mkdir(parents=True)
    (tmp_path / "args.json").write_text('{\n  // a comment\n  "model": {"dim": 3,},\n}')
    assert read_args(inner) == {"model": {"dim": 3}}
    assert json.dumps(read_args(tmp_path)) == '{"model": {"dim": 3}}'


def test_folded_weight_norm_is_the_weight_of_the_layer_in_all_styles():
    torch.manual_seed(0)
    for layer in (nn.Conv1d(3, 4, 5), nn.ConvTranspose1d(3, 4, 5), nn.Conv2d(2, 3, (3, 1))):
        normed = weight_norm(layer)
        with torch.no_grad():
            normed.parametrizations.weight.original0 *= 1.7
        new = {f"a.{name}": tensor for name, tensor in normed.state_dict().items()}
        old = {
            "a.weight_g": new["a.parametrizations.weight.original0"],
            "a.weight_v": new["a.parametrizations.weight.original1"],
            "a.bias": new["a.bias"],
        }
        for style in (new, old):
            torch.testing.assert_close(fold_weight_norm(style)["a.weight"], normed.weight, atol=1e-6, rtol=1e-6)
        folded = fold_weight_norm(old)
        for style in (new, old, folded):
            split = split_weight_norm(style, ["a"])
            assert set(split) == set(new)
            torch.testing.assert_close(fold_weight_norm(split)["a.weight"], normed.weight, atol=1e-6, rtol=1e-6)


def test_renaming_uses_every_key_once_or_says_which_is_left(weights):
    assert set(rename_keys(weights, [(r"a\.(.*)", r"layer.\1")])) == {"layer.weight", "layer.bias"}
    with pytest.raises(ValueError, match=r"1 key of another model, such as a\.bias"):
        rename_keys(weights, [(r"a\.weight", "w")])
    with pytest.raises(ValueError, match="two foreign keys become 'x'"):
        rename_keys(weights, [(r"a\..*", "x")])


def test_a_prefix_that_hides_two_keys_is_an_error():
    with pytest.raises(ValueError, match="two keys become 'a'"):
        strip_prefix({"a": torch.zeros(1), "module.a": torch.zeros(1)})
