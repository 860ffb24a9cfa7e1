"""Speech is found where it is, the same in blocks as at once."""

import numpy as np
import pytest

from amphion_data.pipe.spans import RATE
from amphion_data.pipe.vad import VadOptions, make_energy, make_silero, spans_of

silero_only = pytest.mark.extra("vad")


def blocks(wav, size):
    return (wav[k : k + size] for k in range(0, len(wav), size))


def test_two_thresholds_short_pauses_and_short_stretches():
    hop = 160
    probabilities = np.zeros(300, np.float32)
    probabilities[50:100] = 0.9
    probabilities[100:105] = 0.4  # not below 0.35
    probabilities[105:140] = 0.6
    probabilities[145:180] = 0.9  # a pause of 50 ms
    probabilities[220:230] = 0.9  # 100 ms
    found = spans_of(probabilities, hop, 300 * hop, VadOptions(pad=0.0))
    assert [(s.start // hop, s.end // hop) for s in found] == [(50, 180)]


def test_speech_to_the_very_end_ends_there():
    found = spans_of(np.ones(100, np.float32), 512, 100 * 512 - 37, VadOptions())
    assert found[0].start == 0 and found[0].end == 100 * 512 - 37


@pytest.mark.parametrize("size", [1600, 16_000, 10**7])
def test_energy_finds_bursts_whatever_the_blocks(size, speechlike):
    spans = [(1.0, 3.0), (4.0, 4.8), (6.0, 9.0)]
    found = make_energy({}, "cpu").speech(blocks(speechlike(spans, 12.0), size))
    assert len(found) == 3
    for (start, end), span in zip(spans, found, strict=True):
        assert span.start / RATE == pytest.approx(start, abs=0.08) and span.end / RATE == pytest.approx(end, abs=0.08)


def test_silence_and_nothing_have_no_speech():
    detector = make_energy({}, "cpu")
    assert detector.speech([np.zeros(16_000, np.float32)]) == [] and detector.speech([]) == []


@silero_only
def test_silero_in_blocks_is_silero_at_once_and_silence_has_none(conversation):
    from amphion_core.audio import resample

    wav = resample(conversation.wav[: 24_000 * 20], 24_000, RATE)
    detector = make_silero({}, "cpu")
    whole, parts = detector.probabilities([wav]), detector.probabilities(blocks(wav, 1_000))
    assert whole.shape == parts.shape and np.abs(whole - parts).max() < 1e-5
    assert detector.speech([np.zeros(160, np.float32)]) == [] and detector.speech([]) == []


@pytest.mark.extra("vad")
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of torch.jit.load, inside the package
def test_silero_finds_what_its_own_package_finds(conversation):
    import silero_vad
    import torch

    from amphion_core.audio import resample

    wav = resample(conversation.wav, 24_000, RATE)
    theirs = silero_vad.get_speech_timestamps(
        torch.from_numpy(wav), silero_vad.load_silero_vad(), min_speech_duration_ms=250, speech_pad_ms=30
    )
    mine = make_silero({}, "cpu").speech([wav])
    held = [np.zeros(len(wav), bool) for _ in range(2)]
    for start, end in mine:
        held[0][start:end] = True
    for span in theirs:
        held[1][span["start"] : span["end"]] = True
    assert (held[0] == held[1]).mean() > 0.99


def test_unknown_options_are_named():
    with pytest.raises(ValueError, match="treshold"):
        make_energy({"treshold": 0.4}, "cpu")
