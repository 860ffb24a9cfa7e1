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


def test_phrases_of_the_evaluation_are_never_trained_on(sound, run):
    for path in ("IDF1/10001", "IDF1/30001", "IDF1/abc", "ground_truth/IDF1/30001", "evaluation/SF1/10001"):
        sound(f"{path}.wav")
    done = run("svcc2023")
    assert {id: row.extra["split"] for id, row in done.rows.items()} == {"IDF1_10001": "train", "IDF1_30001": "test"}
    assert done.rows["IDF1_30001"].extra["role"] == "ground_truth"
    assert done.drops == [("10001", "unlisted_audio"), ("30001", "unlisted_audio"), ("abc", "unlisted_audio")]
