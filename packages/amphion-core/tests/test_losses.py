import librosa
import numpy as np
import pytest
import torch

from amphion_core.features import MelConfig
from amphion_core.losses import (
    GAN_LOSSES,
    MelLoss,
    MultiResolutionMelLoss,
    MultiResolutionStftLoss,
    a_weighting,
    amplitude_loss,
    feature_matching_loss,
    group_delay_loss,
    hinge_discriminator_loss,
    hinge_generator_loss,
    instantaneous_phase_loss,
    least_squares_discriminator_loss,
    least_squares_generator_loss,
    mean_hinge_generator_loss,
    phase_losses,
    phase_time_difference_loss,
    real_imaginary_loss,
    relative_feature_matching_loss,
    spectrum_consistency_loss,
    spread_generator_loss,
)


def verdicts(value, count=2):
    return [[torch.full((2, 3), value - 1.0), torch.full((2, 1, 5), value)] for _ in range(count)]


def test_least_squares_discriminator_is_content_with_ones_and_zeros():
    assert least_squares_discriminator_loss(verdicts(1.0), verdicts(0.0)) == 0


def test_least_squares_sums_over_sub_discriminators():
    assert least_squares_discriminator_loss(verdicts(0.0, 3), verdicts(2.0, 3)) == 3 * (1 + 4)
    assert least_squares_generator_loss(verdicts(3.0, 3)) == 3 * 4


def test_hinge_discriminator_is_content_beyond_the_margin():
    assert hinge_discriminator_loss(verdicts(1.5), verdicts(-1.5)) == 0


def test_hinge_generator_has_no_margin():
    assert hinge_generator_loss(verdicts(2.5)) == -5


def test_feature_matching_counts_every_layer_once():
    assert feature_matching_loss(verdicts(1.0), verdicts(3.0)) == 2 * 2 * 2


def test_feature_matching_can_leave_out_the_logits():
    assert feature_matching_loss(verdicts(1.0), verdicts(3.0), logits=False) == 2 * 2


def test_feature_matching_gives_the_recording_no_gradient():
    real = [[torch.ones(2, requires_grad=True), torch.ones(1)]]
    fake = [[torch.zeros(2, requires_grad=True), torch.zeros(1)]]
    feature_matching_loss(real, fake).backward()
    assert real[0][0].grad is None
    assert fake[0][0].grad is not None


@pytest.mark.parametrize("kind", GAN_LOSSES)
def test_generator_gains_by_pleasing_the_discriminator(kind):
    assert GAN_LOSSES[kind].generator(verdicts(0.9)) < GAN_LOSSES[kind].generator(verdicts(0.1))


def test_no_verdict_is_an_error_that_says_so():
    with pytest.raises(ValueError, match="at least one discriminator"):
        least_squares_generator_loss([])


LOSSES = {
    "mel": lambda: MelLoss(MelConfig(n_fft=256, win_length=256, hop_length=64, n_mels=20)),
    "multi_resolution_mel": lambda: MultiResolutionMelLoss(22050),
    "stft": lambda: MultiResolutionStftLoss(22050),
}


def value_of(loss, estimate, target):
    result = loss(estimate, target)
    return result if torch.is_tensor(result) else sum(result)


@pytest.mark.parametrize("name", LOSSES)
def test_equal_waveforms_have_no_distance(name):
    wav = torch.randn(2, 4096) * 0.1
    assert value_of(LOSSES[name](), wav, wav) == 0


@pytest.mark.parametrize("name", LOSSES)
def test_gradient_leads_towards_the_recording(name):
    torch.manual_seed(0)
    target = torch.randn(1, 4096) * 0.1
    estimate = (torch.randn(1, 4096) * 0.02).requires_grad_()
    loss = LOSSES[name]()
    first = value_of(loss, estimate, target)
    (gradient,) = torch.autograd.grad(first, estimate)
    assert value_of(loss, estimate - 0.01 * gradient / gradient.abs().max(), target) < first


