import math

import pytest
import torch

from amphion_core.config import ConfigError
from amphion_vocoders.outputs import Output, OutputConfig

MULAW = OutputConfig(kind="mulaw", classes=64)
RAW = OutputConfig(kind="raw", classes=64)
MIXTURE = OutputConfig(kind="mol", mixtures=4)
ALL = (MULAW, RAW, MIXTURE)


@pytest.mark.parametrize("config", ALL)
def test_signal_of_its_own_waveform_is_itself(config):
    output = Output(config)
    signal = output.signal(torch.linspace(-1, 1, 501))
    torch.testing.assert_close(output.signal(output.wav(signal)), signal, atol=1e-6, rtol=0)


@pytest.mark.parametrize("config", [MULAW, RAW])
def test_even_logits_cost_the_logarithm_of_the_classes(config):
    loss = Output(config).loss(torch.zeros(1, 64, 7), torch.rand(1, 7) * 2 - 1)
    assert loss == pytest.approx(math.log(64), rel=1e-6)


@pytest.mark.parametrize("config", ALL)
def test_mean_loss_is_that_of_its_samples(config):
    output, logits = Output(config), torch.randn(2, config.channels, 5)
    signal = output.signal(torch.rand(2, 5) * 2 - 1)
    assert output.loss(logits, signal) == pytest.approx(output.loss(logits, signal, "none").mean().item(), rel=1e-6)


def test_classes_are_drawn_as_often_as_they_are_likely():
    logits = torch.randn(1, 64)
    even = (torch.arange(100_000)[:, None] + 0.5) / 100_000
    output = Output(RAW)
    drawn = output.draw(logits.expand(100_000, -1), output.noise(even))
    counts = torch.bincount(torch.round((drawn[:, 0] + 1) * 31.5).long(), minlength=64)
    # Even numbers hit each share but for one at its ends, and float32 rounds the sums.
    torch.testing.assert_close(counts / 100_000, logits.softmax(1)[0], atol=3e-5, rtol=0)


@pytest.mark.parametrize("config", [MULAW, RAW])
def test_largest_number_draws_the_last_class(config):
    assert Output(config).draw(torch.zeros(1, 64), torch.tensor([[1 - 1e-8]])) == 1.0


@pytest.mark.parametrize("config", ALL)
def test_low_temperature_draws_closer_to_the_likeliest(config):
    if config.kind == "mol":  # one of four components for all
        logits = torch.tensor([2.0, 0, 0, 0, 0.1, 0, 0, 0, -4, 0, 0, 0])
    else:  # a bell, whose width goes with the root of the temperature
        logits = -(torch.arange(64) - 30.0).square() / 200
    logits = logits.expand(4000, -1)
    numbers = Output(config).uniform(4000, torch.Generator().manual_seed(0))
    numbers[:, :-1] = 0.5
    spread = []
    for temperature in (1.0, 0.3):
        output = Output(config, temperature)
        spread.append(output.draw(logits, output.noise(numbers)).std())
    assert spread[1] < 0.7 * spread[0]


def test_means_around_the_last_sample_move_with_it():
    output = Output(OutputConfig(kind="mol", mixtures=2, around="last"))
    logits, signal = torch.zeros(1, 6, 3), torch.tensor([[[0.1, 0.2, 0.3]]])
    located = output.locate(logits.clone(), signal)
    assert torch.equal(located[:, 2:4], signal.expand(1, 2, 3))
    assert torch.equal(located[:, [0, 1, 4, 5]], logits[:, :4])


def test_classes_have_no_means_to_move():
    with pytest.raises(ConfigError, match="'mulaw' has none"):
        OutputConfig.parse({"kind": "mulaw", "around": "last"})
