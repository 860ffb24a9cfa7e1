import json
import math

import numpy as np
import pytest
from typer.testing import CliRunner

from amphion_eval.cli import app
from amphion_eval.listening.analysis import analyse_answers, binomial_p, screened
from amphion_eval.listening.answers import Answers, Choice, Rating, read_answers
from amphion_eval.listening.clustered import Grades, bootstrap_means, clustered
from amphion_eval.listening.results import json_text, markdown, page, plain


@pytest.fixture
def make():
    return np.random.default_rng(0)


def grades(matrix):
    """Of every listener (row) for every item (column)."""
    matrix = np.asarray(matrix, float)
    listeners, items = np.indices(matrix.shape)
    return Grades(matrix.ravel(), listeners.ravel(), items.ravel())


def drawn(make, listeners=12, items=10, shift=0.0):
    """Grades with listeners that differ and items that differ."""
    matrix = make.normal(0, 1, (listeners, 1)) + make.normal(0, 1, (1, items)) + make.normal(0, 1, (listeners, items))
    return matrix + shift


def rated(name, matrix, role="system"):
    return [
        Rating(f"P{row}", f"i{column}", name, role, float(value))
        for row, line in enumerate(matrix)
        for column, value in enumerate(line)
    ]


def answers(kind, ratings=(), choices=(), systems=("a", "b")):
    names = sorted({answer.listener for answer in [*ratings, *choices]})
    return Answers(kind, tuple(systems), tuple(ratings), tuple(choices), tuple(names))


def test_error_of_one_item_is_that_of_the_mean_of_independent_listeners(make):
    values = make.normal(size=9)
    found = clustered(grades(values[:, None]))
    assert found.error == pytest.approx(values.std(ddof=1) / 3) and found.freedom == 8
    assert found.interval[1] - found.value == pytest.approx(2.306 * found.error, rel=1e-3)  # t of 8 degrees, 97.5 %


def test_listeners_that_always_agree_are_worth_no_more_than_one(make):
    items = make.normal(size=12)
    one, many = clustered(grades(items[None])), clustered(grades(np.repeat(items[None], 40, axis=0)))
    assert many.error == pytest.approx(one.error)


def test_difference_of_systems_takes_out_what_listeners_and_items_share(make):
    common = drawn(make)
    found = clustered(grades(common + 0.5), grades(common))
    assert found.value == pytest.approx(0.5) and found.error == pytest.approx(0.0, abs=1e-12)


def test_single_grade_has_no_interval():
    assert clustered(grades([[3.0]])).interval is None and bootstrap_means(grades([[3.0]])) is None


def test_bootstrap_interval_holds_the_mean_and_is_near_the_other(make):
    own = grades(drawn(make, 20, 20))
    estimate, (low, high) = clustered(own), bootstrap_means(own)
    assert low < estimate.value < high
    assert high - low == pytest.approx(estimate.interval[1] - estimate.interval[0], rel=0.35)


@pytest.mark.slow
def test_intervals_cover_the_truth_as_often_as_they_say(make):
    covered = np.zeros(2)
    for run in range(300):
        own = grades(drawn(make))
        for place, (low, high) in enumerate((clustered(own).interval, bootstrap_means(own, resamples=400, seed=run))):
            covered[place] += low <= 0 <= high
    # Standard error of the share 1.3 %; few clusters make both a little off.
    assert ((covered / 300 >= 0.90) & (covered / 300 <= 0.99)).all()


@pytest.mark.slow
def test_p_of_equal_systems_is_about_uniform(make):
    # Each system has preferences of its own among listeners and items, or the pairs would be independent.
    ps = [clustered(grades(drawn(make)), grades(drawn(make))).p for _ in range(500)]
    assert np.mean(np.array(ps) < 0.05) <= 0.08 and 0.4 < np.median(ps) < 0.65


def test_better_system_comes_first_and_is_named(make):
    ratings = rated("a", drawn(make, shift=3.0)) + rated("b", drawn(make, shift=0.0))
    found = analyse_answers(answers("mos", ratings))
    assert [figure.system for figure in found.systems] == ["a", "b"]
    (pair,) = found.pairs
    assert pair.better == "a" and pair.p == pair.p_adjusted < 0.05
    assert pair.interval[0] < pair.difference < pair.interval[1]


