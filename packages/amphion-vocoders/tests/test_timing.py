import math

import pytest
import torch

from amphion_core.features import MelConfig
from amphion_vocoders import Vocos, VocosConfig
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
