"""OpenSinger, PopCS, PopBuTFy, M4Singer, Opencpop, Opera: audio that is missing or elsewhere, labels that are wrong."""

import json

import pytest


@pytest.fixture
def details(root):
    """Details of the drops of a preparation, by id; no path of this machine stands in them."""

    def read(done):
        lines = (done.out / "drops.jsonl").read_text(encoding="utf-8")
        assert str(root) not in lines
        return {drop["id"]: drop["detail"] for drop in map(json.loads, lines.splitlines())}

    return read


def test_opensinger_names_texts_and_labels_without_audio_once(sound, text, run, details):
    sound("ManRaw/3_歌/3_歌_0.wav")
    text("ManRaw/3_歌/3_歌_0.TXT", "你好")
    text("ManRaw/3_歌/3_歌_4.txt", "你好")
    text("ManRaw/3_歌/3_歌_4.lab", "n i h ao")
    text("WomanRaw/3_歌/3_歌_5.LAB", "n i")
    text("WomanRaw/notes.txt", "no clip")
    text("LICENSE.txt", "no clip")
    done = run("opensinger")
    assert done.rows["Man_3_歌_0"].text == "你好"
    assert done.drops == [("Man_3_歌_4", "missing_audio"), ("Woman_3_歌_5", "missing_audio")]
    assert details(done)["Man_3_歌_4"] == "no audio file: ManRaw/3_歌/3_歌_4.wav; ManRaw/3_歌/3_歌_4.lab is there"


def test_opensinger_audio_in_other_folders_is_dropped_by_name(sound, text, run):
    sound("ManRaw/3_x/3_x_0.wav")
    text("ManRaw/3_x/3_x_0.txt", "你")
    sound("Other/3_x/3_x_0.wav")
    sound("lost.wav")
    sound("ManRaw/lost.wav")
    assert run("opensinger").drops == [
        ("Other/3_x/3_x_0", "unlisted_audio"),
        ("lost", "unlisted_audio"),
        ("lost", "unlisted_audio"),
    ]


def test_opensinger_labels_with_times_are_read_as_such(sound, text, run, details):
    labs = {
        0: "0 2000000 n\n2000000 4000000 i\n",
        1: "0.0 0.2 n\n0.2 0.4 i",
        2: "nan nan n\ni",
        3: "0 2000000 n\n2000000",
    }
    for number, lab in labs.items():
        sound(f"ManRaw/3_x/3_x_{number}.wav")
        text(f"ManRaw/3_x/3_x_{number}.txt", "你")
        text(f"ManRaw/3_x/3_x_{number}.lab", lab)
    done = run("opensinger")
    for number in (0, 1):
        extra = done.rows[f"Man_3_x_{number}"].extra
        assert (extra["phones"], extra["phone_starts"], extra["phone_durations"]) == (
            ["n", "i"],
            [0.0, 0.2],
            [0.2, 0.2],
        )
    assert done.rows["Man_3_x_2"].extra["phones"] == ["nan", "nan", "n", "i"]  # 南 is no number
    assert done.drops == [("Man_3_x_3", "bad_row")]
    assert details(done)["Man_3_x_3"].startswith("3_x_3.lab: line 2: expected 'start end label'")
