"""Demucs by its own library, with tiny random networks: the pieces of its own tool, nothing drawn, no pickles."""

import json
import shutil

import numpy as np
import pytest
from tiny_demucs import RATE, write_network, write_release

from amphion_data.pipe.stages import find_stage

pytestmark = [pytest.mark.extra("demucs"), pytest.mark.filterwarnings("ignore::UserWarning")]

SIZE = RATE // 2  # samples of a piece


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    pytest.importorskip("demucs")
    return write_release(tmp_path_factory.mktemp("release"))


def make(folder, **options):
    return find_stage("separate", "demucs", {"model": str(folder), **options})


def sound(seconds, channels=2):
    count = round(seconds * RATE)
    hum = np.sin(np.arange(count) * 0.2) * np.sin(np.arange(count) * 0.001)
    noise = np.random.default_rng(0).normal(size=(channels, count))
    return (0.3 * hum + 0.05 * noise).astype(np.float32)


def whole(stage, wav, block):
    return np.concatenate(list(stage.stream(wav[:, k : k + block] for k in range(0, wav.shape[1], block))), axis=1)


@pytest.mark.slow
@pytest.mark.parametrize(("networks", "weights"), [(1, None), (2, [[1.0, 0.25], [0.0, 0.75]])])
def test_the_voice_is_that_of_the_library_without_its_shifts(tmp_path, networks, weights):
    import torch
    from demucs.apply import BagOfModels, apply_model
    from demucs.hf import load_safetensors_model

    folder = write_release(tmp_path / "release", networks=networks, weights=weights)
    wav = sound(3.3)
    bag = BagOfModels([load_safetensors_model(folder / f"network{k}.safetensors") for k in range(networks)], weights)
    with torch.inference_mode():
        expected = apply_model(bag.eval(), torch.from_numpy(wav)[None], shifts=0, split=True, overlap=0.25)[0, 1]
    found = whole(make(folder), wav, 1000)
    assert found.shape == wav.shape and np.abs(found).max() > 1e-3
    inner = slice(0, wav.shape[1] - SIZE)  # the library gives the last piece more of what came before
    assert np.abs(found - expected.numpy())[:, inner].max() < 1e-6 * np.abs(found).max()


@pytest.mark.slow
def test_the_same_recording_gives_the_same_voice(release):
    import torch

    wav, stage = sound(2.2), make(release)
    first = whole(stage, wav, 1000)
    assert np.array_equal(whole(stage, wav, 3333), first)
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        assert np.array_equal(whole(make(release), wav, wav.shape[1]), first)
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)
    batched = whole(make(release, batch=3), wav, 1000)
    assert np.abs(batched - first).max() < 1e-5 * np.abs(first).max()


@pytest.mark.parametrize("seconds", [0.01, 0.5, 0.6])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_recordings_of_all_lengths_and_channels_keep_their_length(release, seconds, channels):
    wav = sound(seconds, channels)
    found = whole(make(release), wav, 1000)
    assert found.shape == (2, wav.shape[1]) and np.isfinite(found).all()


def test_an_empty_recording_gives_nothing(release):
    assert list(make(release).stream([])) == []


