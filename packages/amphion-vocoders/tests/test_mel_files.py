import json
import logging
import warnings

import numpy as np
import pytest
import safetensors.torch
import torch

from amphion_core.data.record import Record
from amphion_core.data.shards import write_shards
from amphion_core.features import MelConfig
from amphion_core.features.mel import mel_spectrogram
from amphion_core.testing.sounds import glide
from amphion_vocoders import Vocos, VocosConfig, synthesize
from amphion_vocoders.mel_files import check_stated, settings_of

MEL = MelConfig(sample_rate=8000, n_fft=128, win_length=128, hop_length=32, n_mels=12, f_max=4000)
FOREIGN = {"sampling_rate": 8000, "n_fft": 128, "win_size": 128, "hop_size": 32, "num_mels": 12, "fmin": 0}


@pytest.fixture
def model(tmp_path):
    torch.manual_seed(0)
    Vocos(VocosConfig(mel=MEL, dim=8, intermediate_dim=16, num_layers=1)).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def mel_of(config=MEL, seconds=0.5):
    return mel_spectrogram(torch.from_numpy(glide(100, 200, 8000, seconds)).float(), config)


@pytest.mark.parametrize("name", ["x.json", "mel.json"])
def test_settings_beside_a_mel_are_compared(model, tmp_path, name):
    np.save(tmp_path / "x.npy", mel_of().numpy())
    (tmp_path / name).write_text(json.dumps(FOREIGN | {"hop_size": 64}))
    with pytest.raises(ValueError, match=r"hop_length: the mel has 64, the vocoder takes 32; compute it with"):
        synthesize([tmp_path / "x.npy"], model, tmp_path / "out")
    (tmp_path / name).write_text(json.dumps({"preprocess": FOREIGN}))
    assert synthesize([tmp_path / "x.npy"], model, tmp_path / "out")


def test_metadata_of_safetensors_are_compared(model, tmp_path):
    metadata = {"mel": json.dumps({**MEL.to_dict(), "f_max": 3000})}
    safetensors.torch.save_file({"a": mel_of()}, tmp_path / "x.safetensors", metadata=metadata)
    with pytest.raises(ValueError, match="f_max: the mel has 3000"):
        synthesize([tmp_path / "x.safetensors"], model, tmp_path / "out")


@pytest.mark.parametrize("hop", [32, 64])
def test_shards_without_recordings_give_their_mels(model, tmp_path, hop):
    import io

    def encode(row):
        file = io.BytesIO()
        np.save(file, mel_of().numpy())
        about = {"id": "a", "extra": {}, "mel": FOREIGN | {"hop_size": hop}}
        return Record("a", {"mel.npy": file.getvalue(), "json": json.dumps(about).encode()})

    write_shards([{"id": "a"}], encode, tmp_path / "shards", progress=False)
    if hop == 32:
        (path,) = synthesize([tmp_path / "shards"], model, tmp_path / "out")
        assert path.name == "a.wav"
        return
    with pytest.raises(ValueError, match="hop_length: the mel has 64"):
        synthesize([tmp_path / "shards"], model, tmp_path / "out")


def test_other_names_of_the_settings_are_known():
    assert settings_of(FOREIGN)["n_mels"] == 12
    check_stated(settings_of(FOREIGN), MEL)
    check_stated({"f_max": None}, MEL)


def test_what_a_row_says_of_its_audio_is_no_mel():
    assert settings_of({"text": "hello", "sample_rate": 44100}) is None


