"""Weights that are not here and can't be fetched: said at once, with what to do."""

from importlib.util import find_spec

import pytest

from amphion_data.pipe.stages import find_stage


def stage(extra, *values):
    return pytest.param(*values, marks=pytest.mark.extra(extra), id=values[1])


STAGES = [
    stage("asr", "transcribe", "faster-whisper", "medium", "faster-whisper.model=FOLDER; or take --transcribe"),
    stage("asr", "transcribe", "faster-whisper", "nobody/nothing", "faster-whisper.model=FOLDER; or take"),
    stage(
        "transformers", "transcribe", "whisper", "nobody/nothing", "whisper.model=FOLDER; or take --transcribe given"
    ),
    stage("diarize", "diarise", "pyannote", "nobody/nothing", "pyannote.token=TOKEN, once with a network"),
    stage("demucs", "separate", "demucs", "nothing", "demucs.model=FOLDER, or take --separate none"),
]


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """An empty cache, and a hub that is a port of this machine where nobody listens."""
    if find_spec("huggingface_hub"):
        from huggingface_hub import constants

        monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(("kind", "name", "model", "words"), STAGES)
def test_weights_that_are_absent_are_named_with_what_to_do(offline, kind, name, model, words):
    with pytest.raises(FileNotFoundError) as error:
        find_stage(kind, name, {"model": model})
    assert model in str(error.value) and words in str(error.value)


@pytest.mark.extra("asr")
def test_a_name_that_is_no_checkpoint_is_refused_with_those_there_are(offline):
    with pytest.raises(FileNotFoundError, match=r"'larg'.*large-v3"):
        find_stage("transcribe", "faster-whisper", {"model": "larg"})


@pytest.mark.extra("asr")
def test_a_folder_that_holds_no_checkpoint_is_named(offline, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"empty.*model\.bin"):
        find_stage("transcribe", "faster-whisper", {"model": str(tmp_path / "empty")})


@pytest.mark.extra("transformers")
def test_without_a_network_nothing_is_tried_when_the_hub_is_told_to_be_offline(offline, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(FileNotFoundError, match="HF_HUB_OFFLINE is set"):
        find_stage("transcribe", "whisper", {"model": "nobody/nothing"})
