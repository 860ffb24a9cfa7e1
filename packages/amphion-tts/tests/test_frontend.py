"""Front ends, symbol tables, sentences, and the texts that break them."""

import pytest

from amphion_tts.text.cleaners import text_to_sequence
from amphion_tts.text.config import FrontEndConfig
from amphion_tts.text.frontend import encode, make_frontend, symbol_table
from amphion_tts.text.sentences import split_sentences
from amphion_tts.text.symbols import ENGLISH_SYMBOLS, LEXICON_TABLE
from amphion_tts.text.symbols_dict import SymbolsDict


def frontend(kind="english", **settings):
    return make_frontend(FrontEndConfig(kind=kind, **settings))


def test_english_is_phones_and_pauses_between_silences():
    symbols = frontend()("Stop, please!")
    assert " ".join(symbols) == "sil S T AA1 P , P L IY1 Z ! sil"
    assert len(encode(symbols, ENGLISH_SYMBOLS)) == len(symbols)


def test_the_released_front_end_marks_pauses_and_ends_with_a_phone():
    symbols = frontend("lexicon")("Stop, please!")
    assert " ".join(symbols) == "@S @T @AA1 @P @sp @P @L @IY1 @Z"
    assert encode(symbols, LEXICON_TABLE) == text_to_sequence("{S T AA1 P sp P L IY1 Z}", ["english_cleaners"])


def test_characters_of_any_script_become_symbols():
    reader = frontend("characters", entries={"Dr": "doktor"})
    assert "".join(reader("Dr Größe; да！")[1:-1]) == "doktor größe;да!"
    table = symbol_table(map(reader, ["abc", "да"]))
    assert table[:2] == ("_", "sil")
    assert encode(reader("ад"), table)


@pytest.mark.parametrize("kind", ["english", "lexicon", "characters"])
@pytest.mark.parametrize("text", ["", "  ", "...!?", "🙂🙂", "\x00\x01", "—"])
def test_a_text_with_nothing_to_say_is_refused(kind, text):
    with pytest.raises(ValueError, match="nothing to say in"):
        frontend(kind)(text)


@pytest.mark.parametrize("kind", ["english", "lexicon", "characters"])
def test_numbers_mixed_scripts_and_control_characters_are_survived(kind):
    text = "Room 101\x07: Привет 漢字 café\u200b — ok 🙂"
    assert len(frontend(kind)(text)) > 10


def test_symbols_that_a_model_does_not_know_are_named_or_left_out(caplog):
    with pytest.raises(ValueError, match="no symbol of the model: 'q'"):
        encode(["a", "q"], ["_", "a"])
    assert encode(["a", "q"], ["_", "a"], strict=False) == [1]
    assert "'q'" in caplog.text
    with pytest.raises(ValueError, match="no symbol of the text is known"):
        encode(["q"], ["_", "a"], strict=False)


def test_espeak_speaks_other_languages():
    pytest.importorskip("phonemizer", reason="extra amphion-tts[espeak]")
    pytest.importorskip("espeakng_loader", reason="extra amphion-tts[espeak]")
    symbols = frontend("espeak", language="de")("Guten Morgen!")
    assert symbols[0] == symbols[-1] == "sil"
    assert "ɡ" in symbols
    with pytest.raises(LookupError, match="no language 'klingonisch'"):
        frontend("espeak", language="klingonisch")("Hello.")
    with pytest.raises(ValueError, match="nothing to say"):
        frontend("espeak")("...")


def test_without_the_extra_espeak_is_asked_for(monkeypatch):
    import sys

    from amphion_core.extras import MissingExtraError
    from amphion_tts.text import espeak

    espeak._backend.cache_clear()
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'amphion-tts\[espeak\]'"):
        frontend("espeak")("Hello.")


def test_sentences_end_at_marks_and_blank_lines_but_not_at_titles():
    text = 'Dr. Smith came at 3 p.m. today. "Really?" she asked! J. R. left.\n\nThe end'
    assert split_sentences(text) == [
        "Dr. Smith came at 3 p.m. today.",
        '"Really?',
        "she asked!",
        "J. R. left.",
        "The end",
    ]


def test_long_sentences_are_cut_at_commas_or_blanks_and_nothing_is_lost():
    text = ("word " * 300 + ", ") * 3 + "x" * 1000
    pieces = split_sentences(text, limit=100)
    assert max(map(len, pieces)) <= 100
    assert "".join(pieces).replace(" ", "") == text.replace(" ", "")


def test_fifty_thousand_characters_are_split_and_read():
    text = "This is a sentence of a long book. " * 1430
    pieces = split_sentences(text)
    assert len(pieces) == 1430
    reader = frontend()
    assert all(reader(piece) for piece in pieces[:50])


def test_symbols_dict_refuses_what_is_no_table():
    with pytest.raises(ValueError, match="line 2 is not of the form"):
        SymbolsDict.parse("a 1\nb\n")
    with pytest.raises(LookupError, match="no symbol 'q'"):
        SymbolsDict.parse("a 1\n").encode(["q"])


def test_unknown_cleaners_are_named():
    with pytest.raises(LookupError, match="no cleaner named 'x'; there are: english_cleaners"):
        text_to_sequence("a", ["x"])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"kind": "characters", "lexicon": "x"}, "a lexicon holds ARPAbet"),
        ({"kind": "espeak", "entries": {"a": "b"}}, "takes no entries"),
        ({"kind": "klingon"}, "kind"),
    ],
)
def test_settings_that_a_front_end_does_not_take_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        FrontEndConfig.parse(settings)
