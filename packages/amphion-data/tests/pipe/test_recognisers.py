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

    return lambda *languages, **options: str(tiny_whisper(tmp_path / "tiny", languages, **options))


@pytest.fixture
def tones():
    """Hums of different pitch and noise, between a tenth of a second and all that Whisper hears at a time."""
    generator, found = np.random.default_rng(0), []
    for number, seconds in ((1, 28.0), (3, 30.0), (7, 29.0), (15, 0.1), (25, 28.0), (40, 27.0)):
        wav = 0.5 * np.sin(np.arange(round(16_000 * seconds)) * 0.05 * number)
        wav += generator.normal(0, 0.01 * number, wav.size)
        found.append(Clip(wav.astype(np.float32), "a.wav", 0.0, seconds))
    return found


def assert_alike(together, alone):
    """Texts of several lengths, the same in a batch, but for sums of other shapes."""
    assert len({heard and len(heard.text) for heard in alone}) > 2
    for one, other in zip(together, alone, strict=True):
        if one is None or other is None:
            assert one is other
            continue
        assert (one.text, one.language, one.words) == (other.text, other.language, other.words)
        assert one.logprob == pytest.approx(other.logprob, abs=1e-4)
        assert one.language_probability == pytest.approx(other.language_probability, abs=1e-5)
        assert one.no_speech == pytest.approx(other.no_speech, abs=1e-5)


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
@pytest.mark.parametrize("beam", [1, 2])
def test_whisper_of_transformers_hears_the_same_in_a_batch(tiny, tones, beam):
    options = {"model": tiny("en", "de", "zh", lively=True), "beam": beam}
    many, one = (find_stage("transcribe", "whisper", {**options, "batch": size}).transcribe(tones) for size in (4, 1))
    assert_alike(many, one)
    assert len({heard.language for heard in one}) > 1


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
    assert "faster-whisper" in stage.identity and str(tmp_path) not in stage.identity and len(found) == 3
    for heard in found:
        assert heard is None or (heard.language == "en" and heard.text and heard.logprob < 0 <= heard.no_speech <= 1)
    assert any(found) and stage.transcribe(clips) == found


@pytest.fixture
def converted(tiny, tmp_path):
    """The checkpoint for CTranslate2, which has too few tokens to count as multilingual there."""
    pytest.importorskip("transformers")
    pytest.importorskip("torch")
    from ctranslate2.converters import TransformersConverter

    TransformersConverter(tiny("en", lively=True), copy_files=["tokenizer.json"]).convert(str(tmp_path / "converted"))
    return str(tmp_path / "converted")


@pytest.mark.extra("asr")
@pytest.mark.parametrize("words", [False, True])
def test_faster_whisper_hears_the_same_in_a_batch_as_the_library_in_each_alone(converted, tones, words):
    import faster_whisper

    options = {"model": converted, "beam": 2, "precision": "float32", "words": words}
    stages = [find_stage("transcribe", "faster-whisper", {**options, "batch": size}) for size in (4, 1)]
    many, one = (stage.transcribe(tones) for stage in stages)
    assert_alike(many, one)
    model = faster_whisper.WhisperModel(converted, compute_type="float32")
    for clip, heard in zip(tones, many, strict=True):
        asked = {"language": "en", "beam_size": 2, "temperature": 0.0, "word_timestamps": words}
        segments = list(model.transcribe(clip.wav, without_timestamps=not words, no_speech_threshold=1.0, **asked)[0])
        if not words:  # a batch has one window for each, the other goes on behind the last time
            assert (heard.text if heard else "") == "".join(segment.text for segment in segments)
        elif heard:
            assert heard.words and all(0 <= start <= end <= 31 for start, end, _ in heard.words)


@pytest.mark.extra("asr")
def test_texts_come_back_to_their_clips_whatever_the_order_of_languages(converted, tones, monkeypatch):
    stage = find_stage("transcribe", "faster-whisper", {"model": converted, "precision": "float32", "batch": 2})
    alone = [stage.transcribe([clip])[0].text for clip in tones]
    spoken = [("zh", 0.5), ("en", 0.9), ("de", 0.8), ("en", 0.7), ("zh", 0.6), ("en", 0.4)]
    monkeypatch.setattr(stage, "_languages", lambda wavs: spoken)
    found = stage.transcribe(tones)
    assert [heard.text for heard in found] == alone
    assert [(heard.language, heard.language_probability) for heard in found] == spoken


@pytest.mark.extra("asr")
def test_faster_whisper_hears_sound_beyond_a_window_and_nothing_in_nothing(converted, tones):
    long = Clip(np.concatenate([clip.wav for clip in tones[:3]]), "a.wav", 0.0, 87.0)
    empty = Clip(np.zeros(0, np.float32), "a.wav", 0.0, 0.0)
    stage = find_stage("transcribe", "faster-whisper", {"model": converted, "beam": 1, "precision": "float32"})
    found = stage.transcribe([long, empty, tones[0]])
    assert found[1] is None and found[0].text and found[2].text and stage.transcribe([]) == []
