import pytest

from amphion_eval.normalization import basic, english, graphemes, language_code, normalize
from amphion_eval.transcript import wer


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, World!", "hello world"),
        ("[noise] Über-café (laughs) <b>", "über café"),
        ("ＡＢＣ　１２３", "abc 123"),
        ("今天天气很好，我们去公园吧。", "今天天气很好 我们去公园吧"),
        ("don't", "don t"),
        ("  \t\n ", ""),
    ],
)
def test_basic_keeps_letters_and_digits(text, expected):
    assert basic(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Um, we're going home (laughs), okay?", "we are going home okay"),
        ("She won't; he can't.", "she will not he can not"),
        ("He'd been there, it 's fine", "he had been there it is fine"),
        ("Mr. Lee and Dr. Who", "mister lee and doctor who"),
        ("Über-café naïve æther", "uber cafe naive aether"),
        ("It cost $1,000.50, i.e. 20%", "it cost $1000.50 i e 20%"),
        ("one of them", "one of them"),
        ("№ 5, Hello™", "no 5 hellotm"),  # NFKC makes capitals of these
    ],
)
def test_english_expands_and_simplifies(text, expected):
    assert english(text) == expected


def test_spellings_are_replaced_word_by_word():
    assert english("The Colour of colours", {"colour": "color"}) == "the color of colours"


def test_auto_takes_english_for_english_only():
    assert normalize("don't", language="en-GB") == "do not"
    assert normalize("don't", language="de") == normalize("don't") == "don t"


@pytest.mark.parametrize(
    ("language", "code"),
    [
        (None, ""),
        ("zh_Hans", "zh"),
        ("cmn-CN", "zh"),
        ("jpn", "ja"),
        ("Cantonese", "yue"),
        ("eng", "en"),
        ("de-AT", "de"),
    ],
)
def test_language_has_one_code_whatever_name_the_corpus_uses(language, code):
    assert language_code(language) == code


def test_three_letters_and_names_of_languages_are_treated_like_two():
    assert wer("你好吗", "你 好 吗", language="cmn") == 0
    assert normalize("don't", language="eng") == normalize("don't", language="English") == "do not"


def test_none_keeps_case_and_marks():
    assert normalize("  A,\tB ", "none") == "A, B"


@pytest.mark.parametrize("function", [basic, english])
@pytest.mark.parametrize("text", ["", "\x00\x07", "😀" * 50, "a" * 50_000, "مرحبا", "$", "%", ".", "$.", "((("])
def test_any_text_is_taken(function, text):
    assert function(function(text)) == function(text)


def test_marks_are_counted_with_their_letter():
    assert graphemes("e\u0301a b") == ["e\u0301", "a", "b"]
