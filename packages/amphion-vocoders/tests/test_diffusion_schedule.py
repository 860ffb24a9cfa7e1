import numpy as np
import pytest

from amphion_vocoders.diffusion_schedule import aligned_steps, linear_betas, noise_levels, reverse_steps

TRAINING = linear_betas(1e-4, 0.05, 50)
FAST = (1e-4, 1e-3, 1e-2, 0.05, 0.2, 0.5)


def test_a_schedule_is_aligned_with_itself_step_by_step():
    assert aligned_steps(TRAINING, TRAINING) == pytest.approx(range(50), abs=1e-6)


def test_aligned_steps_have_the_noise_that_their_fraction_says():
    trained = np.sqrt(noise_levels(TRAINING))
    for level, time in zip(noise_levels(FAST), aligned_steps(FAST, TRAINING), strict=True):
        low = int(time)
        between = trained[low] + (time - low) * (trained[min(low + 1, 49)] - trained[low])
        assert between == pytest.approx(np.sqrt(level), abs=1e-9)


@pytest.mark.parametrize(
    ("betas", "words"),
    [((1e-5, 1e-2), "step 0 .* 0.999900"), ((1e-4, 0.9), r"step 1 .* leaves 0\.099990"), ((0.9,), "let the betas sum")],
)
def test_a_step_that_training_does_not_know_is_refused_not_skipped(betas, words):
    with pytest.raises(ValueError, match=words):
        aligned_steps(betas, TRAINING)


def test_the_last_step_adds_no_noise():
    assert reverse_steps(FAST, TRAINING)[0].noise == 0


@pytest.mark.parametrize("betas", [TRAINING, FAST])
def test_a_step_back_leaves_the_share_of_signal_and_noise_of_the_step_before(betas):
    """The true noise e of x = sqrt(A) s + sqrt(1 - A) e is taken back: what is left has variance 1 - A of before."""
    levels = noise_levels(betas)
    for number, step in enumerate(reverse_steps(betas, TRAINING)):
        level, before = levels[number], levels[number - 1] if number else 1.0
        signal = np.sqrt(level) * step.scale
        noise = (np.sqrt(1 - level) - step.estimate) * step.scale
        assert signal == pytest.approx(np.sqrt(before))
        # The posterior of Ho et al., equation 7: mean and variance together give the marginal.
        assert noise**2 + step.noise**2 == pytest.approx(1 - before, abs=1e-12)
