import numpy as np

from amphion_eval.drawing import distribution, melody, spectrogram
from amphion_eval.statistics import summarize


def test_spectrogram_is_a_png_whatever_the_sound(voice):
    for wav in (voice, np.zeros(800), np.array([0.5])):
        assert spectrogram(wav, 16000, 0.5).startswith(b"\x89PNG")


def test_curve_breaks_where_the_voice_does():
    f0 = np.array([100.0, 110, 0, 0, 120, 130])
    drawn = melody([(f0, 0.01)], 0.06, ["red"])
    path = drawn.split('d="')[1]
    assert path.count("M") == 2 and path.count("L") == 2


def test_nothing_voiced_is_said_in_words():
    assert "No frame is voiced" in melody([(np.zeros(5), 0.01)], 0.05, ["red"])


def test_every_finite_item_is_a_dot():
    values = [1.0, 2.0, np.inf, 3.0]
    assert distribution([("a", values, summarize(values))], ["red"], "dB").count("<circle") == 3


def test_equal_values_can_be_drawn():
    drawn = distribution([("a", [2.0, 2.0], summarize([2.0, 2.0]))], ["red"], "")
    assert "nan" not in drawn and "inf" not in drawn


def test_names_are_escaped():
    assert "<b>" not in distribution([("<b>", [1.0], None)], ["red"], "")