def test_listeners_that_heard_only_one_of_the_systems_count_too(make):
    matrix = drawn(make)
    ratings = rated("a", matrix[:6]) + [
        Rating(f"Q{r.listener}", r.item, r.system, r.role, r.value) for r in rated("b", matrix[6:] - 9)
    ]
    (pair,) = analyse_answers(answers("mos", ratings)).pairs
    assert pair.better == "a"


@pytest.mark.parametrize(("low", "out"), [(0, False), (1, False), (2, True)])
def test_listener_who_misses_the_hidden_reference_in_more_than_15_percent_is_left_out(low, out):
    hidden = rated("reference", [[89.0] * low + [90.0] * (10 - low)], "hidden reference")
    assert bool(screened(hidden)) == out


@pytest.mark.parametrize(("high", "out"), [(1, False), (2, True)])
def test_listener_who_finds_the_mid_anchor_excellent_is_left_out(high, out):
    assert bool(screened(rated("anchor 7000", [[91.0] * high + [90.0] * (10 - high)], "anchor"))) == out
    assert not screened(rated("anchor 3500", [[100.0] * 10], "anchor"))


def test_excluded_listeners_are_named_and_not_counted():
    hidden = rated("reference", [[100.0] * 4, [50.0] * 4, [95.0] * 4], "hidden reference")
    ratings = rated("a", [[60.0] * 4, [0.0] * 4, [70.0] * 4]) + hidden
    found = analyse_answers(answers("mushra", ratings))
    assert list(found.excluded) == ["P1"] and found.listeners == ("P0", "P2")
    assert next(f.mean for f in found.systems if f.system == "a") == 65.0
    everyone = analyse_answers(answers("mushra", ratings), screen=False)
    assert everyone.listeners == ("P0", "P1", "P2") and not everyone.excluded


def test_screening_that_leaves_no_one_is_said():
    ratings = rated("reference", [[50.0] * 4], "hidden reference")
    with pytest.raises(ValueError, match="left no listener"):
        analyse_answers(answers("mushra", ratings))


def test_guessing_has_the_p_of_the_binomial():
    assert binomial_p(0, 10) == 1.0 and binomial_p(10, 10) == 2**-10
    assert binomial_p(9, 10) == (10 + 1) / 2**10


def test_abx_tells_what_can_be_heard_from_guessing():
    right = [Choice(f"P{k % 4}", f"i{k}", ("a", "b"), k % 8 > 0) for k in range(40)]
    guessed = [Choice(f"P{k % 4}", f"i{k}", ("a", "c"), k % 2 > 0) for k in range(40)]
    sure, unsure = analyse_answers(answers("abx", choices=right + guessed)).heard
    assert (sure.correct, sure.n, sure.told_apart) == (35, 40, True) and sure.p_adjusted == 2 * sure.p
    assert unsure.share == 0.5 and not unsure.told_apart and unsure.interval[0] < 0.5 < unsure.interval[1]


def test_exact_interval_of_all_right_is_the_closed_form():
    (found,) = analyse_answers(
        answers("abx", choices=[Choice("P1", f"i{k}", ("a", "b"), True) for k in range(8)])
    ).heard
    assert found.interval == pytest.approx((0.025 ** (1 / 8), 1.0))


