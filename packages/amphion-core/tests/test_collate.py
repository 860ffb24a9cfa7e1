"""Padding."""

import numpy as np
import pytest

from amphion_core.data.collate import pad_stack


def test_arrays_are_filled_up_to_the_longest():
    stacked, lengths = pad_stack([np.ones(2, np.float32), np.ones(3, np.float32)], value=-1.0)
    assert stacked.tolist() == [[1, 1, -1], [1, 1, 1]]
    assert stacked.dtype == np.float32
    assert lengths.tolist() == [2, 3]
    assert lengths.dtype == np.int64


@pytest.mark.parametrize(("axis", "shape"), [(-1, (2, 4, 7)), (1, (2, 4, 7)), (0, (2, 5, 6))])
def test_the_axis_that_differs_is_chosen(axis, shape):
    items = [np.ones((4, 6)), np.ones((4, 7))] if axis else [np.ones((4, 6)), np.ones((5, 6))]
    stacked, lengths = pad_stack(items, axis=axis)
    assert stacked.shape == shape
    assert stacked.sum() == sum(item.size for item in items)
    assert lengths.tolist() == ([6, 7] if axis else [4, 5])


def test_tensors_give_tensors():
    torch = pytest.importorskip("torch")
    stacked, lengths = pad_stack([torch.ones(80, 2, dtype=torch.float16), torch.ones(80, 3, dtype=torch.float16)])
    assert stacked.shape == (2, 80, 3)
    assert stacked.dtype == torch.float16
    assert lengths.tolist() == [2, 3]
    assert lengths.dtype == torch.int64


@pytest.mark.parametrize(
    "items",
    [
        [],
        [np.ones((2, 3)), np.ones((4, 3))],
        [np.ones(3), np.ones((1, 3))],
        [np.ones(3), np.ones(3, np.float32)],
        [np.array(1.0), np.array(2.0)],
    ],
)
def test_what_does_not_stack_is_refused(items):
    with pytest.raises(ValueError, match=r"no item|may differ in axis"):
        pad_stack(items)
