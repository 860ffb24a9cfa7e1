import pytest

from amphion_data.languages import language_code


@pytest.mark.parametrize(
    ("stated", "code"),
    [
        ("en", "en"),
        ("EN", "en"),
        ("en-US", "en"),
        ("English", "en"),
        (" English (US) ", "en"),
        ("eng", "en"),
        ("cmn", "zh"),
        ("Mandarin", "zh"),
        ("zh_CN", "zh"),
        ("Cantonese", "yue"),
        ("German", "de"),
        ("lao", "lo"),
        ("qq-XX", "qq"),
        ("Klingon", "klingon"),
        ("old english", "old english"),
    ],
)
def test_names_and_codes_of_a_language_are_its_two_letters(stated, code):
    assert language_code(stated) == code
