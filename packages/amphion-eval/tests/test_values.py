import math
import pickle

import pytest

from amphion_eval.values import Rate, SetFigure, Undefined, reason_of


def test_undefined_is_a_nan_that_says_why():
    value = Undefined("there is no frame")
    assert math.isnan(value) and reason_of(value) == "there is no frame"


def test_undefined_keeps_its_reason_on_the_way_out_of_a_process():
    assert pickle.loads(pickle.dumps(Undefined("silence"))).reason == "silence"


def test_rate_is_a_number_with_its_counts():
    rate = pickle.loads(pickle.dumps(Rate(3, 12)))
    assert (rate, rate.count, rate.total) == (0.25, 3, 12)


def test_rate_over_nothing_is_refused():
    with pytest.raises(ValueError, match="0 of 0"):
        Rate(0, 0)


def test_a_number_has_no_reason():
    assert reason_of(1.0) is None


def test_a_plain_nan_of_a_stranger_gets_a_reason():
    assert reason_of(float("nan"))


def test_figure_of_sets_is_a_number_that_keeps_what_it_rests_on():
    figure = pickle.loads(pickle.dumps(SetFigure(2.5, 7, interval=(2, 3), details={"r2": 0.9}, notes=["few clips"])))
    assert (figure, figure.n, figure.interval, figure.notes) == (2.5, 7, (2, 3), ("few clips",))
    assert figure.details == {"r2": 0.9}
