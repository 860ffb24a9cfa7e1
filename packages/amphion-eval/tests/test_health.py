import importlib.util

from amphion_eval import health


def test_metric_of_the_base_install_lacks_nothing():
    assert health.missing_of_metrics()["f0_rmse_cents"] == ""


def test_absent_package_is_named_by_its_extra(monkeypatch):
    monkeypatch.setattr(
        health, "find_spec", lambda name: None if name == "torchcrepe" else importlib.util.find_spec(name)
    )
    assert health.missing_of_metrics()["periodicity_rmse"] == "pip install 'amphion-core[crepe]'"
    assert health.missing_of_trackers()["crepe"] == "pip install 'amphion-core[crepe]'"
    assert health.missing_of_trackers()["pyin"] == ""
