import math

import pytest
import torch

from amphion_vocoders.sine_source import Excitation, SineSource

RATE, HOP = 8000, 40


def source(overtones=2, **options):
    torch.manual_seed(0)
    return SineSource(RATE, HOP, overtones, **options)


def sines(f0, *, overtones=0, phase=None):
    """The sines alone, (T, H + 1), of amplitude 1."""
    made = source(overtones, amplitude=1.0, noise=0.0)
    noise = torch.zeros(1, f0.shape[0] * HOP, overtones + 1)
    phase = torch.zeros(1, overtones + 1) if phase is None else phase
    return made.waves(f0[None], noise, phase=phase)[0][0]


@pytest.mark.parametrize("frames", [1, 7])
def test_hop_samples_for_each_frame(frames):
    wav = source()(torch.full((2, frames), 100.0))
    assert wav.shape == (2, frames * HOP)
    assert wav.abs().max() <= 1


def test_constant_f0_is_a_sine_of_that_frequency_with_its_overtones():
    made = sines(torch.full((50,), 123.0), overtones=2)
    times = torch.arange(1, 50 * HOP + 1, dtype=torch.float64) / RATE
    for number in range(3):
        expected = torch.sin(2 * math.pi * (number + 1) * 123.0 * times)
        torch.testing.assert_close(made[:, number].double(), expected, atol=2e-4, rtol=0)  # F0 / rate in float32


def test_phase_is_continuous_where_f0_changes():
    f0 = 80 + 300 * torch.rand(60, generator=torch.Generator().manual_seed(1))
    made = sines(f0)[:, 0].double()
    # From sample to sample a sine moves by no more than its angle; a jump of the phase would move it by up to 2.
    largest = 2 * math.pi * float(f0.max()) / RATE
    assert (made[1:] - made[:-1]).abs().max() <= largest + 1e-6
    # The number of cycles is the integral of F0.
    cycles = float((f0.double() * HOP / RATE).sum())
    crossings = int(((made[:-1] < 0) & (made[1:] >= 0)).sum())
    assert abs(crossings - cycles) <= 1


def test_phase_goes_on_through_unvoiced_frames():
    f0 = torch.full((30,), 100.0)
    gap = f0.clone()
    gap[10:20] = 0
    made = sines(gap)[:, 0]
    assert not made[10 * HOP : 20 * HOP].any()
    # While F0 is 0 the phase stands still, so the voice goes on as if the gap were not there.
    torch.testing.assert_close(made[20 * HOP :], sines(f0)[10 * HOP : 20 * HOP, 0], atol=1e-5, rtol=0)


def test_phase_is_exact_after_ten_minutes():
    frames = 600 * RATE // HOP
    made = source(0, amplitude=1.0, noise=0.0)
    f0 = torch.full((1, frames), 125.0)  # 64 samples a cycle, 1 / 64 cycles a sample: exact in binary
    cycles = None
    for piece in f0.split(5000, dim=1):
        waves, cycles = made.waves(piece, torch.zeros(1, piece.shape[1] * HOP, 1), cycles=cycles)
    assert float(cycles) == 600 * 125
    samples = torch.arange(600 * RATE - HOP + 1, 600 * RATE + 1)
    expected = torch.sin(2 * math.pi * (samples % 64) / 64)
    torch.testing.assert_close(waves[0, -HOP:, 0], expected, atol=1e-5, rtol=0)


def test_random_phases_move_the_overtones_only():
    f0 = torch.full((4,), 100.0)
    still = sines(f0, overtones=1)
    moved = sines(f0, overtones=1, phase=torch.tensor([[0.3, 0.3]]))
    assert torch.equal(still[:, 0], moved[:, 0])
    assert not torch.allclose(still[:, 1], moved[:, 1], atol=0.1)


def test_noise_is_faint_in_voiced_and_a_third_in_unvoiced_frames():
    made = source(0)
    f0 = torch.tensor([[100.0] * 100 + [0.0] * 100])
    quiet, _ = made.waves(f0, torch.zeros(1, 200 * HOP, 1))
    noisy, _ = made.waves(f0, torch.randn(1, 200 * HOP, 1, generator=torch.Generator().manual_seed(0)))
    noise = (noisy - quiet)[0, :, 0]
    assert noise[: 100 * HOP].std() == pytest.approx(0.003, rel=0.05)
    assert noise[100 * HOP :].std() == pytest.approx(0.1 / 3, rel=0.05)


@pytest.mark.parametrize("sizes", [(100, 60), (1, 2, 3, 64, 90), (159, 1)])
def test_cutting_changes_neither_phase_nor_noise(sizes):
    made = source().eval()
    f0 = torch.linspace(80, 300, 160)[None].repeat(2, 1)
    f0[:, 70:80] = 0
    with torch.no_grad():
        whole = Excitation(made, torch.Generator().manual_seed(3)).next(f0)
        pieces = Excitation(made, torch.Generator().manual_seed(3))
        joined = torch.cat([pieces.next(piece) for piece in f0.split(list(sizes), dim=1)], dim=1)
    torch.testing.assert_close(joined, whole, atol=1e-6, rtol=0)  # other sizes of matrix products round differently


def test_generator_decides_what_is_drawn_and_all_items_hear_the_same():
    made, f0 = source().eval(), torch.zeros(2, 20)
    with torch.no_grad():
        first, again, other = (Excitation(made, torch.Generator().manual_seed(n)).next(f0) for n in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(first[0], first[1])


def test_gradient_reaches_the_mixture_but_not_f0():
    made = source().double()
    f0 = torch.full((1, 3), 100.0, requires_grad=True)
    noise = torch.randn(1, 3 * HOP, 3, dtype=torch.float64)
    made(f0, torch.zeros(1, 3), noise).square().sum().backward()
    assert f0.grad is None
    assert made.mix.weight.grad.abs().sum() > 0


def test_the_source_stays_in_single_precision_under_autocast():
    made, f0 = source(8).eval(), torch.full((1, 20), 110.0)
    with torch.no_grad():
        exact = Excitation(made, None).next(f0)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(Excitation(made, None).next(f0), exact)