@pytest.mark.parametrize("name", LOSSES)
def test_silence_has_a_finite_gradient(name):
    estimate = torch.zeros(1, 4096, requires_grad=True)
    value_of(LOSSES[name](), estimate, torch.randn(1, 4096) * 0.1).backward()
    assert torch.isfinite(estimate.grad).all()


def test_halving_the_level_costs_its_logarithm_in_every_resolution():
    wav = torch.randn(1, 8192)
    # Seven resolutions; bands narrower than a bin are empty and cost nothing, so a little less than the whole.
    assert MultiResolutionMelLoss(22050)(wav / 2, wav) == pytest.approx(7 * np.log10(2), rel=0.1)


def test_weighting_curve_is_that_of_librosa():
    frequencies = np.array([7.8, 20.0, 100.0, 1000.0, 8000.0])
    ours = a_weighting(torch.from_numpy(frequencies)).numpy()
    np.testing.assert_allclose(ours, librosa.A_weighting(frequencies), atol=1e-3)


def test_weighting_of_0_hz_is_that_of_10_hz():
    assert a_weighting(torch.tensor([0.0]))[0] == a_weighting(torch.tensor([10.0]))[0]


def test_mean_hinge_does_not_grow_with_the_sub_discriminators():
    assert mean_hinge_generator_loss(verdicts(0.5, 2)) == mean_hinge_generator_loss(verdicts(0.5, 5)) == 0.5


def test_spread_counts_only_where_verdicts_differ():
    assert spread_generator_loss(verdicts(3.0, 2)) == 2 * 4
    uneven = [[torch.zeros(1), torch.tensor([[1.0, 3.0]])]]  # squares 0 and 4: mean 2, deviation sqrt(8)
    torch.testing.assert_close(spread_generator_loss(uneven), torch.tensor(2 + 8**0.5))


def test_relative_feature_matching_is_blind_to_the_scale_of_a_layer():
    real, fake = verdicts(3.0), verdicts(4.0)
    larger = [[[10 * layer for layer in verdict] for verdict in kind] for kind in (real, fake)]
    torch.testing.assert_close(relative_feature_matching_loss(*larger), relative_feature_matching_loss(real, fake))


def test_equal_phases_are_best_and_opposite_ones_worst():
    phase = torch.randn(2, 5, 7)
    assert [term.item() for term in phase_losses(phase, phase)] == [-1, -1, -1]
    assert instantaneous_phase_loss(phase + torch.pi, phase).item() == pytest.approx(1, abs=1e-6)


def test_whole_turns_cost_nothing():
    phase = torch.randn(2, 5, 7)
    turned = phase + 2 * torch.pi * torch.randint(-3, 4, phase.shape)
    for one, other in zip(phase_losses(turned, phase), (-1, -1, -1), strict=True):
        assert one.item() == pytest.approx(other, abs=1e-5)


@pytest.mark.parametrize(("loss", "axis"), [(group_delay_loss, 1), (phase_time_difference_loss, 2)])
def test_difference_losses_see_an_offset_at_their_border_only(loss, axis):
    phase = torch.randn(1, 6, 6)
    # The first entry counts as a step from 0, so one of six differences is wrong, by half a turn.
    assert loss(phase + torch.pi, phase).item() == pytest.approx((5 * -1 + 1) / 6, abs=1e-5)
    bend = torch.pi * (torch.arange(6) % 2)
    other = bend[None, None, :] if axis == 1 else bend[None, :, None]
    # Along the other axis nothing changes but the border.
    assert loss(phase + other, phase).item() == pytest.approx((5 * -1 + 0) / 6, abs=1e-5)


def test_a_spectrum_is_consistent_with_itself():
    parts = torch.randn(2, 3, 5, 7)
    assert spectrum_consistency_loss(*parts, *parts) == 0
    assert spectrum_consistency_loss(*parts, *(parts + 1)).item() == pytest.approx(2, rel=1e-5)
    assert real_imaginary_loss(*parts, *(parts + 2)).item() == pytest.approx(4, rel=1e-5)
    assert amplitude_loss(parts, parts + 3).item() == pytest.approx(9, rel=1e-5)