@pytest.fixture
def saved(tmp_path):
    """A key and two answers on disk."""
    key = {
        "format": "amphion-listening-key", "version": 1, "plan": "abc", "kind": "mos", "systems": ["a", "b"],
        "sounds": {
            f"s{k}": {"item": f"i{k % 3} ü", "system": "ab"[k // 3], "role": "system"} for k in range(6)
        },
    }  # fmt: skip
    (tmp_path / "key.json").write_text(json.dumps(key), encoding="utf-8")
    (tmp_path / "answers").mkdir()
    for number in (1, 2):
        given = [{"trial": f"t{k}", "values": {f"s{k}": 5 - k // 3 - number % 2 * (k % 2)}} for k in range(6)]
        result = {"format": "amphion-listening-answers", "plan": "abc", "listener": f"P{number}", "answers": given}
        (tmp_path / "answers" / f"{number}.json").write_text(json.dumps(result), encoding="utf-8")
    return tmp_path


def test_answers_are_read_with_the_names_of_the_key(saved):
    found = read_answers([saved / "answers"], saved / "key.json")
    assert found.listeners == ("P1", "P2") and len(found.ratings) == 12
    assert {rating.item for rating in found.ratings} == {"i0 ü", "i1 ü", "i2 ü"}


def test_listener_who_did_not_finish_is_noted(saved):
    place = saved / "answers" / "1.json"
    result = json.loads(place.read_text(encoding="utf-8"))
    place.write_text(json.dumps({**result, "answers": result["answers"][:4]}), encoding="utf-8")
    assert read_answers([saved / "answers"], saved / "key.json").notes == ("P1 answered 4 of 6",)


def test_faults_of_the_answers_are_said_all_at_once(saved):
    result = json.loads((saved / "answers" / "1.json").read_text(encoding="utf-8"))
    wrong = {
        "other.json": {**result, "plan": "xyz", "listener": "P3"},
        "range.json": {**result, "listener": "P4", "answers": [{"trial": "t0", "values": {"s0": 6}}]},
        "sound.json": {**result, "listener": "P5", "answers": [{"trial": "t0", "values": {"s99": 3}}]},
        "twice.json": result,
    }
    wrong["what.json"] = {**result, "listener": "P6", "answers": [3]}
    wrong["who.json"] = {name: value for name, value in result.items() if name != "listener"}
    for name, content in wrong.items():
        (saved / "answers" / name).write_text(json.dumps(content), encoding="utf-8")
    (saved / "answers" / "cut.json").write_text('{"format": ', encoding="utf-8")
    (saved / "answers" / "list.json").write_text("[]", encoding="utf-8")
    words = (
        r"(?s)^8 faults.*cut\.json is not JSON.*list\.json has no JSON object"
        r".*xyz.*6.*s99.*P1 is also.*what\.json: answer 1: expected an object.*who\.json: no listener"
    )
    with pytest.raises(ValueError, match=words):
        read_answers([saved / "answers"], saved / "key.json")


def test_every_form_has_systems_pairs_and_how_they_were_made(make):
    ratings = rated("a <i>", drawn(make, shift=3.0)) + rated("b", drawn(make))
    found = analyse_answers(answers("smos", ratings))
    for text in (plain(found), markdown(found)):
        assert "a <i>" in text and "clustered by listeners and items" in text and "Holm" in text
    assert "a &lt;i&gt;" in page(found) and "<i>" not in page(found) and page(found).count("<svg") == 1
    values = json.loads(json_text(found))
    assert values["pairs"][0]["first"] == "a <i>" and math.isfinite(values["systems"][0]["mean"])


def test_commands_make_a_page_and_analyse_its_answers(tmp_path, folders):
    ref, est = folders
    call = CliRunner().invoke
    options = ["--reference", ref, "--system", f"ours={est}", "--training", 1, "--repeats", 3]
    made = call(app, ["listening", "make", "abx", str(tmp_path / "t"), *map(str, options)])
    assert made.exit_code == 0 and "6 questions" in made.stdout, made.output
    key = json.loads((tmp_path / "t" / "key.json").read_text(encoding="utf-8"))
    one, two = (next(s for s, a in key["sounds"].items() if a["system"] == name) for name in ("reference", "ours"))
    given = [{"trial": f"t{k}", "sounds": [one, two, two], "choice": two} for k in range(6)]
    result = {"format": "amphion-listening-answers", "plan": key["plan"], "listener": "P1", "answers": given}
    (tmp_path / "P1.json").write_text(json.dumps(result), encoding="utf-8")
    forms = [part for form in ("json", "markdown", "html") for part in (f"--{form}", str(tmp_path / f"r.{form}"))]
    line = ["listening", "analyse", str(tmp_path / "P1.json"), "--key", str(tmp_path / "t" / "key.json"), *forms]
    done = call(app, line)
    assert done.exit_code == 0 and "6 of 6" in done.stdout and "0.016" in done.stdout, done.output
    assert all((tmp_path / f"r.{form}").stat().st_size for form in ("json", "markdown", "html"))