def test_a_clean_background_is_left_as_it_is(release):
    stage, wav = make(release, batch=2), sound(1.4)
    stage.gate = lambda wav, rate: rate == RATE and np.abs(wav).max() < 0.2
    wav[:, :SIZE] *= 0.1
    found = whole(stage, wav, 1000)
    assert np.array_equal(found[:, : SIZE * 3 // 4], wav[:, : SIZE * 3 // 4])
    assert not np.allclose(found[:, SIZE:], wav[:, SIZE:], atol=0.01)
    assert stage.clean_seconds == 0.375  # of half a second an eighth is shared


@pytest.mark.slow
def test_weights_in_the_cache_of_the_hub_need_no_network(release, tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for model, place in (("tiny", "adefossez--Demucs-tiny"), ("somebody/htdemucs_x", "somebody--HTDemucs-x")):
        with pytest.raises(FileNotFoundError, match="HF_HUB_OFFLINE"):
            make(model)
        own = tmp_path / f"models--{place}"
        write_release(own / "snapshots" / "0123", name=model.rpartition("/")[2])
        (own / "refs").mkdir()
        (own / "refs" / "main").write_text("0123")
        stage = make(model)
        assert stage.identity.startswith("demucs ") and f" {model} " in stage.identity
    wav = sound(0.7)
    assert np.array_equal(whole(stage, wav, 1000), whole(make(release), wav, 1000))
    (own / "snapshots" / "0123" / "network0.safetensors").unlink()  # a download that was cut off
    with pytest.raises(FileNotFoundError, match="not in the hub's cache"):
        make(model)


@pytest.mark.slow
def test_the_identity_is_that_of_the_weights_wherever_they_lie(release, tmp_path):
    shutil.copytree(release, tmp_path / "a" / "tiny")
    shutil.copytree(release, tmp_path / "b" / "tiny")
    first, second = (make(tmp_path / place / "tiny").identity for place in "ab")
    assert first == second and str(tmp_path) not in first
    write_network(tmp_path / "b" / "tiny" / "network0.safetensors", seed=1)
    assert make(tmp_path / "b" / "tiny").identity != first


def test_a_folder_without_its_networks_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FileNotFoundError, match="file is a file; a release is a folder"):
        make(tmp_path / "file")
    (tmp_path / "bag.yaml").write_text("models: [abc, ../../def]")
    with pytest.raises(FileNotFoundError, match=r"bag\.yaml names abc\.safetensors, def\.safetensors, which"):
        make(tmp_path)
    (tmp_path / "bag.yaml").write_text("weights: [[1]]")
    with pytest.raises(ValueError, match=r"bag\.yaml: 1 fault\n  models: missing"):
        make(tmp_path)
    (tmp_path / "other.yaml").write_text("models: [abc]")
    with pytest.raises(FileNotFoundError, match="has 2 yaml files, a release of demucs has one"):
        make(tmp_path)


@pytest.mark.parametrize("klass", ["os.system", "demucs.separate.main", "demucs.htdemucs"])
def test_a_file_may_name_no_other_code_than_the_networks(tmp_path, klass):
    write_network(tmp_path / "a.safetensors", klass=klass)
    (tmp_path / "bag.yaml").write_text("models: [a]")
    with pytest.raises(ValueError, match=rf"a\.safetensors is no network of demucs: it names '{klass}'"):
        make(tmp_path)


def test_packed_weights_may_name_no_other_code_either(tmp_path):
    from safetensors.torch import load_file, save_file

    write_network(tmp_path / "a.safetensors")
    hidden = json.dumps({"_list": [{"_class": "os.system"}]}).replace("_class", "_cl\\u0061ss")
    said = {"klass": "demucs.htdemucs.HTDemucs", "args": "[]", "kwargs": "{}", "structure": hidden}
    save_file(load_file(tmp_path / "a.safetensors"), tmp_path / "a.safetensors", said)
    (tmp_path / "bag.yaml").write_text("models: [a]")
    with pytest.raises(ValueError, match=r"no network of demucs: it names .*'os\.system'"):
        make(tmp_path)


def test_files_of_something_else_are_named(tmp_path):
    (tmp_path / "bag.yaml").write_text("models: [a]")
    (tmp_path / "a.safetensors").write_bytes(b"no network")
    with pytest.raises(ValueError, match=r"a\.safetensors is no network of demucs"):
        make(tmp_path)
    write_network(tmp_path / "a.safetensors", channels=16)
    with pytest.raises(ValueError, match=r"a\.safetensors is no network of demucs: Error.* size mismatch for [^\n]*$"):
        make(tmp_path)
    write_network(tmp_path / "a.safetensors", sources=["drums", "bass"])
    with pytest.raises(ValueError, match="has the sources drums, bass; one must be vocals"):
        make(tmp_path)
