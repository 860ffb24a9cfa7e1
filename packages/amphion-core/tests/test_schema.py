"""Utterances and their manifests."""

import json
import tracemalloc

import pytest

from amphion_core.schema import Utterance, read_manifest, write_manifest


def test_a_manifest_comes_back_as_it_was(tmp_path):
    rows = [
        Utterance(
            id="a/1", audio="wavs/ä 1.wav", duration=1.5, sample_rate=22050, text="Über", speaker="x", language="de"
        ),
        Utterance(id="b", extra={"snr": 12.5, "notes": [1, 2]}),
    ]
    assert write_manifest(tmp_path / "m.jsonl", rows) == 2
    assert list(read_manifest(tmp_path / "m.jsonl")) == rows


def test_unknown_keys_of_a_row_are_kept_in_extra():
    row = Utterance.from_dict({"id": "a", "dnsmos": 3.2, "extra": {"x": 1}})
    assert row.extra == {"x": 1, "dnsmos": 3.2}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"id": ""}, "id must be"),
        ({"id": "a", "duration": -1.0}, "not negative"),
        ({"id": "a", "duration": float("nan")}, "finite"),
        ({"id": "a", "duration": "3"}, "number of seconds"),
        ({"id": "a", "sample_rate": 22050.0}, "whole number"),
        ({"id": "a", "text": 3}, "text must be"),
        ({"text": "x"}, "needs an id"),
    ],
)
def test_a_wrong_row_is_refused_with_its_value(values, words):
    with pytest.raises(ValueError, match=words):
        Utterance.from_dict(values)


@pytest.mark.parametrize("line", ["{", "[1]", '{"id": 3}', '{"text": "no id"}'])
def test_a_wrong_line_is_named_by_its_number(tmp_path, line):
    file = tmp_path / "m.jsonl"
    file.write_text('{"id": "a"}\n\n' + line + "\n")
    with pytest.raises(ValueError, match=r"m\.jsonl:3"):
        list(read_manifest(file))


def test_a_failing_source_leaves_no_file_and_no_leftover(tmp_path):
    def rows():
        yield Utterance(id="a")
        raise RuntimeError("source broke")

    with pytest.raises(RuntimeError):
        write_manifest(tmp_path / "m.jsonl", rows())
    assert list(tmp_path.iterdir()) == []


def test_reading_is_lazy(tmp_path):
    file = tmp_path / "m.jsonl"
    file.write_text("".join(json.dumps({"id": str(i), "text": "x" * 100}) + "\n" for i in range(20_000)))
    tracemalloc.start()
    count = sum(1 for _ in read_manifest(file))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 20_000 and peak < 1_000_000  # the file has 3 MB
