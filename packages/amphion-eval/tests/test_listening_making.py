import html
import json
import re
from collections import Counter

import numpy as np
import pytest

from amphion_core import audio
from amphion_eval.listening.anchors import low_pass
from amphion_eval.listening.making import KINDS, make_test
from amphion_eval.pairing import PairingError


@pytest.fixture
def places(tmp_path, tone):
    """A reference and two systems with 4 clips each."""
    found = {}
    for name, factor in (("wavs", 1.0), ("ours", 1.01), ("base", 1.06)):
        found[name] = tmp_path / name
        found[name].mkdir()
        for number in range(4):
            wav = tone(f0=120 * factor + 10 * number, seconds=0.2).astype(np.float32)
            audio.save(found[name] / f"clip{number}.wav", wav, 16000)
    return found


def made(kind, places, out, **options):
    systems = {name: places[name] for name in ("ours", "base")}
    reference = None if kind == "mos" else places["wavs"]
    return make_test(kind, out, systems, **{"reference": reference, **options})


def plan_of(test):
    text = test.page.read_text(encoding="utf-8")
    return json.loads(re.search(r'<script type="application/json" id="plan">(.*?)</script>', text, re.DOTALL)[1])


@pytest.mark.parametrize("kind", KINDS)
def test_page_and_key_belong_together(kind, places, tmp_path):
    test = made(kind, places, tmp_path / "out")
    plan, key = plan_of(test), json.loads(test.key.read_text(encoding="utf-8"))
    assert plan["plan"] == key["plan"] and plan["kind"] == key["kind"] == kind
    assert set(plan["audio"]) == set(key["sounds"])
    heard = {sound for trial in plan["trials"] for sound in trial["sounds"]}
    assert heard <= set(key["sounds"]) and {trial["id"] for trial in plan["trials"]} == set(key["trials"])
    assert all(sorted({trial for trial, _ in row}) == list(range(len(plan["trials"]))) for row in plan["rows"])
    assert test.trials == len(plan["rows"][0]) and test.rows == len(plan["rows"])


@pytest.mark.parametrize("kind", KINDS)
def test_page_tells_no_listener_which_system_is_heard(kind, places, tmp_path):
    test = made(kind, places, tmp_path / "out", title="Test")
    text = json.dumps({name: value for name, value in plan_of(test).items() if name != "audio"})
    assert not re.search(r"\b(ours|base|wavs|clip\d)\b", text)


@pytest.mark.parametrize("kind", KINDS)
def test_page_needs_no_network_and_allows_none(kind, places, tmp_path):
    text = made(kind, places, tmp_path / "out").page.read_text(encoding="utf-8")
    policy = html.unescape(re.search(r'http-equiv="Content-Security-Policy" content="(.*?)"', text)[1])
    assert "default-src 'none'" in policy and "connect-src 'none'" in policy and "media-src data:" in policy
    assert not re.search(r"https?://", text)


def test_answers_can_be_sent_to_one_address_and_no_other(places, tmp_path):
    text = made("mos", places, tmp_path / "out", post="https://example.org/a?b=1").page.read_text(encoding="utf-8")
    assert "connect-src https://example.org;" in text and '"post":"https://example.org/a?b=1"' in text


def test_sounds_can_lie_beside_the_page(places, tmp_path):
    test = made("mushra", places, tmp_path / "out", embed=False)
    paths = plan_of(test)["audio"].values()
    assert all((test.page.parent / path).is_file() for path in paths) and len(set(paths)) == len(paths)
    assert sorted(p.name for p in test.page.parent.iterdir()) == ["audio", "index.html"]  # the key is not among them


def test_mushra_hides_the_reference_and_anchors_among_the_systems(places, tmp_path):
    test = made("mushra", places, tmp_path / "out")
    plan, key = plan_of(test), json.loads(test.key.read_text(encoding="utf-8"))
    for trial in plan["trials"]:
        roles = Counter(key["sounds"][sound]["role"] for sound in trial["sounds"])
        assert roles == {"system": 2, "hidden reference": 1, "anchor": 2}
        assert trial["reference"] not in trial["sounds"]


def test_hidden_reference_is_the_reference_and_the_anchor_its_low_pass(places, tmp_path):
    test = made("mushra", places, tmp_path / "out", embed=False, anchors=(3500,))
    key = json.loads(test.key.read_text(encoding="utf-8"))
    sounds = {
        about["system"] + about["role"]: name for name, about in key["sounds"].items() if about["item"] == "clip1"
    }
    wavs = {what: audio.load(test.page.parent / "audio" / f"{name}.wav")[0] for what, name in sounds.items()}
    assert np.array_equal(wavs["referencereference"], wavs["referencehidden reference"])
    expected = low_pass(wavs["referencereference"], 16000, 3500)
    assert wavs["anchor 3500anchor"] == pytest.approx(expected, abs=2**-15)  # 16 bits


