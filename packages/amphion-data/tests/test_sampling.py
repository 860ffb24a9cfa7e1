import base64
import html.parser
import json
import re

import pytest

from amphion_core import audio
from amphion_core.data import Record, ShardSet, write_shards
from amphion_data.sampling import sample


@pytest.fixture
def shards(tmp_path, tone):
    def encode(row):
        wav = tone(0.2, sample_rate=8000)
        values = {"id": row["id"], "duration": 0.2, "sample_rate": 8000, "text": "<script>alert(1)</script> & “é”"}
        values |= {"language": "en", "speaker": 'a"b', "extra": {"dnsmos": row["dnsmos"], "note": "<b>"}}
        return Record(row["id"], {"flac": audio.encode(wav, 8000, "flac"), "json": json.dumps(values).encode()})

    rows = [{"id": f"r{k:02d}", "dnsmos": k / 10} for k in range(30)]
    write_shards(rows, encode, tmp_path / "set", progress=False)
    return tmp_path / "set"


class Tags(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def test_the_page_plays_the_bytes_that_are_stored_and_asks_for_nothing_else(shards, tmp_path):
    ids = sample(shards, tmp_path / "page.html", count=4)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(page)
    sounds = [attrs["src"] for tag, attrs in tags.found if tag == "audio"]
    opened = ShardSet.open(shards)
    stored = [opened[list(opened.keys).index(ident)].fields["flac"] for ident in ids]
    assert [base64.b64decode(src.removeprefix("data:audio/flac;base64,")) for src in sounds] == stored
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    assert ids == sorted(ids) and len(ids) == 4


def test_texts_are_shown_and_never_part_of_the_page(shards, tmp_path):
    sample(shards, tmp_path / "page.html", count=2)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(page)
    assert not {"script", "b", "img", "iframe"} & {tag for tag, _ in tags.found}
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; “é”" in page


def test_the_draw_depends_on_the_seed_and_the_condition(shards, tmp_path):
    page = tmp_path / "page.html"
    assert sample(shards, page, count=5, seed=1) == sample(shards, page, count=5, seed=1)
    assert sample(shards, page, count=5, seed=1) != sample(shards, page, count=5, seed=2)
    assert set(sample(shards, page, count=50, where="dnsmos < 0.25")) == {"r00", "r01", "r02"}
    assert len(sample(shards, page, count=50)) == 30


def test_a_condition_that_no_row_meets_is_an_error_and_no_page(shards, tmp_path):
    with pytest.raises(ValueError, match=r"no row of .* meets 'dnsmos > 99'"):
        sample(shards, tmp_path / "page.html", where="dnsmos > 99")
    assert not (tmp_path / "page.html").exists()