@pytest.mark.parametrize(
    ("name", "stated", "words"),
    [
        ("x.json", {"sampling_rate": 16000}, "sample_rate: the mel has 16000, the vocoder takes 8000"),
        ("x.json", {"mel": {"sample_rate": 16000}, "text": "hello"}, "sample_rate: the mel has 16000"),
        ("x.json", {"fmax": 3000, "text": "hello"}, "f_max: the mel has 3000"),
        ("mel.json", {"sr": 16000, "remark": "ours"}, "sample_rate: the mel has 16000"),
        ("mel.json", {"log": "log10"}, "log: the mel has 'log10'"),
        ("mel.json", {"log_base": 10.0}, "log: the mel has 'log10', the vocoder takes 'ln'"),
        ("mel.json", {"log_base": 2}, "log: the mel has 'log_base 2', the vocoder takes 'ln'"),
        ("mel.json", {"log": "ln", "log_base": 10}, "log: the mel has 'log ln, log_base 10'"),
        ("mel.json", {"sr": "8k", "fmax": None}, "sample_rate: the mel has '8k'"),
        ("mel.json", {"remark": "ours"}, r"mel\.json states no setting of a mel; it takes sample_rate, n_fft"),
        ("mel.json", [1], r"mel\.json states no setting"),
    ],
)
def test_a_single_setting_counts_where_it_is_of_a_mel(model, tmp_path, name, stated, words):
    np.save(tmp_path / "x.npy", mel_of().numpy())
    (tmp_path / name).write_text(json.dumps(stated))
    with pytest.raises(ValueError, match=words):
        synthesize([tmp_path / "x.npy"], model, tmp_path / "out")


def test_settings_without_a_value_are_not_stated():
    check_stated({"hop_length": None, "f_max": None, "n_mels": 12}, MEL)


@pytest.mark.parametrize(
    ("base", "log"), [(10, "log10"), (10.0, "log10"), ("10", "log10"), (None, "ln"), ("e", "ln"), (2.71828, "ln")]
)
def test_the_base_of_a_logarithm_is_its_name(base, log):
    assert settings_of({**FOREIGN, "log_base": base})["log"] == log
    check_stated(settings_of({**FOREIGN, "log_base": base}), MEL.updated(log=log))


@pytest.mark.parametrize("stated", [None, FOREIGN, {**FOREIGN, "log": None}, MEL.to_dict(), {"log_base": "e"}])
def test_likely_log10_is_warned_of_by_name_unless_the_logarithm_is_stated(model, tmp_path, caplog, stated):
    np.save(tmp_path / "x.npy", mel_of(MEL.updated(log="log10"), 1.0).clamp(min=-4).numpy())  # a quiet room
    if stated:
        (tmp_path / "mel.json").write_text(json.dumps(stated))
    with caplog.at_level(logging.WARNING), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert synthesize([tmp_path / "x.npy"], model, tmp_path / "out")
    named = stated in (MEL.to_dict(), {"log_base": "e"})
    assert ("x.npy: all mel values lie between -5 and 2" in caplog.text) != named
    assert ('"log": "ln" in mel.json' in caplog.text) != named


@pytest.mark.parametrize("frames", [12, 13])
def test_as_many_frames_as_bands_are_warned_of_by_name(model, tmp_path, caplog, frames):
    mel = mel_of()[:, :frames]
    np.save(tmp_path / "x.npy", mel.numpy())
    np.save(tmp_path / "turned.npy", mel.mT.contiguous().numpy())
    assert len(synthesize([tmp_path / "x.npy", tmp_path / "turned.npy"], model, tmp_path / "out")) == 2
    said = [record.getMessage() for record in caplog.records if "as many frames as bands" in record.getMessage()]
    assert [words.split(":")[0] for words in said] == (
        [str(tmp_path / "x.npy"), str(tmp_path / "turned.npy")] if frames == 12 else []
    )


def test_several_mels_in_one_array_are_told(model, tmp_path):
    np.save(tmp_path / "x.npy", np.stack([mel_of().numpy()] * 2))
    with pytest.raises(ValueError, match=r"shape \(2, 12, \d+\) holds several mels; store each in a file"):
        synthesize([tmp_path / "x.npy"], model, tmp_path / "out")


def test_linear_magnitudes_in_a_file_are_refused_by_name(model, tmp_path):
    np.save(tmp_path / "x.npy", mel_of(MEL.updated(log="none")).numpy() * 100)
    with pytest.raises(ValueError, match=r"x\.npy: .*a mel without its logarithm"):
        synthesize([tmp_path / "x.npy"], model, tmp_path / "out")


def test_json_that_is_cut_is_told(model, tmp_path):
    np.save(tmp_path / "x.npy", mel_of().numpy())
    (tmp_path / "mel.json").write_text('{"n_mels": 1')
    with pytest.raises(ValueError, match=r"mel\.json is no JSON"):
        synthesize([tmp_path / "x.npy"], model, tmp_path / "out")
