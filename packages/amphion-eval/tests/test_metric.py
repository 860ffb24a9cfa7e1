import numpy as np
import pytest

from amphion_eval.analysis import Analysis, PairAnalysis
from amphion_eval.catalogue import __all__ as catalogue
from amphion_eval.metric import Metric, as_metric, available, find, resolve


def test_every_metric_of_the_package_is_an_entry_point():
    assert set(catalogue) <= set(available())


@pytest.mark.parametrize("name", sorted(catalogue))
def test_metric_says_what_its_number_means(name):
    metric = find(name)
    assert metric.name == name and metric.description.endswith(".") and metric.low <= metric.high


def test_beginning_of_names_stands_for_all_of_them():
    assert [m.name for m in resolve(["f0_pearson"])] == ["f0_pearson_cents", "f0_pearson_hz"]


def test_name_of_a_metric_stands_for_it_alone():
    assert [m.name for m in resolve(["mstft"])] == ["mstft"]


def test_metric_asked_for_twice_is_computed_once():
    assert [m.name for m in resolve(["mcd", "f0_rmse", "mcd"])].count("mcd") == 1


def test_all_unknown_names_are_refused_at_once():
    with pytest.raises(LookupError, match=r"'f0_rsme', 'pesqq'.*vuv_f1.*did you mean f0_rmse_hz, pesq_wb"):
        resolve(["f0_rsme", "mcd", "pesqq"])


def test_no_metric_is_refused():
    with pytest.raises(ValueError, match="no metric"):
        resolve([])


def test_metric_is_called_as_its_function():
    assert find("f0_rmse_hz")([100.0], [103.0]) == 3.0


def plain(reference, estimate):
    return float(np.abs(reference - estimate).max())


def with_rate(reference, estimate, sample_rate):
    return float(sample_rate)


def test_function_of_a_stranger_is_given_waveforms_of_one_length(voice):
    pair = PairAnalysis(Analysis(voice, 16000), Analysis(voice[:-5], 16000))
    assert as_metric("plain", plain).of(pair) == 0.0
    assert as_metric("with_rate", with_rate).of(pair) == 16000


def test_what_is_no_function_is_refused():
    with pytest.raises(TypeError, match="odd"):
        as_metric("odd", 3)


def test_error_rate_without_text_is_undefined(voice):
    side = Analysis(voice, 16000)
    assert "reference text" in find("wer").of(PairAnalysis(side, side)).reason
    assert "transcript" in find("wer").of(PairAnalysis(side, side, text="hello")).reason


def test_metric_of_a_stranger_is_found_by_its_entry_point(tmp_path, monkeypatch):
    from amphion_core import registry

    (tmp_path / "stranger.py").write_text("def peak(reference, estimate):\n    return float(abs(estimate).max())\n")
    info = tmp_path / "stranger-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[amphion.metrics]\nstrangers_peak = stranger:peak\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    registry.entries.cache_clear()
    try:
        metric = find("strangers_peak")
        assert isinstance(metric, Metric) and metric(np.zeros(3), np.array([0.5])) == 0.5
    finally:
        registry.entries.cache_clear()


STRANGER = '''
import numpy as np
from amphion_eval import Metric
from amphion_eval.model import Model


def load(device):
    return lambda wavs: [np.array([abs(wav).max()]) for wav in wavs]


def louder(reference, estimate):
    """How much louder the estimate is."""
    return float(estimate[0] - reference[0])


def models(settings):
    return (Model("peaks", load),)


metric = Metric("strangers_louder", louder, needs="model", models=models, best="zero")
'''


def test_strangers_metric_may_bring_a_network(tmp_path, monkeypatch, folders):
    from amphion_core import registry
    from amphion_eval import find_pairs, score

    (tmp_path / "strange_net.py").write_text(STRANGER)
    info = tmp_path / "strange_net-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: strange-net\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[amphion.metrics]\nstrangers_louder = strange_net:metric\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    registry.entries.cache_clear()
    try:
        runs = [
            score(find_pairs(*folders)[0], ["strangers_louder"], device="cpu", cache=tmp_path / "c") for _ in range(2)
        ]
        assert runs[0].to_json() == runs[1].to_json() and runs[0].summary["strangers_louder"].n == 3
        assert runs[0].provenance["versions"]["strange-net"] == "1.0"
    finally:
        registry.entries.cache_clear()
