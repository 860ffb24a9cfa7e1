import pytest
import torch
from torch import nn

from amphion_core.hub import state_tensors
from amphion_core.training.ema import Average


def constant(value):
    model = nn.Linear(2, 2)
    set_to(model, value)
    return model


def set_to(model, value):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(value)


def test_the_average_follows_its_closed_form():
    model = constant(0.0)
    average = Average(model, decay=0.9)
    set_to(model, 1.0)
    for step in range(1, 8):
        average.update(step)
    with average.applied():
        assert model.weight[0, 0].item() == pytest.approx(1 - 0.9**7, abs=1e-6)


def test_before_its_start_the_average_is_the_weights():
    model = constant(0.0)
    average = Average(model, decay=0.9, start=3)
    for step, value in ((1, 5.0), (2, 6.0), (3, 7.0), (4, 8.0)):
        set_to(model, value)
        average.update(step)
    with average.applied():
        assert model.bias[1].item() == pytest.approx(0.9 * 7 + 0.1 * 8)


def test_the_weights_come_back_bit_for_bit():
    model = nn.Linear(3, 3)
    average = Average(model, decay=0.5)
    before = state_tensors(model)
    set_to(model, 2.0)
    average.update(1)
    model.load_state_dict(before)
    with average.applied():
        assert not torch.equal(model.weight, before["weight"])
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_the_weights_come_back_after_an_error():
    model = constant(3.0)
    average = Average(model, decay=0.5)
    set_to(model, 4.0)
    with pytest.raises(KeyError), average.applied():
        raise KeyError
    assert model.weight[0, 0].item() == 4.0


def test_running_statistics_are_those_of_the_model():
    model = nn.BatchNorm1d(2)
    average = Average(model, decay=0.5)
    model.running_mean.fill_(7.0)
    average.update(1)
    with average.applied():
        assert model.running_mean.tolist() == [7.0, 7.0]


def test_the_average_continues_from_exported_weights():
    model = constant(0.0)
    average = Average(model, decay=0.9)
    average.load({"weight": torch.full((2, 2), 0.25), "bias": torch.full((2,), 0.5)})
    with average.applied():
        assert (model.weight[0, 0].item(), model.bias[0].item()) == (0.25, 0.5)
