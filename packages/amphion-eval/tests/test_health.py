"""What the doctor says."""

import json
import subprocess
import sys

import pytest

from amphion_core.weights import Weights
from amphion_eval import health
from amphion_eval.metric import available
from amphion_eval.settings import TRACKERS


@pytest.fixture
def empty_home(tmp_path, monkeypatch):
    """No weights of anybody's."""
    from huggingface_hub import constants

    monkeypatch.delenv("AMPHION_WEIGHTS", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path


def named(name):
    return next(item for item in health.check() if item.name == name)


def test_every_metric_and_tracker_is_listed():
    assert list(health.missing_of_metrics()) == available()
    assert set(health.missing_of_trackers()) == set(TRACKERS)


def test_metrics_of_the_base_install_lack_nothing():
    missing = health.missing_of_metrics()
    base = ("f0_rmse_cents", "vuv_f1", "energy_rmse_db", "mcd", "mstft", "si_sdr", "duration_error", "wer", "cer")
    assert [missing[name] for name in (*base, "loudness", "ltas_distance")] == [""] * 11


def test_absent_package_is_named_with_the_extra_that_brings_it(monkeypatch):
    real = health.find_spec
    monkeypatch.setattr(health, "find_spec", lambda module: None if module == "pesq" else real(module))
    found = named("pesq_wb")
    assert not found.works and found.lacks == "pip install 'amphion-eval[perceptual]'"


def test_absent_weights_are_named_with_their_place_and_source(empty_home):
    found = named("utmos")
    assert not found.works
    assert "https://github.com/tarepan/SpeechMOS/releases" in found.weights[0]
    assert "$AMPHION_WEIGHTS/utmos22-strong/" in found.weights[0]


def test_weights_that_were_put_in_place_are_found(empty_home, monkeypatch):
    place = empty_home / "utmos22-strong" / "utmos22_strong_step7459_v1.pt"
    place.parent.mkdir()
    place.write_bytes(b"weights")
    monkeypatch.setenv("AMPHION_WEIGHTS", str(empty_home))
    assert named("utmos").weights == ()


def test_repository_in_the_hubs_cache_counts_as_present(empty_home):
    folder = empty_home / "hub" / "models--jungjee--RawNet3"
    revision = "0" * 40
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(revision)
    (folder / "snapshots" / revision).mkdir(parents=True)
    assert named("rawnet3").weights  # the snapshot does not hold the file
    (folder / "snapshots" / revision / "model.pt").write_bytes(b"weights")
    assert named("rawnet3").weights == ()


def test_looking_fetches_nothing(empty_home, monkeypatch):
    from amphion_core import download

    monkeypatch.setattr(download, "fetch", lambda *_, **__: pytest.fail("the hub was asked"))
    assert len(health.check()) > len(available())


def test_command_prints_a_line_for_each_and_ends_well_whatever_is_missing():
    run = [sys.executable, "-c", "from amphion_eval.cli import main; main()", "doctor"]
    done = subprocess.run(run, capture_output=True, text=True)
    assert done.returncode == 0
    assert all(name in done.stdout for name in available())


def test_command_gives_json():
    run = [sys.executable, "-c", "from amphion_eval.cli import main; main()", "doctor", "--json"]
    rows = json.loads(subprocess.run(run, capture_output=True, text=True, check=True).stdout)
    assert {row["name"] for row in rows} >= set(available())
    assert {"kind", "name", "works", "lacks", "models", "extras", "weights", "licence"} <= set(rows[0])


def test_wrong_file_is_refused_with_both_hashes(tmp_path, monkeypatch):
    monkeypatch.setenv("AMPHION_WEIGHTS", str(tmp_path))
    (tmp_path / "thing").mkdir()
    (tmp_path / "thing" / "a.pt").write_bytes(b"something else")
    with pytest.raises(ValueError, match=r"sha256 .* the release has 123abc"):
        Weights("thing", "a.pt", sha256="123abc").locate()


def test_hash_of_a_folder_changes_with_the_name_and_the_content_of_a_file(tmp_path):
    (tmp_path / "a").write_bytes(b"1")
    weights = Weights("thing", path=str(tmp_path))
    first = weights.hash()
    (tmp_path / "a").rename(tmp_path / "b")
    second = weights.hash()
    (tmp_path / "b").write_bytes(b"22")
    assert len({first, second, weights.hash()}) == 3


def test_missing_weights_raise_with_what_to_do(empty_home):
    with pytest.raises(FileNotFoundError, match=r"put model.pt of https://example.org into .AMPHION_WEIGHTS/thing/"):
        Weights("thing", "model.pt", url="https://example.org").locate()
