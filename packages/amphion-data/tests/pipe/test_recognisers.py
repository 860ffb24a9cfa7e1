"""Recognisers of other packages, run for real on a tiny random checkpoint: they hear nonsense, of the right form."""

import math

import numpy as np
import pytest

from amphion_data.pipe.stages import Clip, find_stage

pytestmark = pytest.mark.slow


@pytest.fixture
def clips():
    generator = np.random.default_rng(0)
    return [Clip(generator.normal(0, 0.1, 16_000 * n).astype(np.float32), "a.wav", 0.0, n) for n in (3, 4, 6)]


@pytest.fixture
def tiny(tmp_path):
    """The checkpoint, as a function of its languages."""
    from tiny_whisper import tiny_whisper

    return lambda *languages: str(tiny_whisper(tmp_path / "tiny", languages))


@pytest.mark.extra("transformers")
@pytest.mark.parametrize("beam", [1, 2])
def test_whisper_of_transformers_gives_text_language_and_probabilities(tiny, clips, beam):
    model = tiny("en", "de", "zh")
    found = find_stage("transcribe", "whisper", {"model": model, "beam": beam, "batch": 2}).transcribe(clips)
    assert len(found) == 3 and all(heard.text.strip() for heard in found)
    for heard in found:
        assert heard.language in ("en", "de", "zh") and 1 / 3 <= heard.language_probability <= 1
        # Random weights give each of 256 letters about the same share, and next to none to all others.
        assert -1.5 * math.log(256) < heard.logprob < 0 and 0 < heard.no_speech < 1e-3
    alone = find_stage("transcribe", "whisper", {"model": model, "beam": beam, "batch": 1, "language": "de"})
    assert {heard.language for heard in alone.transcribe(clips)} == {"de"}


@pytest.mark.extra("transformers")
def test_whisper_for_english_alone_is_asked_for_no_language(tiny, clips):
    found = find_stage("transcribe", "whisper", {"model": tiny(), "beam": 1}).transcribe(clips[:1])
    assert found[0].language == "en" and found[0].language_probability is None and found[0].text


@pytest.mark.extra("asr")
def test_faster_whisper_gives_text_and_probabilities(tiny, clips, tmp_path):
    """Converted from the same checkpoint, which has too few tokens to count as multilingual, so English it is."""
    pytest.importorskip("transformers")
    pytest.importorskip("torch")
    from ctranslate2.converters import TransformersConverter

    TransformersConverter(tiny("en", "de"), copy_files=["tokenizer.json"]).convert(str(tmp_path / "converted"))
    options = {"model": str(tmp_path / "converted"), "beam": 2, "precision": "float32"}
    stage = find_stage("transcribe", "faster-whisper", options)
    found = stage.transcribe(clips)
    assert "faster-whisper" in stage.identity and len(found) == 3
    for heard in found:
        assert heard is None or (heard.language == "en" and heard.text and heard.logprob < 0 <= heard.no_speech <= 1)
    assert any(found) and stage.transcribe(clips) == found
