"""Models in folders: strict to load, offline, free of pickle."""

import json
import os
import subprocess
import sys
import textwrap

import pytest
import torch
from torch import nn

from amphion_core import registry
from amphion_core.config import Config
from amphion_core.hub import PretrainedModule, load_pretrained, read_weights, resolve


class TinyConfig(Config):
    dim: int = 4
    sizes: tuple[int, ...] = (2, 3)


class Tiny(PretrainedModule[TinyConfig]):
    config_class = TinyConfig
    group = "models"
    name = "tiny"

    def __init__(self, config):
        super().__init__(config)
        self.layer = nn.Linear(config.dim, config.dim)
        self.norm = nn.BatchNorm1d(config.dim)


class Other(Tiny):
    name = "other"


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    Tiny(TinyConfig(dim=5)).save_pretrained(tmp_path / "tiny", card="# card\n")
    return tmp_path / "tiny"


def test_a_saved_model_comes_back_with_config_weights_and_buffers(folder):
    torch.manual_seed(0)
    original = Tiny(TinyConfig(dim=5))
    model = Tiny.from_pretrained(folder)
    assert not model.training and model.config == original.config and isinstance(model.config.sizes, tuple)
    for name, tensor in original.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], tensor, atol=0, rtol=0)
    assert sorted(p.name for p in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]


def test_saving_twice_gives_the_same_bytes(folder, tmp_path):
    Tiny.from_pretrained(folder).save_pretrained(tmp_path / "again")
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()
    assert (tmp_path / "again" / "config.json").read_bytes() == (folder / "config.json").read_bytes()


def test_another_architecture_is_refused_by_name(folder):
    with pytest.raises(ValueError, match=r"holds the model 'models/tiny', not 'models/other'"):
        Other.from_pretrained(folder)


def test_weights_of_other_names_and_shapes_are_refused_with_the_first_of_them(folder):
    model = Tiny(TinyConfig(dim=5))
    model.extra = nn.Linear(2, 2)
    del model.norm
    model.layer = nn.Linear(5, 6)
    model.save_pretrained(folder)
    with pytest.raises(ValueError) as error:
        Tiny.from_pretrained(folder)
    text = str(error.value)
    assert "missing keys (5): norm.weight" in text and "unknown keys (2): extra.bias, extra.weight" in text
    assert "layer.weight: file (6, 5), model (5, 5)" in text


def test_a_cut_weight_file_is_refused(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ValueError, match="no whole safetensors file"):
        Tiny.from_pretrained(folder)


def test_a_config_with_faults_names_them_and_the_file(folder):
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**values, "dmi": 3}))
    with pytest.raises(ValueError, match=r"config\.json: 1 fault(.|\n)*did you mean 'dim'"):
        Tiny.from_pretrained(folder)


def test_the_newest_checkpoint_of_a_run_is_taken_and_unfinished_ones_are_not(tmp_path):
    for step in (900, 10000, 2000):
        Tiny(TinyConfig(dim=step // 100)).save_pretrained(tmp_path / f"step-{step:08d}")
    (tmp_path / "step-99999999").mkdir()
    (tmp_path / ".tmp-step-00020000-1").mkdir()
    assert Tiny.from_pretrained(tmp_path).config.dim == 100


def test_a_folder_without_a_model_says_what_it_holds(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(FileNotFoundError, match=r"neither config\.json nor checkpoints step-\*; it holds notes\.txt"):
        resolve(tmp_path)


@pytest.mark.parametrize("source", ["no/such/folder", "./missing", "missing"])
def test_what_is_no_folder_and_no_hub_id_is_said_at_once(source):
    with pytest.raises(FileNotFoundError, match="no folder"):
        resolve(source)


@pytest.mark.parametrize("offline", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}])
def test_without_a_network_a_hub_id_fails_at_the_first_try_and_says_what_to_do(offline, tmp_path):
    code = """
    import socket
    from amphion_core.hub import resolve
    tries = []
    connect = socket.socket.connect
    def counted(self, address):
        tries.append(address)
        return connect(self, address)
    socket.socket.connect = counted
    try:
        resolve("amphion/nothing-here")
    except FileNotFoundError as error:
        assert "give the folder" in str(error), error
        assert len(tries) <= 1, tries
    else:
        raise SystemExit("no error")
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith("HF_") and not k.lower().endswith("_proxy")}
    environment = {**kept, "HF_HOME": str(tmp_path), **offline}
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, env=environment, timeout=60)


def test_a_pickle_planted_as_weights_is_not_run(folder, tmp_path):
    planted = b"cos\nsystem\n(S'touch " + str(tmp_path / "ran").encode() + b"'\ntR."
    (folder / "model.safetensors").write_bytes(planted)
    with pytest.raises(ValueError, match="no whole safetensors file"):
        read_weights(folder / "model.safetensors")
    assert not (tmp_path / "ran").exists()


def test_a_model_is_found_from_its_folder_alone(folder, monkeypatch):
    monkeypatch.setattr(registry, "find", lambda group, name: {("models", "tiny"): Tiny}[group, name])
    assert isinstance(load_pretrained(folder, group="models"), Tiny)
    with pytest.raises(ValueError, match=r"holds 'models/tiny', expected one of the vocoders"):
        load_pretrained(folder, group="vocoders")


def test_loading_a_local_folder_opens_no_connection(folder):
    code = f"""
    import socket, sys
    def refuse(*arguments, **named):
        raise AssertionError("network used")
    socket.socket.connect = refuse
    socket.create_connection = refuse
    sys.path.insert(0, {str(__file__.rpartition("/")[0])!r})
    from test_hub import Tiny
    Tiny.from_pretrained({str(folder)!r})
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=60)
