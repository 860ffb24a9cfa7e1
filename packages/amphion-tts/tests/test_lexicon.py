"""Pronunciations: lexicons, endings, spelling, rules."""

import pytest

from amphion_tts.text.letter_to_sound import pronounce_by_rule
from amphion_tts.text.lexicon import Pronouncer, own_lexicon, read_lexicon
from amphion_tts.text.symbols import ARPABET, VOWELS


@pytest.fixture(scope="module")
def pronounce():
    return Pronouncer()


@pytest.mark.parametrize(
    ("word", "phones"),
    [
        ("through", "TH R UW1"),
        ("The", "DH AH0"),
        ("doctor's", "D AA1 K T ER0 Z"),
        ("cats", "K AE1 T S"),
        ("boxes", "B AA1 K S AH0 Z"),
        ("voices", "V OY1 S IH0 Z"),
        ("stopped", "S T AA1 P T"),
        ("wanted", "W AA1 N T AH0 D"),
        ("stories", "S T AO1 R IY0 Z"),
        ("making", "M EY1 K IH0 NG"),
        ("happily", "HH AE1 P IY0 L IY0"),
        ("BBC", "B IY1 B IY1 S IY1"),
        ("DVDs", "D IY1 V IY1 D IY1 Z"),
        ("X", "EH1 K S"),
        ("sunlight", "S AH1 N L AY2 T"),
        ("shhh", "EH1 S EY1 CH EY1 CH EY1 CH"),
    ],
)
def test_words_are_pronounced(pronounce, word, phones):
    assert " ".join(pronounce(word)) == phones


@pytest.mark.parametrize(
    ("word", "phones"),
    [
        ("knight", "N AY1 T"),
        ("nation", "N EY1 SH AH0 N"),
        ("make", "M EY1 K"),
        ("hatch", "HH AE1 CH"),
        ("quick", "K W IH1 K"),
        ("phone", "F OW1 N"),
        ("walked", "W AO1 K T"),
        ("photography", "F AA0 T AA1 G R AH0 F IY0"),
        ("ability", "AE0 B IH1 L AH0 T IY0"),
        ("picture", "P IH1 K CH ER0"),
        ("write", "R AY1 T"),
        ("bridge", "B R IH1 JH"),
        ("strength", "S T R EH1 NG G TH"),
    ],
)
def test_rules_read_regular_words(word, phones):
    assert " ".join(pronounce_by_rule(word)) == phones


def test_every_entry_of_the_own_lexicon_is_made_of_phones_with_one_main_stress():
    known = set(ARPABET)
    for word, phones in own_lexicon().items():
        assert set(phones) <= known, word
        assert sum(phone.endswith("1") for phone in phones) <= 1, word
        assert all(phone[-1] in "012" for phone in phones if phone.rstrip("012") in VOWELS), word


def test_any_letters_give_phones_with_at_most_one_main_stress():
    import random

    chance = random.Random(0)
    for _ in range(500):
        word = "".join(chance.choices("abcdefghijklmnopqrstuvwxyz'", k=chance.randint(1, 14)))
        phones = pronounce_by_rule(word)
        assert set(phones) <= set(ARPABET), word
        vowels = [phone for phone in phones if phone[:2] in VOWELS]
        assert sum(vowel.endswith("1") for vowel in vowels) == bool(vowels), word


def test_entries_go_before_a_lexicon_and_that_before_ours(tmp_path):
    path = tmp_path / "lexicon.txt"
    path.write_text(";;; comment\nHELLO  HH AA1\nHELLO(2)  HH IY1\nWORLD W ER1 L D # name\nNASA N AE1 S AH0\n")
    pronounce = Pronouncer(path, {"world": "W AO1"})
    assert pronounce("hello") == ("HH", "AA1")
    assert pronounce("World") == ("W", "AO1")
    assert pronounce("NASA") == ("N", "AE1", "S", "AH0")
    assert pronounce("table") == own_lexicon()["table"]


def test_what_is_no_phone_is_named(tmp_path):
    path = tmp_path / "lexicon.txt"
    path.write_text("good G UH1 D\nbad B XX D\n")
    with pytest.raises(ValueError, match=r"lexicon.txt:2: bad: 'XX' is no ARPAbet phone"):
        read_lexicon(path)
    with pytest.raises(ValueError, match="word: 'Q' is no ARPAbet phone"):
        Pronouncer(entries={"word": "Q"})


def test_a_lexicon_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no lexicon at .*nothing.txt"):
        Pronouncer(tmp_path / "nothing.txt")
