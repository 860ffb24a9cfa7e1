import math

import pytest
import torch

from amphion_core.losses.logistics import mixture_of_logistics_loss, sample_mixture_of_logistics


def parameters(mixtures=3, length=5, spread=-3.0):
    generator = torch.Generator().manual_seed(0)
    logits, means = torch.randn(2, 1, mixtures, length, generator=generator)
    return torch.cat([logits, 0.7 * means.tanh(), torch.full((1, mixtures, length), spread)], dim=1)


@pytest.mark.parametrize("spread", [-4.0, -2.0, 0.0])
def test_probabilities_of_all_classes_sum_to_one(spread):
    grid = torch.linspace(-1, 1, 256)
    found = parameters(length=1, spread=spread).expand(1, 9, 256)
    total = mixture_of_logistics_loss(found, grid[None], classes=256, reduction="none").neg().exp().sum()
    # Where a share of a bin is below 1e-5, its density stands for it.
    assert total == pytest.approx(1, abs=1e-3)


def test_sum_is_the_mean_times_the_samples():
    found, target = parameters(), torch.linspace(-1, 1, 5)[None]
    total = mixture_of_logistics_loss(found, target, reduction="sum")
    assert total == pytest.approx(5 * mixture_of_logistics_loss(found, target).item(), rel=1e-6)


def test_finer_grid_costs_the_logarithm_of_its_factor():
    # Inside a wide component the density is flat over a bin, so that a bin's share goes with its width.
    found, target = parameters(1, 1, -1.0), torch.zeros(1, 1)
    coarse, fine = (mixture_of_logistics_loss(found, target, classes=n) for n in (257, 65537))
    # The share is a difference of two numbers near a half, 3e-5 in float32: good to 0.3 %.
    assert fine - coarse == pytest.approx(math.log(256), abs=5e-3)


def test_likelihood_far_from_every_component_has_a_gradient():
    found = parameters(spread=-7.0).requires_grad_()
    mixture_of_logistics_loss(found, torch.tensor([[-1.0, 1.0, 0.99, -0.99, 0.0]])).backward()
    assert torch.isfinite(found.grad).all()
    assert found.grad.abs().amax() > 0


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.9])
def test_sample_of_one_component_is_its_quantile(quantile):
    found = torch.tensor([0.0, 0.2, -3.0])
    value = sample_mixture_of_logistics(found, torch.tensor([0.3]), torch.tensor(quantile))
    cumulative = torch.sigmoid((value - 0.2) / math.exp(-3.0))
    assert cumulative == pytest.approx(quantile, abs=1e-5)


def test_components_are_chosen_by_their_shares():
    found = torch.tensor([math.log(0.75), math.log(0.25), 0.5, -0.5, -9.0, -9.0]).expand(20000, 6)
    generator = torch.Generator().manual_seed(0)
    drawn = sample_mixture_of_logistics(
        found, torch.rand(20000, 2, generator=generator), torch.full((20000,), 0.5), log_scale_min=None
    )
    # Standard error 0.003.
    assert (drawn > 0).float().mean() == pytest.approx(0.75, abs=0.012)


def test_samples_stay_in_range():
    found = torch.tensor([0.0, 0.9, 2.0])
    assert sample_mixture_of_logistics(found, torch.tensor([0.5]), torch.tensor(0.999)) == 1.0


def test_channels_that_are_no_mixture_are_refused():
    with pytest.raises(ValueError, match="31 is no multiple of 3"):
        mixture_of_logistics_loss(torch.zeros(1, 31, 4), torch.zeros(1, 4))


def test_samples_of_another_length_are_refused():
    with pytest.raises(ValueError, match=r"\(1, 30, 4\) need samples \(B, T\), got \(1, 5\)"):
        mixture_of_logistics_loss(torch.zeros(1, 30, 4), torch.zeros(1, 5))
