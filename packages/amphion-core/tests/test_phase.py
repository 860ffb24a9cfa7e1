import copy

import pytest
import torch
from torch import nn

from amphion_core.training.config import OptimizerConfig
from amphion_core.training.phase import Phase
from amphion_core.training.processes import Processes


class Product(nn.Module):
    """A matrix that lies in memory by columns, as factorisations give it, or by rows."""

    def __init__(self, by_columns):
        super().__init__()
        values = torch.arange(6.0).reshape(2, 3)
        self.weight = nn.Parameter(values.T.contiguous().T if by_columns else values)

    def loss(self, step):
        return (self.weight * torch.arange(6.0).reshape(2, 3).sin() * step - 1).square().mean()


def phase_of(network):
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    return Phase("main", [network], names, OptimizerConfig(lr=0.1), Processes(cpu=True))


def trained(phase, network, steps):
    for step in steps:
        phase.backward({"loss": network.loss(step)})
        phase.update(step, 0)


@pytest.mark.parametrize("by_columns", [False, True])
def test_a_restored_optimiser_goes_on_as_before_whatever_the_strides_of_a_parameter(by_columns):
    network = Product(by_columns)
    phase = phase_of(network)
    trained(phase, network, (1, 2))
    other = copy.deepcopy(network)
    restored = phase_of(other)
    restored.load_tensors(phase.tensors(), where="here")
    trained(phase, network, (3, 4))
    trained(restored, other, (3, 4))
    assert torch.equal(other.weight, network.weight)
