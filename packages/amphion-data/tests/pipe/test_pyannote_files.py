"""Where a pipeline of pyannote.audio takes its networks from: this disk, and whom it trusts."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import tiny_pyannote
from huggingface_hub import constants
from tiny_pyannote import COMMUNITY, THREE, changed, write_config

from amphion_data.pipe.pyannote_files import find_pipeline


def fill(folder, parts=("segmentation", "embedding", "plda")):
    """Files of the right names, whose content nobody reads here."""
    for part in parts:
        (folder / part).mkdir(parents=True)
        for name in ("xvec_transform.npz", "plda.npz") if part == "plda" else ("pytorch_model.bin",):
            (folder / part / name).write_bytes(f"{part} {name}".encode())
    return folder


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """An empty cache of the hub, which is a port where nobody listens; gives the function that makes a repository."""
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return lambda name, revision="main": tiny_pyannote.repository(tmp_path / "hub", name, revision)


def in_three(cache, owner="pyannote"):
    """The pipeline of release 3.1 in the cache, with its two repositories."""
    params = {"segmentation": f"{owner}/segmentation-3.0", "embedding": f"{owner}/wespeaker-voxceleb-resnet34-LM"}
    write_config(cache(f"{owner}/speaker-diarization-3.1"), changed(THREE, **params))
    for name in params.values():
        (cache(name) / "pytorch_model.bin").write_bytes(name.encode())
    return f"{owner}/speaker-diarization-3.1"


def test_a_folder_and_its_configuration_are_one_pipeline(tmp_path):
    folder = write_config(fill(tmp_path / "talk"), COMMUNITY)
    found = find_pipeline(str(folder), None)
    assert found == find_pipeline(str(folder / "config.yaml"), None)
    params = found.config["pipeline"]["params"]
    assert [params[part]["checkpoint"] for part in ("segmentation", "embedding", "plda")] == [
        str(folder / part) for part in ("segmentation", "embedding", "plda")
    ]


def test_the_identity_is_of_what_files_hold_not_of_where_they_lie(tmp_path):
    first, second = (write_config(fill(tmp_path / place / "talk"), COMMUNITY) for place in ("a", "b"))
    before = find_pipeline(str(first), None).identity
    assert before == find_pipeline(str(second), None).identity and before.startswith("talk ")
    (second / "embedding" / "pytorch_model.bin").write_bytes(b"other weights")
    assert before != find_pipeline(str(second), None).identity


def test_the_hub_is_not_asked_for_what_its_cache_holds(cache):
    found = find_pipeline(in_three(cache), None)  # the hub can't be reached here
    params = found.config["pipeline"]["params"]
    assert "models--pyannote--segmentation-3.0/snapshots" in params["segmentation"]["checkpoint"]
    assert "models--pyannote--wespeaker-voxceleb-resnet34-LM" in params["embedding"]["checkpoint"]


def test_no_plda_is_looked_for_where_the_grouping_has_none(cache, tmp_path):
    """The library takes one from a repository of its own that such a pipeline doesn't name."""
    assert "plda" not in find_pipeline(in_three(cache), None).config["pipeline"]["params"]
    vbx = changed(COMMUNITY)
    del vbx["pipeline"]["params"]["plda"]
    folder = write_config(fill(tmp_path / "vbx", ("segmentation", "embedding")), vbx)
    with pytest.raises(FileNotFoundError, match="pyannote/speaker-diarization-community-1 is not here"):
        find_pipeline(str(folder), None)


def test_a_revision_is_kept_to(cache):
    name = "pyannote/speaker-diarization-community-1"
    folder = write_config(fill(cache(name, "v2")), COMMUNITY)
    found = find_pipeline(f"{name}@v2", None)
    assert found.config["pipeline"]["params"]["plda"]["checkpoint"] == str(folder / "plda")
    with pytest.raises(FileNotFoundError, match="is not here"):
        find_pipeline(name, None)


def test_the_repository_that_lacks_is_named(cache, tmp_path):
    name = in_three(cache)
    for kept in (tmp_path / "hub").glob("models--*segmentation*/snapshots/*/*"):
        kept.unlink()
    with pytest.raises(FileNotFoundError, match=r"^pyannote/segmentation-3\.0 is not here.*accept its terms"):
        find_pipeline(name, None)


def test_the_token_goes_to_the_hub(cache, monkeypatch):
    heard = []

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self):
            heard.append(self.headers.get("Authorization"))
            self.send_error(401)

        def log_message(self, *_):
            """Nothing on the terminal."""

    server = HTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(FileNotFoundError, match="is not here"):
        find_pipeline("pyannote/speaker-diarization-3.1", "hf_mine")
    server.shutdown()
    server.server_close()
    assert "Bearer hf_mine" in heard


def test_networks_of_strangers_are_not_read(cache, tmp_path):
    config = changed(COMMUNITY, embedding="stranger/network")
    folder = write_config(fill(tmp_path / "talk"), config)
    with pytest.raises(ValueError, match=r"'stranger/network'.*may run code"):
        find_pipeline(str(folder), None)
    write_config(fill(cache("laboratory/talk")), config)
    with pytest.raises(ValueError, match="may run code"):
        find_pipeline("laboratory/talk", None)


def test_networks_of_the_owner_who_was_named_are_read(cache):
    assert find_pipeline(in_three(cache, "laboratory"), None).identity.startswith("laboratory/speaker-diarization-3.1 ")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pipeline": {"name": "subprocess.Popen", "params": {"args": "true"}}}, "pipeline.name"),
        ({"pipeline": {"name": "pyannote.audio.pipelines.pyannoteai.sdk.SDK", "params": {}}}, "pipeline.name"),
        ({"preprocessors": {"audio": {"name": "subprocess.Popen"}}}, "preprocessors"),
    ],
)
def test_other_classes_are_refused(tmp_path, change, words):
    folder = write_config(fill(tmp_path / "talk"), COMMUNITY | change)
    with pytest.raises(ValueError, match=words):
        find_pipeline(str(folder), None)


def test_a_grouping_that_must_know_how_many_speak_is_refused(tmp_path):
    folder = write_config(fill(tmp_path / "talk"), changed(COMMUNITY, clustering="KMeansClustering"))
    with pytest.raises(ValueError, match="how many people speak"):
        find_pipeline(str(folder), None)


def test_what_a_folder_lacks_is_named(tmp_path):
    (tmp_path / "talk").mkdir()
    with pytest.raises(FileNotFoundError, match=r"talk holds no config\.yaml"):
        find_pipeline(str(tmp_path / "talk"), None)
    folder = write_config(fill(tmp_path / "talk", ("segmentation", "plda")), COMMUNITY)
    with pytest.raises(FileNotFoundError, match=r"embedding holds no pytorch_model\.bin"):
        find_pipeline(str(folder), None)
    write_config(folder, changed(COMMUNITY, embedding="network.bin"))
    with pytest.raises(FileNotFoundError, match=r"config\.yaml names 'network\.bin', but there is no"):
        find_pipeline(str(folder), None)


def test_a_folder_of_the_working_directory_is_not_taken_for_a_repository(cache, tmp_path, monkeypatch):
    name = in_three(cache)
    fill(tmp_path / "pyannote", ("segmentation-3.0",))
    monkeypatch.chdir(tmp_path)
    assert str(tmp_path / "hub") in find_pipeline(name, None).config["pipeline"]["params"]["segmentation"]["checkpoint"]
