import itertools
import json
import math
import re

import numpy as np
import pytest
from typer.testing import CliRunner

from amphion_eval.cli import app
from amphion_eval.comparison import compare
from amphion_eval.comparison_page import plain
from amphion_eval.report import Report, load_report
from amphion_eval.statistics import Summary


@pytest.fixture
def make():
    return np.random.default_rng(0)


def rates(report, *counts, name):
    """A result of one rate with these counts and totals."""
    made = report(*(c / t for c, t in counts), name=name, rate=True)
    items = [type(i)(**{**vars(i), "counts": {"m": pair}}) for i, pair in zip(made.items, counts, strict=True)]
    return Report(items, made.provenance, name)


def test_better_system_is_named_with_the_size_of_the_effect(report, make):
    values = make.normal(5, 1, 40)
    good, bad = report(*values, name="good"), report(*(values + make.normal(1, 0.5, 40)), name="bad")
    (found,) = compare([good, bad]).contrasts
    assert found.better == "good" and found.n == 40 and found.p == found.p_adjusted < 0.001
    assert found.difference == pytest.approx(-1, abs=0.3) and found.interval[0] < found.difference < found.interval[1]
    assert found.effect > 1 and found.superiority > 0.9


@pytest.mark.parametrize("best", ["lower", "higher", "zero", "one"])
def test_direction_of_the_metric_decides_who_is_better(report, best):
    target = {"lower": 0.0, "higher": 9.0, "zero": 0.0, "one": 1.0}[best]
    near = report(*[target + 0.1 * k * (1 if best != "higher" else -1) for k in range(1, 9)], name="near", best=best)
    far = report(*[target + 0.3 * k * (1 if best != "higher" else -1) for k in range(1, 9)], name="far", best=best)
    (found,) = compare([far, near]).contrasts
    assert found.better == "near" and found.p == 2 / 2**8 and found.exact and found.superiority == 0


def test_signed_metric_compares_distances_from_its_best_value(report):
    flat, sharp = report(*[-100.0] * 9, name="flat", best="zero"), report(*[50.0] * 9, name="sharp", best="zero")
    (found,) = compare([flat, sharp]).contrasts
    assert found.figures == (100.0, 50.0) and found.better == "sharp"


def test_order_of_the_systems_changes_the_sign_alone(report, make):
    systems = [report(*make.normal(size=30), name=name) for name in "abc"]
    turned = {(c.second, c.first): c for c in compare(systems[::-1]).contrasts}
    for one in compare(systems).contrasts:
        other = turned[one.first, one.second]
        assert (one.p, one.p_adjusted, one.n) == (other.p, other.p_adjusted, other.n)
        assert one.difference == -other.difference and one.effect == -other.effect
        assert one.interval == (-other.interval[1], -other.interval[0])


def test_order_of_the_items_changes_nothing(report, make):
    one, two = (report(*make.normal(size=30), name=name) for name in "ab")
    shuffled = Report([one.items[i] for i in make.permutation(30)], one.provenance, one.name)
    assert compare([one, two]) == compare([shuffled, two])


def test_items_undefined_in_one_system_are_left_out_and_counted(report):
    one, two = report(1.0, 2.0, None, math.inf, 5.0, name="one"), report(2.0, None, 3.0, 4.0, 6.0, name="two")
    (found,) = compare([one, two]).contrasts
    assert (found.n, found.n_left_out, found.difference) == (2, 3, -1.0)


def test_items_that_one_system_has_alone_are_counted(report):
    one, two = report(1.0, 2.0, 3.0, name="one"), report(2.0, 3.0, name="two")
    (found,) = compare([one, two]).contrasts
    assert (found.n, found.n_left_out) == (2, 1)


def test_rates_compare_their_pooled_figures(report):
    one = rates(report, (1, 100), (1, 1), name="one")
    two = rates(report, (3, 100), (0, 1), name="two")
    (found,) = compare([one, two]).contrasts
    assert found.figures == (2 / 101, 3 / 101) and found.difference == pytest.approx(-1 / 101)


def test_correction_counts_all_pairs_and_metrics(report, make):
    systems = [report(*(make.normal(size=12) + 0.5 * k), name=name) for k, name in enumerate("abcd")]
    found = compare(systems).contrasts
    assert len(found) == 6
    least = min(found, key=lambda c: c.p)
    assert least.p_adjusted == pytest.approx(min(1, 6 * least.p))
    assert all(c.p <= c.p_adjusted <= 1 for c in found)


def test_baseline_leaves_only_contrasts_with_it(report, make):
    systems = [report(*make.normal(size=12), name=name) for name in "abcd"]
    found = compare(systems, baseline="c").contrasts
    assert [(c.first, c.second) for c in found] == [("a", "c"), ("b", "c"), ("c", "d")]
    assert len(list(itertools.combinations(systems, 2))) > len(found)


