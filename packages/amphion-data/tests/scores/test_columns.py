import pytest

from amphion_data.scores import Score, ScoreError, pitch_name, pitch_number, score_from_columns


def columns(phones, pitches, lengths, slurs=None, durations=None):
    phones = phones.split()
    durations = durations or [length / 2 for length in lengths]
    return phones, durations, pitches, lengths, slurs or [0] * len(phones)


def test_initial_and_final_share_a_note_and_a_rest_stands_alone():
    score, warnings = score_from_columns(
        *columns("k uai p ao SP", [63, 63, 64, 64, 0], [0.31, 0.31, 0.55, 0.55, 0.4]), lyrics="快跑"
    )
    assert score.notes == (63, 64, 0) and score.note_durations == (0.31, 0.55, 0.4)
    assert score.note_of_phone == (0, 0, 1, 1, 2)
    assert score.words == ((0, 1, "快"), (2, 3, "跑"))
    assert not warnings


def test_a_slur_opens_a_further_note_of_the_same_syllable():
    score, _ = score_from_columns(*columns("h ao ao", [62, 62, 64], [0.6, 0.6, 0.7], [0, 0, 1]), lyrics="好")
    assert score.notes == (62, 64) and score.note_of_phone == (0, 0, 1) and score.words == ((0, 2, "好"),)


def test_equal_neighbours_on_one_pitch_are_two_syllables_told_apart_by_their_initials():
    score, _ = score_from_columns(*columns("d a d a", [60] * 4, [0.5] * 4), lyrics="大大")
    assert score.notes == (60, 60) and score.note_of_phone == (0, 0, 1, 1)


def test_finals_without_initials_are_syllables_of_their_own():
    score, warnings = score_from_columns(*columns("a ai er l a", [60] * 5, [0.5] * 5), lyrics="啊爱儿啦")
    assert score.note_of_phone == (0, 1, 2, 3, 3) and not warnings


def test_spellings_of_breath_and_pause_become_one_and_are_counted():
    score, warnings = score_from_columns(*columns("<AP> a pau sil", [0, 60, 0, 0], [0.2] * 4))
    assert score.phones == ("AP", "a", "SP", "SP") and score.notes == (0, 60, 0, 0)
    assert warnings == ["special_phone: 3 breaths and pauses renamed to AP and SP"]


def test_lyrics_of_another_length_are_noted_and_leave_the_words_without_text():
    score, warnings = score_from_columns(*columns("h ao", [60, 60], [0.5, 0.5]), lyrics="你好，")
    assert score.words == ((0, 1, ""),)
    assert warnings == ["syllable_count: 1 syllables for 2 characters of the lyrics"]


def test_unknown_phones_are_noted():
    _, warnings = score_from_columns(*columns("k xyz", [60, 60], [0.5, 0.5]))
    assert warnings == ["unknown_phone: xyz"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((["a"], [0.1, 0.2], [60], [0.1], [0]), "1 phones, but 2 phone durations"),
        ((["a"], [-0.1], [60], [0.1], [0]), "no length of time: -0.1"),
        ((["a"], [0.1], [109], [0.1], [0]), "outside 21 to 108: 109"),
        ((["a"], [0.1], [0], [0.1], [0]), "sung on a rest"),
        ((["SP"], [0.1], [60], [0.1], [0]), "stands on a note"),
        ((["h", "ao", "ai"], [0.1] * 3, [60, 60, 62], [0.1] * 3, [0, 0, 1]), "continues ao"),
    ],
)
def test_columns_that_contradict_themselves_are_refused(arguments, words):
    with pytest.raises(ScoreError, match=words):
        score_from_columns(*arguments)


def test_phones_must_last_as_long_as_the_audio():
    score, _ = score_from_columns(*columns("a SP", [60, 0], [1.0, 1.0], durations=[0.5, 0.45]))
    assert score.check(1.04) is score
    with pytest.raises(ScoreError, match=r"last 0\.950 s, the audio 1\.100 s"):
        score.check(1.1)


def test_score_survives_json():
    score, _ = score_from_columns(*columns("h ao SP", [60, 60, 0], [0.5, 0.5, 0.2]), lyrics="好", tempo=92.0)
    assert Score.from_dict(score.to_dict()) == score
    names = {"tempo", "phones", "phone_durations", "words", "notes", "note_durations", "note_of_phone", "slur"}
    assert set(score.to_dict()) == names


def test_a_mapping_without_the_lists_is_no_score():
    with pytest.raises(ScoreError, match="no list for phones"):
        Score.from_dict({"notes": []})


@pytest.mark.parametrize(
    ("name", "number"), [("C4", 60), ("A4", 69), ("D#4/Eb4", 63), ("rest", 0), ("C-1", 0), ("B#3", 60), ("Cb4", 59)]
)
def test_names_of_pitches_have_their_numbers(name, number):
    assert pitch_number(name) == number


@pytest.mark.parametrize("number", range(21, 109))
def test_names_and_numbers_are_inverse(number):
    assert pitch_number(pitch_name(number)) == number


@pytest.mark.parametrize(("name", "words"), [("H4", "no pitch"), ("D#4/E4", "names 2 pitches"), ("", "no pitch")])
def test_other_names_are_refused(name, words):
    with pytest.raises(ValueError, match=words):
        pitch_number(name)
