import pytest

from amphion_eval.settings import Settings


def test_defaults_are_those_of_the_definitions():
    settings = Settings()
    assert (settings.f0, settings.f_min, settings.f_max, settings.align, settings.mcd_order) == (
        "pyin",
        50,
        1100,
        "cut",
        24,
    )


def test_language_is_kept_as_the_code_that_recognisers_know():
    assert [Settings(language=name).language for name in ("zh-CN", "cmn", "en", None)] == ["zh", "zh", "en", None]
    assert Settings().updated(language="jpn").language == "ja"


def test_all_faults_are_named_at_once():
    with pytest.raises(ValueError, match=r"(?s)3 faults.*f0.*mcd_order.*aline.*did you mean 'align'"):
        Settings.parse({"f0": "guess", "mcd_order": 0, "aline": "cut"})


def test_range_of_pitches_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r"f_min 500.0 Hz must be below f_max 400.0 Hz"):
        Settings.parse({"f_min": 500, "f_max": 400})
