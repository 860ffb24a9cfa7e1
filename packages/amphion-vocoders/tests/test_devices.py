import pytest
import torch

from amphion_vocoders import synthesize
from amphion_vocoders.devices import chosen_device
from amphion_vocoders.timing import time_vocoder


def test_auto_and_the_cpu_are_always_there():
    assert chosen_device("cpu") == torch.device("cpu")
    assert chosen_device("auto").type in ("cpu", "cuda")


@pytest.mark.parametrize(
    ("name", "words"), [("tpu", "give auto, cpu, cuda"), ("cuda:77", "torch .* sees"), ("meta", "take auto or cpu")]
)
def test_a_device_that_is_not_here_is_told_before_anything_is_loaded(tmp_path, name, words):
    for action in (
        lambda: chosen_device(name),
        lambda: synthesize([tmp_path], tmp_path / "no model", tmp_path / "out", device=name),
        lambda: time_vocoder(tmp_path / "no model", device=name),
    ):
        with pytest.raises(ValueError, match=f"no device '{name}'.*{words}"):
            action()
