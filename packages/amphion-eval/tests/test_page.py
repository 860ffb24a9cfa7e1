import html.parser
import re

import numpy as np
import pytest

from amphion_core import audio
from amphion_eval import score
from amphion_eval.page import page, write_page
from amphion_eval.pairing import find_pairs
from amphion_eval.report import load_report

METRICS = ("energy_rmse_db", "f0_rmse_cents", "vuv_f1")
WICKED = 'ü <script>alert(1)</script> "x" & 你好'


class Structure(html.parser.HTMLParser):
    """Tags, attributes and addresses of a page; closes must match opens."""

    VOID = {"meta", "img", "link", "br", "wbr", "input", "circle", "line", "path"}

    def __init__(self, text):
        super().__init__()
        self.open, self.seen = [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def of(self, tag):
        return [attrs for name, attrs in self.seen if name == tag]


@pytest.fixture
def results(tmp_path, folders, voice):
    """Two systems: one transposed, one of which an item is silent; the first item has a wicked name and a text."""
    ref, est = folders
    other = tmp_path / "other"
    other.mkdir()
    wicked = WICKED.replace("/", "∕")
    for folder in (ref, est):
        (folder / "a.wav").rename(folder / f"{wicked}.wav")
    (ref / f"{wicked}.txt").write_text("a <b>text</b>", encoding="utf-8")
    for path in sorted(ref.glob("*.wav")):
        wav = np.zeros(4000, np.float32) if path.name == "b.wav" else audio.load(path)[0] * 0.5
        audio.save(other / path.name, wav, 16000)
    return [
        score(find_pairs(ref, folder)[0], METRICS, f0="dio", name=name)
        for folder, name in ((est, "ours <i>"), (other, "half"))
    ]


def test_page_needs_nothing_beside_itself(results):
    structure = Structure(page(results))
    addresses = [attrs[key] for _, attrs in structure.seen for key in ("src", "href") if key in attrs]
    assert addresses and all(re.match(r"data:(audio|image)/|#item-", address) for address in addresses)
    assert not structure.of("link")


def test_page_has_players_pictures_and_curves_of_all_systems(results):
    text = page(results)
    structure = Structure(text)
    assert len(structure.of("audio")) == len(structure.of("img")) == 9  # 3 items, the recording and 2 systems
    assert text.count('class="curve"') >= 8  # a silent clip has a curve without points, or none


def test_names_and_texts_are_escaped(results):
    text = page(results)
    assert "<script>alert" not in text and "ours <i>" not in text and "a <b>text</b>" not in text
    assert "你好" in text and "a &lt;b&gt;text&lt;/b&gt;" in text


def test_undefined_values_say_why(results):
    assert "no frame is voiced in both" in page(results)


def test_systems_of_other_alignment_stand_on_one_page_in_lines_of_their_own(results, folders):
    warped = score(find_pairs(*folders)[0], ["energy_rmse_db"], align="dtw", name="warped")
    text = page([*results, warped])
    Structure(text)
    assert "energy_<wbr>rmse_<wbr>db (dtw)" in text and "alignment cut and dtw" in text


def test_only_so_many_items_are_embedded_but_all_are_listed(results):
    structure = Structure(page(results, max_items=1))
    assert len(structure.of("article")) == 1 and len([1 for a in structure.of("td") if a.get("class") == "name"]) >= 6


def test_worst_item_comes_first(results):
    text = page(results)
    assert re.findall(r"<h3>(.*?)</h3>", text)[0] == "b"  # silent in one system


def test_audio_that_is_gone_is_said_and_not_fatal(results, folders):
    (folders[0] / "c.wav").unlink()
    assert "No audio" in page(results)


@pytest.mark.parametrize("coding", ["mp3", "wav", "ogg"])
def test_players_take_the_coding_asked_for(results, coding):
    kinds = {attrs["src"].partition(";")[0] for attrs in Structure(page(results, audio=coding)).of("audio")}
    assert kinds == {{"mp3": "data:audio/mpeg", "wav": "data:audio/wav", "ogg": "data:audio/ogg"}[coding]}


def test_page_without_sound_has_no_player(results):
    assert not Structure(page(results, audio="none")).of("audio")


def test_unknown_coding_is_refused(results):
    with pytest.raises(ValueError, match="flac"):
        page(results, audio="aac")


def test_saved_results_make_the_same_page(results, tmp_path):
    for number, result in enumerate(results):
        result.to_json(tmp_path / f"{number}.json")
    loaded = [load_report(tmp_path / f"{number}.json") for number in range(2)]
    write_page(loaded, tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == page(results)


def test_no_result_is_refused():
    with pytest.raises(ValueError, match="no result"):
        page([])


def test_outputs_without_recordings_stand_alone(folders):
    from amphion_eval.pairing import find_estimates

    text = page([score(find_estimates(folders[1]), ["loudness"], name="ours")])
    structure = Structure(text)
    assert len(structure.of("audio")) == 3 and "No audio" not in text and "recording" not in text.split("</style>")[1]


def test_page_tells_the_protocol_and_what_it_lacks(results):
    from dataclasses import replace

    said = {"protocol": {"name": "vocoder"}, "metrics_left_out": {"utmos": "weights"}}
    text = page([replace(results[0], provenance={**results[0].provenance, **said})])
    assert "protocol vocoder · not computed here: utmos" in text
