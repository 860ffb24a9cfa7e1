import math

import pytest
import torch

from amphion_core.features import label_to_wav, mu_law_compress, mu_law_expand, wav_to_label


@pytest.mark.parametrize("classes", [16, 256, 1024])
def test_expanding_undoes_compressing(classes):
    wav = torch.linspace(-1, 1, 1001, dtype=torch.float64)
    torch.testing.assert_close(mu_law_expand(mu_law_compress(wav, classes), classes), wav)


def test_compressing_is_the_closed_form():
    value = mu_law_compress(torch.tensor(-0.25, dtype=torch.float64), 256)
    assert value == pytest.approx(-math.log(1 + 255 * 0.25) / math.log(256))


@pytest.mark.parametrize("rounding", ["nearest", "down"])
def test_points_of_the_grid_keep_their_labels(rounding):
    labels = torch.arange(256)
    wav = label_to_wav(labels, 256, torch.float64)
    assert torch.equal(wav_to_label(wav + 1e-9, 256, rounding=rounding), labels)


def test_nearest_label_is_within_half_a_step_and_the_one_below_within_a_step():
    wav = torch.linspace(-1, 1, 9973, dtype=torch.float64)
    step = 2 / 63
    near = label_to_wav(wav_to_label(wav, 64), 64, torch.float64)
    below = label_to_wav(wav_to_label(wav, 64, rounding="down"), 64, torch.float64)
    assert (near - wav).abs().max() <= step / 2 + 1e-12
    assert (wav - below).min() >= -1e-12
    assert (wav - below).max() < step


@pytest.mark.parametrize("rounding", ["nearest", "down"])
def test_samples_out_of_range_get_the_outermost_labels(rounding):
    assert wav_to_label(torch.tensor([-3.0, -1.0, 1.0, 7.0]), 32, rounding=rounding).tolist() == [0, 0, 31, 31]


def test_companded_labels_are_finer_near_zero():
    wav = torch.tensor([0.001, 0.501])
    errors = mu_law_expand(label_to_wav(wav_to_label(mu_law_compress(wav, 256), 256), 256), 256) - wav
    assert errors[0].abs() < 2e-4
    # The other is one of the coarse classes: those near a half are 0.02 apart.
    assert errors[1].abs() < 0.012


def test_a_grid_of_one_point_is_refused():
    with pytest.raises(ValueError, match="at least 2 classes, got 1"):
        wav_to_label(torch.zeros(3), 1)
