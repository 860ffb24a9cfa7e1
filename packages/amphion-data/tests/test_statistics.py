import pytest

from amphion_core.schema import Utterance
from amphion_data.statistics import Histogram, count_rows, report_text


def row(name, duration=1.0, **fields):
    return Utterance(id=name, duration=duration, sample_rate=16_000, **fields)


def test_seconds_add_up_by_speaker_and_language():
    found = count_rows(
        [row("a", 1.0, speaker="x", language="en"), row("b", 2.0, speaker="y", language="en"), row("c", 4.0)]
    )
    assert (found.rows, found.seconds) == (3, 7.0)
    assert found.speakers == {"x": 1.0, "y": 2.0, "": 4.0}
    assert found.languages == {"en": 3.0, "": 4.0}


def test_speaking_rate_is_characters_by_seconds():
    found = count_rows([row("a", 2.0, text="twenty letters here.")])
    assert found.rates.to_dict()["mean"] == pytest.approx(10.0)


def test_values_outside_go_to_the_outermost_bins():
    histogram = Histogram("x", 0, 1, 3)
    for value in (-5, 0, 1.5, 99):
        histogram.add(value)
    assert histogram.to_dict()["bins"] == [[0, 1, 2], [1, 2, 1], [2, 3, 1]]
    assert (histogram.to_dict()["min"], histogram.to_dict()["max"]) == (-5, 99)


def test_the_fullest_bin_has_the_longest_bar():
    histogram = Histogram("x", 0, 1, 3)
    for value in (0, 0, 0, 0, 2):
        histogram.add(value)
    bars = [line.count("█") for line in histogram.to_text(width=8).splitlines()[1:]]
    assert bars == [8, 0, 2]


def test_report_has_a_line_for_each_set_and_the_bars_of_all():
    parts = {"train": count_rows([row("a", 3600.0, speaker="x")]), "test": count_rows([row("b", 1.0)])}
    text = report_text(parts)
    assert "train             1     1.000         1  ?             16000" in text
    assert "duration, s: 1.00 to 3600.00" in text
