import json
import shutil
import socket
from pathlib import Path

import pytest
import torch

from amphion_core import registry
from amphion_core.interfaces import load_vocoder
from amphion_core.testing.golden import Case
from amphion_vocoders import HiFiGAN
from amphion_vocoders.checkpoints import (
    checkpoint_files,
    convert_checkpoint,
    family_of,
    find_checkpoint,
    known_checkpoints,
    load_checkpoint,
    load_vocoder_named,
)
from amphion_vocoders.listing import checkpoint_lines

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(autouse=True)
def offline(tmp_path, monkeypatch):
    """An empty cache, and no network: a connection is an error."""
    monkeypatch.setenv("AMPHION_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)

    def refuse(*address, **options):
        raise OSError("no network in tests")

    monkeypatch.setattr(socket, "create_connection", refuse)


@pytest.fixture
def released(tmp_path):
    """A file of the original code base beside its config.json."""
    case = Case(GOLDEN / "hifigan_original")
    folder = tmp_path / "released"
    folder.mkdir()
    torch.save({"generator": case.weights}, folder / "generator_v1")
    hop = 1
    for rate in case.config["upsample_rates"]:
        hop *= rate
    (folder / "config.json").write_text(json.dumps({**case.config, "hop_size": hop}))
    return folder


@pytest.mark.parametrize("name", known_checkpoints())
def test_every_configuration_builds_a_network_of_the_size_stated(name):
    entry = known_checkpoints()[name]
    config = entry.network_config()
    assert entry.hub or entry.source
    if config is None:
        assert entry.note
        return
    with torch.device("meta"):
        model = registry.find("vocoders", entry.family)(config)
    counted = sum(p.numel() for key, p in model.named_parameters() if not key.endswith("original0"))
    assert counted == entry.parameters


def test_all_nine_bigvgans_are_known_with_their_configurations():
    from amphion_vocoders.released import bigvgan_config

    released = json.loads((GOLDEN / "bigvgan_original" / "full.json").read_text())["configs_of_all_releases"]
    assert len(released) == 9
    for name, config in released.items():
        found = find_checkpoint(f"nvidia/{name}")
        assert found is not None
        assert found[1].network_config() == bigvgan_config(config)


def test_sizes_are_those_of_the_released_key_lists():
    keys = json.loads((GOLDEN / "bigvgan_original" / "full.json").read_text())["keys"]
    count = sum(torch.Size(shape).numel() for key, shape in keys.items() if not key.endswith(("weight_g", ".filter")))
    assert known_checkpoints()["bigvgan-v2-44khz-128band-512x"].parameters == count


def test_a_checkpoint_that_is_not_here_says_what_to_download_and_where_to_put_it(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        load_vocoder("bigvgan-v2-44khz-128band-512x")
    words = str(caught.value)
    assert "bigvgan_generator.pt and config.json of nvidia/bigvgan_v2_44khz_128band_512x" in words
    assert str(tmp_path / "cache" / "checkpoints" / "bigvgan-v2-44khz-128band-512x") in words


def test_a_checkpoint_outside_the_hub_says_whose_page_has_it():
    with pytest.raises(FileNotFoundError, match=r"not on the hub: download g_02500000 and config.json of https://"):
        load_checkpoint("hifigan-universal-v1")


def test_files_put_into_the_cache_are_found_by_name(released, tmp_path, monkeypatch):
    target = tmp_path / "cache" / "checkpoints" / "hifigan-lj-v1"
    target.parent.mkdir(parents=True)
    released.rename(target)
    assert isinstance(load_vocoder("hifigan-lj-v1"), HiFiGAN)


@pytest.mark.parametrize("name", [name for name, entry in known_checkpoints().items() if entry.hub])
def test_what_was_downloaded_from_the_hub_is_found_without_a_network(name, tmp_path):
    entry = known_checkpoints()[name]
    own = tmp_path / "hub" / f"models--{entry.hub.replace('/', '--')}"
    folder = own / "snapshots" / ("0" * 40)
    weights = folder / entry.weights
    if not weights.suffix:  # a folder of some file
        weights = weights / "model.safetensors"
    for place in (weights, *([folder / entry.settings] if entry.settings else [])):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    (own / "refs").mkdir()
    (own / "refs" / "main").write_text("0" * 40)
    found = checkpoint_files(name)
    assert found == (folder / entry.weights, folder / entry.settings if entry.settings else None)
    shutil.rmtree(folder)
    with pytest.raises(FileNotFoundError, match="By hand: download"):
        checkpoint_files(name)


def test_files_of_another_code_base_are_loaded_from_where_they_lie(released):
    assert isinstance(load_vocoder(released / "generator_v1"), HiFiGAN)


def test_a_folder_with_one_file_of_another_code_base_is_loaded_and_converted(released, tmp_path):
    (released / "do_02500000").write_bytes(b"discriminators")
    assert isinstance(load_vocoder(released), HiFiGAN)
    assert isinstance(load_vocoder(convert_checkpoint(released, tmp_path / "ours")), HiFiGAN)


def test_an_experiment_folder_of_the_toolkit_is_loaded_from_where_it_lies(tmp_path):
    import safetensors.torch

    case = Case(GOLDEN / "hifigan")
    folder = tmp_path / "exp" / "checkpoint" / "epoch-0001_step-0000010_loss-1.000000"
    folder.mkdir(parents=True)
    safetensors.torch.save_file(case.weights, folder / "model.safetensors")
    hop = torch.tensor(case.config["model"]["hifigan"]["upsample_rates"]).prod().item()
    args = {**case.config, "preprocess": {**case.config["preprocess"], "hop_size": hop}}
    (tmp_path / "exp" / "args.json").write_text(json.dumps(args))
    for place in (tmp_path / "exp", folder):
        assert isinstance(load_vocoder(place), HiFiGAN)


def test_a_misspelt_name_is_answered_with_the_nearest():
    with pytest.raises(
        LookupError, match=r"no vocoder at grifin-lim, and none of that name; did you mean griffin-lim\?"
    ):
        load_vocoder("grifin-lim")
    with pytest.raises(LookupError, match=r"did you mean .*hifigan-universal-v1"):
        load_vocoder("hifigan-universal-v9")


def test_a_misspelt_checkpoint_to_convert_is_answered_with_the_nearest(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"did you mean .*hifigan-universal-v1"):
        convert_checkpoint("hifigan-universal-v9", tmp_path / "out")


def test_a_path_that_is_not_there_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="no known checkpoint of that name"):
        convert_checkpoint(tmp_path / "gone", tmp_path / "out")


def test_converted_files_give_the_same_samples(released, tmp_path):
    folder = convert_checkpoint(released / "generator_v1", tmp_path / "out")
    own, foreign = load_vocoder(folder), load_vocoder(released / "generator_v1")
    mel = torch.randn(1, own.config.mel.n_mels, 6) - 4
    assert torch.equal(own.synthesize(mel), foreign.synthesize(mel))


def test_a_folder_of_ours_needs_no_conversion(released, tmp_path):
    ours = convert_checkpoint(released, tmp_path / "ours")
    with pytest.raises(ValueError, match=r"ours is a vocoders/hifigan in our own layout already"):
        convert_checkpoint(ours, tmp_path / "again")


def test_what_is_not_known_is_left_to_others(tmp_path):
    assert load_vocoder_named("someone/model") is None
    assert load_vocoder_named(tmp_path) is None
    with pytest.raises(FileNotFoundError, match="no folder"):
        load_vocoder("someone/model")


def test_a_file_without_a_configuration_says_how_to_give_one(released):
    (released / "config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"v1 has no args\.json or config\.json beside it.*--kind KIND --args"):
        load_vocoder(released / "generator_v1")


def test_a_file_whose_configuration_names_no_vocoder_says_how_to_name_one(released):
    (released / "config.json").write_text('{"text": 1}')
    with pytest.raises(ValueError, match=r"beside .*v1 does not say which vocoder it is; .* convert .* --kind KIND"):
        load_vocoder(released / "generator_v1")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_file_of_a_folder_of_ours_is_answered_with_the_folder(released, tmp_path, name):
    ours = convert_checkpoint(released, tmp_path / "ours")
    with pytest.raises(ValueError, match=r"one file of a vocoders/hifigan in our own layout; give its folder, .*ours$"):
        load_vocoder(ours / name)


def test_a_name_that_is_nearly_right_is_answered_by_the_right_one():
    with pytest.raises(LookupError, match="did you mean bigvgan-24khz-100band"):
        load_vocoder("bigvgan-24khz-10band")


def test_a_part_of_a_codec_is_no_vocoder(tmp_path):
    weights = tmp_path / "cache" / "checkpoints" / "maskgct-decoder" / "acoustic_codec" / "model_1.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"")
    with pytest.raises(ValueError, match="part of the codec"):
        load_checkpoint("maskgct-decoder")


def test_conversion_without_a_kind_asks_for_it(tmp_path):
    (tmp_path / "weights.pt").write_bytes(b"")
    with pytest.raises(ValueError, match="give its kind"):
        convert_checkpoint(tmp_path / "weights.pt", tmp_path / "out")


@pytest.mark.parametrize(
    ("args", "family"),
    [
        ({"model": {"generator": "nsfhifigan"}}, "nsf-hifigan"),
        ({"model": {"generator": "melgan"}}, "melgan"),
        ({"upsample_rates": [8], "activation": "snake"}, "bigvgan"),
        ({"upsample_rates": [8]}, "hifigan"),
        ({"text": 1}, None),
    ],
)
def test_a_configuration_tells_its_family(args, family):
    assert family_of(args) == family


def test_the_list_has_a_line_for_each_and_details_on_request():
    names = [line.split()[0] for line in checkpoint_lines()]
    assert names == list(known_checkpoints())
    details = "\n".join(checkpoint_lines(details=True))
    assert "trained against: period, constant_q" in details
    assert "licence: CC-BY-NC-ND-4.0" in details
    assert all(entry.licence for entry in known_checkpoints().values())
