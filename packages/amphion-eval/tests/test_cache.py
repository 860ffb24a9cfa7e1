import os

import numpy as np
import pytest

from amphion_eval.cache import Store, decode, digest, encode
from amphion_eval.values import Rate, Undefined

VALUES = [
    np.arange(6.0).reshape(2, 3),
    np.zeros((0, 4), np.float32),
    np.array(3, np.int16),
    {"a": np.ones(2, bool), "b": {"c": [1, 2.5, "ü", None, True]}},
    "text",
    float("inf"),
]


def equal(left, right):
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(equal(left[key], right[key]) for key in left)
    if isinstance(left, np.ndarray):
        return left.dtype == right.dtype and np.array_equal(left, right)
    return left == right


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_value_comes_back_as_it_was(value):
    assert equal(value, decode(encode(value)))


def test_reasons_and_counts_come_back():
    assert decode(encode(Undefined("silence"))).reason == "silence"
    rate = decode(encode({"x": Rate(1, 4)}))["x"]
    assert (rate, rate.count, rate.total) == (0.25, 1, 4)


@pytest.mark.parametrize("value", [object(), np.array([object()]), {"a": {1, 2}}])
def test_what_would_need_code_to_be_read_is_refused(value):
    with pytest.raises(TypeError, match="can't be kept"):
        encode(value)


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b"", lambda b: b[:-3] + b"xyz", lambda b: b"pickle"])
def test_damaged_value_is_none_and_is_removed(tmp_path, damage):
    store = Store(tmp_path)
    store.put(digest("k"), np.arange(100.0))
    (place,) = tmp_path.glob("??/*")
    place.write_bytes(damage(place.read_bytes()))
    assert store.get(digest("k")) is None and not place.exists()


def test_keys_tell_parts_and_their_borders_apart():
    assert len({digest("ab", "c"), digest("a", "bc"), digest("abc"), digest(b"abc"), digest(["abc"])}) == 5


def test_folder_that_cannot_be_written_is_replaced_by_memory(tmp_path, caplog):
    (tmp_path / "file").write_text("no folder")
    store = Store(tmp_path / "file")
    store.put(digest("a"), 1.0)
    store.put(digest("b"), 2.0)
    assert (store.get(digest("a")), store.get(digest("b"))) == (1.0, 2.0)
    assert caplog.text.count("can't be written") == 1


def test_pruning_removes_the_oldest_first(tmp_path):
    store = Store(tmp_path)
    for age, name in enumerate("abc"):
        store.put(digest(name), np.zeros(1000))
        newest = max(tmp_path.glob("??/*"), key=lambda place: place.stat().st_mtime_ns)
        os.utime(newest, (age, age))
    assert store.prune(limit=9000) > 0
    assert store.get(digest("a")) is None and store.get(digest("c")) is not None
