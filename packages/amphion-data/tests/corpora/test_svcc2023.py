import json

import pytest


@pytest.mark.parametrize("prefix", ["", "Data/"])
def test_texts_without_their_audio_are_drops_and_other_texts_are_not(sound, text, run, prefix):
    sound(f"{prefix}IDF1/10001.wav")
    text(f"{prefix}CDF1/10009.txt", "no audio")
    text("README.txt", "x")
    done = run("svcc2023")
    assert list(done.rows) == ["IDF1_10001"] and done.drops == [("CDF1_10009", "missing_audio")]
    drop = json.loads((done.out / "drops.jsonl").read_text())
    assert drop["detail"] == f"{prefix}CDF1/10009.txt is there, {prefix}CDF1/10009.wav is not"
