import math

import pytest

from amphion_eval.statistics import Summary
from amphion_eval.tables import best_of, comparison, markdown, number, plain


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
        (0.12345, "0.123"),
        (12.345, "12.35"),
        (-1234.56, "-1234.6"),
        (-1e-9, "0.000"),
    ],
)
def test_figure_has_the_digits_that_one_reads(value, text):
    assert number(value) == text


def test_terminal_table_has_a_line_for_each_metric_with_its_counts(report):
    line = plain(report(1.0, None, 3.0)).splitlines()[-1].split()
    assert line[:4] == ["m", "↓", "dB", "2.000"] and line[-2:] == ["2", "1"]


def test_markdown_of_one_system_has_all_its_figures(report):
    text = markdown([report(1.0, 3.0)])
    assert "| m | ↓ | dB | 2.000 |" in text and "100 bootstrap samples" in text and "alignment cut" in text


def test_markdown_of_several_has_a_line_each_and_the_best_in_bold(report):
    text = markdown([report(1.0, 1.0, name="ours"), report(2.0, 2.0, name="theirs")])
    assert "| system | m, dB ↓ |" in text and "| ours | **1.000" in text and "| theirs | 2.000" in text


def test_systems_that_were_scored_on_other_items_are_said_to_be(report):
    first, second = report(1.0, 2.0, name="a"), report(1.0, 2.0, 3.0, name="b")
    assert "2 / 3 items, not the same in all systems: 2 are in all of them" in markdown([first, second])
    assert "2 items;" in markdown([first, report(3.0, 4.0, name="b")])


def test_bar_in_a_name_does_not_break_the_table(report):
    assert r"a\|b" in markdown([report(1.0, name="a|b"), report(2.0, name="c")])


def test_results_of_other_parameters_stand_in_columns_of_their_own(report):
    by_pyin, by_dio = report(1.0, name="a", parameters={"f0": "pyin"}), report(2.0, name="b", parameters={"f0": "dio"})
    head, _, first, second = markdown([by_pyin, by_dio]).splitlines()[:4]
    assert head == "| system | m [f0 pyin], dB ↓ | m [f0 dio], dB ↓ |"
    assert (first, second) == ("| a | 1.000 | – |", "| b | – | 2.000 |")


def test_alignment_that_is_in_the_label_is_not_said_twice(report):
    cut = report(1.0, name="a", parameters={"align": "cut"})
    dtw = report(1.0, name="b", parameters={"align": "dtw"}, label="m (dtw)")
    assert [column.definition["label"] for column in comparison([cut, dtw])] == ["m", "m (dtw)"]


def test_two_systems_of_one_name_are_refused(report):
    with pytest.raises(ValueError, match="--name"):
        markdown([report(1.0), report(2.0)])


@pytest.mark.parametrize(("best", "place"), [("lower", 0), ("higher", 2), ("zero", 1), ("one", 2)])
def test_best_is_at_the_end_that_the_metric_says(best, place):
    summaries = [Summary(value, 3, 0) for value in (-2.0, 0.3, 1.1)]
    assert best_of(summaries, {"best": best}) == [place]


def test_there_is_no_best_of_one():
    assert best_of([Summary(1.0, 3, 0), None, Summary(None, 0, 3)], {"best": "lower"}) == []