def test_anchor_that_the_sounds_are_too_narrow_for_is_left_out_and_said(places, tmp_path):
    test = made("mushra", places, tmp_path / "out", anchors=(3500, 7500))
    assert test.notes == ("no anchor of 7500 Hz: the sounds have 16000 Hz",)


def test_practice_items_are_not_asked_about(places, tmp_path):
    test = made("mos", places, tmp_path / "out", training=2)
    plan, key = plan_of(test), json.loads(test.key.read_text(encoding="utf-8"))
    of = lambda trials: {key["sounds"][sound]["item"] for trial in trials for sound in trial["sounds"]}  # noqa: E731
    assert len(of(plan["training_trials"])) == len(of(plan["trials"])) == 2
    assert not of(plan["training_trials"]) & of(plan["trials"])


def test_abx_without_reference_sets_each_system_against_each(places, tmp_path):
    test = make_test("abx", tmp_path / "out", places, repeats=1)
    key = json.loads(test.key.read_text(encoding="utf-8"))
    pairs = {tuple(key["sounds"][sound]["system"] for sound in trial["sounds"]) for trial in plan_of(test)["trials"]}
    assert pairs == {("wavs", "ours"), ("wavs", "base"), ("ours", "base")}


def test_same_arguments_give_the_same_bytes_and_another_seed_others(places, tmp_path):
    texts = [made("mos", places, tmp_path / f"{n}", seed=s).page.read_bytes() for n, s in enumerate((0, 0, 1))]
    assert texts[0] == texts[1] != texts[2]


def test_folder_of_another_test_is_left_alone(places, tmp_path, tone):
    first = made("mos", places, tmp_path / "out")
    kept = first.key.read_bytes()
    assert made("mos", places, tmp_path / "out").key.read_bytes() == kept  # the same once more
    audio.save(places["ours"] / "clip0.wav", tone(300.0, 0.2).astype(np.float32), 16000)
    with pytest.raises(ValueError, match="holds another test"):
        made("mos", places, tmp_path / "out")  # same names, another sound
    assert first.key.read_bytes() == kept


@pytest.mark.slow
def test_loudness_can_be_made_equal(tmp_path, tone):
    systems = {"soft": 0.02, "loud": 0.2}
    for name, gain in systems.items():
        audio.save(tmp_path / name / "clip.wav", tone(seconds=1.0, gain=gain).astype(np.float32), 16000)
    places = {name: tmp_path / name for name in systems}
    test = make_test("mos", tmp_path / "out", places, loudness=-30, embed=False, training=0)
    found = [audio.loudness(*audio.load(path)) for path in (test.page.parent / "audio").iterdir()]
    assert found == pytest.approx([-30, -30], abs=0.1)


def test_clip_without_loudness_is_named(places, tmp_path):
    with pytest.raises(ValueError, match=r"clip\d.wav: the clip is shorter than 0.4 s"):
        made("mos", places, tmp_path / "out", loudness=-30)


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        ("mushra", {"reference": None}, "needs a reference"),
        ("mos", {"items": 9}, "there are 4"),
        ("mos", {"audio": "aac"}, "aac"),
        ("mushra", {"audio": "flac"}, "take wav"),
        ("mos", {"post": "javascript:alert(1)"}, "http"),
        ("cmos", {}, "mushra"),
    ],
)
def test_what_makes_no_test_is_refused(kind, options, said, places, tmp_path):
    with pytest.raises(ValueError, match=said):
        made(kind, places, tmp_path / "out", **options)


def test_reserved_name_is_refused(places, tmp_path):
    with pytest.raises(ValueError, match="call the system otherwise"):
        make_test("mos", tmp_path / "out", {"reference": places["ours"]})


def test_items_that_a_system_lacks_are_all_named(places, tmp_path):
    (places["ours"] / "clip1.wav").unlink()
    (places["base"] / "clip2.wav").unlink()
    with pytest.raises(PairingError, match=r"(?s)clip1: not in ours.*clip2: not in base"):
        made("mos", places, tmp_path / "out")


def test_other_rates_are_refused(places, tmp_path, tone):
    audio.save(places["ours"] / "clip1.wav", tone(rate=24000).astype(np.float32), 24000)
    with pytest.raises(ValueError, match="24000 Hz"):
        made("mos", places, tmp_path / "out")
