import math

import pytest
import torch

from amphion_core.features import MelConfig
from amphion_vocoders import DiffWave, DiffWaveConfig, Vocos, VocosConfig, WaveRNN, WaveRNNConfig
from amphion_vocoders.timing import time_vocoder

MEL = MelConfig(sample_rate=8000, n_fft=128, win_length=128, hop_length=32, n_mels=12, f_max=4000)


def test_figures_of_a_network_are_positive_and_name_its_look_ahead(tmp_path):
    torch.manual_seed(0)
    model = Vocos(VocosConfig(mel=MEL, dim=8, intermediate_dim=16, num_layers=1))
    model.save_pretrained(tmp_path)
    speed = time_vocoder(tmp_path, seconds=0.5, runs=1)
    assert speed.parameters == sum(p.numel() for p in model.parameters())
    assert min(speed.wall, speed.cpu, speed.first) > 0
    assert speed.look_ahead == pytest.approx(model.context / MEL.frame_rate)
    assert len(speed.lines()) == 5


def test_vocoders_without_weights_are_timed_too():
    speed = time_vocoder("world", seconds=0.2, runs=1, mel=MEL)
    assert speed.parameters == 0
    assert speed.wall > 0
    assert math.isinf(speed.look_ahead)
    assert speed.lines()[3].endswith(" ms, and the whole input before them")


def test_numbers_below_one_are_refused():
    with pytest.raises(ValueError, match="give numbers above 0"):
        time_vocoder("world", runs=0)


@pytest.fixture
def folded(tmp_path):
    widths = dict(channels=8, head_channels=8, frame_channels=4, frame_blocks=1, aux_channels=8)
    config = WaveRNNConfig(mel=MEL, rates=(4, 8), batched={"target": 100, "overlap": 20}, **widths)
    WaveRNN(config).save_pretrained(tmp_path)
    return tmp_path


def test_a_vocoder_that_does_not_stream_as_it_is_set_is_timed_without(folded):
    speed = time_vocoder(folded, seconds=0.1, runs=1)
    assert speed.wall > 0
    assert math.isnan(speed.first)
    (words,) = [line for line in speed.lines() if "stream" in line]
    assert words.startswith("no stream: pieces drawn side by side need the whole clip")


def test_what_a_vocoder_says_of_its_stream_can_be_followed(folded):
    assert "--set batched=null" in time_vocoder(folded, seconds=0.1, runs=1).no_stream
    assert time_vocoder(folded, seconds=0.1, runs=1, settings=["batched=null"]).first > 0


def test_settings_are_those_that_are_timed(tmp_path):
    config = DiffWaveConfig(mel=MEL, channels=2, layers=1, cycle=1, rates=(4, 8))
    DiffWave(config).save_pretrained(tmp_path)
    one, two = (time_vocoder(tmp_path, seconds=0.1, runs=1, settings=[f"steps={kind}"]) for kind in ("[0.1]", "fast"))
    assert one.look_ahead < two.look_ahead
    with pytest.raises(ValueError, match="'layers' is no setting of the vocoder 'diffwave'"):
        time_vocoder(tmp_path, settings=["layers=2"])