def test_metric_of_other_parameters_is_not_compared(report):
    one = report(1.0, 2.0, name="one", parameters={"align": "cut"})
    two = report(1.0, 2.0, name="two", parameters={"align": "dtw"})
    found = compare([one, two])
    assert found.contrasts == () and "m is not compared between one and two" in plain(found)
    assert "computed with other settings" in found.to_markdown() and found.to_dict()["notes"]


def test_figure_of_the_whole_set_has_no_test_and_says_so(report):
    bare = []
    for name, figure in (("two", 2.0), ("one", 5.0)):
        made = report(1.0, 2.0, name=name, level="set")
        items = [type(item)(**{**vars(item), "metrics": {}}) for item in made.items]
        bare.append(Report(items, made.provenance, name, {"m": Summary(figure, 2, 0)}))
    (found,) = compare(bare).contrasts
    assert found.p is None and "whole set" in found.note
    assert found.figures == (2.0, 5.0) and found.difference == -3.0 and found.n_left_out == 0
    assert "whole set" in compare(bare).to_markdown() and "two against one" in compare(bare).to_html()


def test_one_item_is_no_test(report):
    (found,) = compare([report(1.0, name="one"), report(2.0, name="two")]).contrasts
    assert found.p is None and found.better is None and found.note


def test_equal_systems_are_not_told_apart(report):
    (found,) = compare([report(1.0, 2.0, 3.0, name="one"), report(1.0, 2.0, 3.0, name="two")]).contrasts
    assert (found.difference, found.p, found.better, found.effect, found.superiority) == (0.0, 1.0, None, 0.0, 0.5)


def test_fewer_than_two_systems_are_refused(report):
    with pytest.raises(ValueError, match="two systems"):
        compare([report(1.0)])


def test_systems_on_other_items_are_refused(report):
    one, two = report(1.0, name="one"), report(1.0, name="two")
    other = Report([type(i)(**{**vars(i), "id": "other"}) for i in two.items], two.provenance, "two")
    with pytest.raises(ValueError, match="no item in common"):
        compare([one, other])


@pytest.mark.parametrize(("options", "said"), [({"metrics": ["x"]}, "no result has x"), ({"baseline": "x"}, "'x'")])
def test_unknown_names_are_refused(report, options, said):
    with pytest.raises(LookupError, match=said):
        compare([report(1.0, name="one"), report(2.0, name="two")], **options)


def test_every_form_names_systems_metric_and_verdict(report, tmp_path):
    one = report(*[1.0 + k / 10 for k in range(9)], name="o|ne <i>")
    two = report(*[4.0 + k / 9 for k in range(9)], name="two")
    found = compare([one, two])
    assert json.loads(found.to_json(tmp_path / "c.json")) == json.loads(json.dumps(found.to_dict()))
    table = found.to_markdown(tmp_path / "c.md")
    assert "o\\|ne <i>" in table and "0.004 exact" in table and "Holm over 1 tests" in table
    assert plain(found).splitlines()[2].split("  ")[2].strip() == "o|ne <i>"
    page = found.to_html(tmp_path / "c.html")
    assert "o|ne &lt;i&gt; against two" in page and "<i>" not in page and page.count("<svg") == 1
    assert not re.search(r"(src|href)=", page)
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".md", ".html"}


def test_saved_results_compare_like_those_in_memory(folders, tmp_path):
    from amphion_eval import find_pairs, score

    made = [score(find_pairs(folders[0], f)[0], ["energy_rmse_db", "vuv_f1"], f0="dio", name=f.name) for f in folders]
    for result in made:
        result.to_json(tmp_path / f"{result.name}.json")
    assert compare(made) == compare([load_report(tmp_path / f"{result.name}.json") for result in made])


def test_command_compares_saved_results(report, tmp_path):
    for name, shift in (("near", 0.0), ("far", 2.0)):
        report(*[shift + k / 10 for k in range(9)], name=name).to_json(tmp_path / f"{name}.json")
    files = [str(tmp_path / "near.json"), str(tmp_path / "far.json")]
    forms = [part for form in ("json", "markdown", "html") for part in (f"--{form}", str(tmp_path / f"c.{form}"))]
    result = CliRunner().invoke(app, ["compare", *files, "--metrics", "m", *forms])
    assert result.exit_code == 0 and "near / far" in result.stdout, result.output
    assert json.loads((tmp_path / "c.json").read_text())["contrasts"][0]["better"] == "near"
    assert (tmp_path / "c.markdown").stat().st_size and (tmp_path / "c.html").stat().st_size
