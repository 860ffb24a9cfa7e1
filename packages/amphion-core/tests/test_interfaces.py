"""Joining an acoustic model to a vocoder, and finding vocoders and codecs by what the user gives."""

import pytest

from amphion_core import registry
from amphion_core.features import MEL_PRESETS, MelConfig
from amphion_core.interfaces import check_mel_match, load_codec, load_vocoder


class Config:
    def __init__(self, mel=None):
        self.mel = mel or MelConfig()


class Weightless:
    config_class = Config
    needs_weights = False

    def __init__(self, config):
        self.config = config


class Trained(Weightless):
    needs_weights = True


@pytest.fixture(autouse=True)
def installed(monkeypatch):
    known = {"simple": Weightless, "trained": Trained}
    monkeypatch.setattr(registry, "names", lambda group: list(known))
    monkeypatch.setattr(registry, "find", lambda group, name: known[name])


def test_equal_mels_join_however_the_upper_edge_is_written():
    check_mel_match(MelConfig(f_max=None), MelConfig(f_max=11025.0))


def test_other_mels_are_refused_with_each_field_and_both_values():
    with pytest.raises(ValueError) as error:
        check_mel_match(MelConfig(), MelConfig(hop_length=300, log="log10"))
    text = str(error.value)
    assert "hop_length: the model makes 256, the vocoder takes 300" in text
    assert "log: the model makes 'ln', the vocoder takes 'log10'" in text
    assert "n_fft" not in text


def test_a_vocoder_without_weights_takes_the_mel_of_the_model():
    mel = MEL_PRESETS["mel_24k"]
    assert load_vocoder("simple", mel).config.mel == mel
    assert load_vocoder("simple").config.mel == MelConfig()


def test_the_bare_name_of_a_trained_vocoder_asks_for_its_weights():
    with pytest.raises(LookupError, match="'trained' needs weights; give its folder or hub id"):
        load_vocoder("trained")


@pytest.mark.parametrize("load", [load_vocoder, load_codec])
def test_what_is_neither_name_nor_folder_is_said(load):
    with pytest.raises(FileNotFoundError, match="no folder nowhere"):
        load("nowhere")
