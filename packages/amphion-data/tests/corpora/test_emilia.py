import gzip
import io
import json
import tarfile

import numpy as np
import pytest

from amphion_core import audio
from amphion_core.data.reader import ShardSet


def mp3(seconds=3.2, frequency=200.0):
    time = np.arange(int(seconds * 24_000)) / 24_000
    return audio.encode((0.3 * np.sin(2 * np.pi * frequency * time)).astype(np.float32), 24_000, "mp3")


SOUND = mp3()


def fields(id, **changes):
    batch, speaker = id[: len("DE_B00007")], id[: id.rindex("_")]
    values = {"id": id, "wav": f"{batch}/{speaker}/mp3/{id}.mp3", "text": " Das war  gestern.", "duration": 3.2}
    return values | {"speaker": speaker, "language": "DE", "dnsmos": 3.21} | changes


def yodas(id, **changes):
    values = {"_id": id, "text": " That was.", "duration": 3.2, "speaker": "EN_aB-9_xYz012_SPEAKER_01"}
    return values | {"language": "en", "dnsmos": None, "phone_count": 31} | changes


def pack(members, mode="w"):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode=mode) as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return data.getvalue()


def pair(values, key=None, sound=SOUND):
    key = key or values.get("id", values.get("_id"))
    return [(f"{key}.json", json.dumps(values, ensure_ascii=False).encode()), (f"{key}.mp3", sound)]


A, B, C = (f"DE_B00007_S00310_W00000{n}" for n in (4, 5, 6))


def test_rows_of_both_releases_come_from_their_tars(text, run):
    text("Emilia/DE/DE-B000070.tar", pack([*pair(fields(A)), *reversed(pair(fields(B, dnsmos=None)))]))
    text("Emilia-YODAS/EN/EN-B000001.tar", pack(pair(yodas("EN_aB-9_xYz012_W000002"))))
    done = run("emilia")
    row = done.rows[A]
    assert (row.text, row.speaker, row.language) == ("Das war gestern.", "emilia:DE_B00007_S00310", "de")
    assert row.extra["text_raw"] == " Das war  gestern." and row.extra["dnsmos"] == 3.21
    assert (row.extra["release"], row.extra["tar"]) == ("emilia", "Emilia/DE/DE-B000070.tar")
    assert row.extra["wav"] == f"DE_B00007/DE_B00007_S00310/mp3/{A}.mp3"
    assert "_member" not in row.extra and "dnsmos" not in done.rows[B].extra
    other = done.rows["EN_aB-9_xYz012_W000002"]
    assert (other.speaker, other.extra["video"]) == ("yodas:EN_aB-9_xYz012_SPEAKER_01", "aB-9_xYz012")
    assert other.extra["phone_count"] == 31 and other.extra["release"] == "yodas"
    assert not done.drops


def test_durations_are_those_of_the_decoded_audio(text, run):
    text("DE/DE-B000070.tar", pack(pair(fields(A, duration=3.1))))
    row = run("emilia").rows[A]
    assert row.duration == pytest.approx(audio.info(SOUND).duration)
    assert row.extra["warnings"][-1].startswith("duration_differs")


def test_mp3_is_copied_byte_for_byte_where_nothing_changes(text, run):
    text("DE/DE-B000070.tar", pack(pair(fields(A))))
    done = run("emilia", format="mp3")
    shards = ShardSet.open(next(p for p in done.out.iterdir() if p.is_dir()))
    assert shards[0].fields["mp3"] == SOUND


def test_faulty_rows_are_drops_with_their_reasons(text, run):
    members = [
        *pair(fields(A)),
        *pair(fields("DE_B00007_S00310_W000007"), key="DE_B00007_S00310_W000008"),
        *pair(fields("DE_B00007_S00310_W000009", duration=-1)),
        *pair(fields("DE_B00007_S00310_W000010", duration=9.0)),
        ("DE_B00007_S00310_W000011.json", b"[1, 2]"),
        ("DE_B00007_S00310_W000011.mp3", SOUND),
        ("DE_B00007_S00310_W000012.mp3", SOUND),
        *pair(fields("DE_B00007_S00310_W000013"))[:1],
        *pair(fields(A)),
        ("evil.pickle", b"x"),
        ("../../etc/x.mp3", SOUND),
        *pair(fields("DE_B00007_S00310_W000014"), sound=SOUND[: len(SOUND) // 2]),
    ]
    text("DE/DE-B000070.tar", pack(members))
    done = run("emilia")
    assert list(done.rows) == [A]
    assert sorted(done.drops) == sorted(
        [
            ("DE_B00007_S00310_W000008", "bad_row"),
            ("DE_B00007_S00310_W000009", "duration_mismatch"),
            ("DE_B00007_S00310_W000010", "duration_mismatch"),
            ("DE_B00007_S00310_W000011", "bad_row"),
            ("DE_B00007_S00310_W000012", "bad_row"),
            ("DE_B00007_S00310_W000013", "missing_audio"),
            (A, "duplicate_id"),
            (A, "duplicate_id"),
            ("evil.pickle", "unsafe_path"),
            ("../../etc/x.mp3", "unsafe_path"),
            ("DE_B00007_S00310_W000014", "truncated_audio"),
        ]
    )


def test_another_id_than_the_member_is_kept_where_the_stem_is_trusted(text, run):
    text("DE/DE-B000070.tar", pack(pair(fields(A), key=B)))
    assert list(run("emilia", options={"trust_stem": "true"}).rows) == [B]


def test_a_cut_tar_gives_the_rows_before_the_cut(text, run):
    data = pack([*pair(fields(A)), *pair(fields(B)), *pair(fields(C))])
    text("DE/DE-B000070.tar", data[: data.rindex(b"DE_B00007_S00310_W000006.mp3") + 1000])
    done = run("emilia")
    assert sorted(done.rows) == [A, B]
    assert ("DE-B000070.tar", "truncated_audio") in done.drops and (C, "missing_audio") in done.drops


def test_a_tar_that_is_none_costs_only_itself(text, run):
    text("DE/DE-B000070.tar", pack(pair(fields(A))))
    text("DE/DE-B000071.tar", b"<html>" * 500)
    done = run("emilia")
    assert list(done.rows) == [A] and done.drops == [("DE-B000071.tar", "corrupt_audio")]


BATCH = [(f"DE_B00007/DE_B00007_S00310/mp3/{id}.mp3", SOUND) for id in (A, B)]
TABLE = "\n".join(json.dumps(fields(id)) for id in (A, C)) + "\n"


@pytest.mark.parametrize("layout", ["whole", "parts", "big archive"])
def test_the_early_release_is_read_from_its_compressed_batches(text, run, layout):
    data = pack(BATCH, "w:gz")
    if layout == "parts":
        half = len(data) // 2
        text("DE/DE_B00007.tar.gz.0", data[:half])
        text("DE/DE_B00007.tar.gz.1", data[half:])
    else:
        text("DE/DE_B00007.tar.gz", data)
    if layout == "big archive":
        text("openemilia_all.tar.gz", pack([("DE/DE_B00007.jsonl", TABLE.encode())], "w:gz"))
    else:
        text("DE/DE_B00007.jsonl", TABLE)
    done = run("emilia")
    assert list(done.rows) == [A]
    assert (done.rows[A].speaker, done.rows[A].extra["tar"]) == ("emilia:DE_B00007_S00310", "DE/DE_B00007.tar.gz")
    assert done.drops == [(B, "unlisted_audio"), (C, "missing_audio")]


def test_a_cut_compressed_batch_gives_the_rows_before_the_cut(text, run):
    sounds = [audio.encode(noise, 24_000, "mp3") for noise in np.random.default_rng(0).normal(0, 0.1, (3, 76_800))]
    names = [f"DE_B00007/DE_B00007_S00310/mp3/{id}.mp3" for id in (A, B, C)]
    whole = pack(zip(names, sounds, strict=True), "w:gz")
    cut = whole[: -len(sounds[2]) // 2]
    text("DE/DE_B00007.tar.gz", cut)
    text("DE/DE_B00007.jsonl", "\n".join(json.dumps(fields(id)) for id in (A, B, C)))
    done = run("emilia")
    assert list(done.rows) == [A, B]
    assert done.drops == [("DE_B00007.tar.gz", "truncated_audio"), (C, "missing_audio")]


def test_unpacked_batches_are_read_beside_their_lines(text, run):
    for id in (A, B):
        text(f"raw/DE/DE_B00007/DE_B00007_S00310/mp3/{id}.mp3", SOUND)
    text("raw/DE/DE_B00007.jsonl", TABLE)
    done = run("emilia")
    assert done.rows[A].extra["source"] == f"raw/DE/DE_B00007/DE_B00007_S00310/mp3/{A}.mp3"
    assert sorted(done.drops) == sorted(
        [(C, "missing_audio"), (f"raw/DE/DE_B00007/DE_B00007_S00310/mp3/{B}", "unlisted_audio")]
    )


def test_what_the_pipeline_itself_writes_is_read(text, run):
    items = [{"text": " Hi", "start": 1.0, "end": 4.2, "language": "en", "dnsmos": 3.3}]
    items.append({"text": " You", "start": 5.0, "end": 8.2, "speaker": "SPEAKER_00", "language": "en", "dnsmos": 3.1})
    text("talk/talk.json", json.dumps(items))
    text("talk/talk_0.mp3", SOUND)
    done = run("emilia")
    row = done.rows["talk_0"]
    assert (row.text, row.speaker, row.extra["source_start"], row.extra["dnsmos"]) == ("Hi", None, 1.0, 3.3)
    assert done.drops == [("talk_1", "missing_audio")]


def test_pickles_of_the_old_loader_are_named_and_not_opened(text, run):
    text("audio_paths.pkl", b"x")
    with pytest.raises(ValueError, match="never opened"):
        run("emilia")


def drops(done):
    return [json.loads(line) for line in (done.out / "drops.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("layout", ["tar", "early"])
def test_numpy_objects_are_refused_by_name(text, run, layout):
    arrays = [(f"{A}.npy", b"x"), (f"{A}.f0.NPZ", b"x"), ("alone.npy", b"x")]
    if layout == "tar":
        text("DE/DE-B000070.tar", pack([*pair(fields(A)), *arrays, ("README.txt", b"who")]))
    else:
        text("DE/DE_B00007.tar.gz", pack([*BATCH[:1], *arrays, ("../evil.mp3", SOUND)], "w:gz"))
        text("DE/DE_B00007.jsonl", json.dumps(fields(A)))
    done = run("emilia")
    assert list(done.rows) == [A]
    refused = {drop["audio"].rpartition("/")[2]: drop["detail"] for drop in drops(done)}
    assert {reason for _, reason in done.drops} == {"unsafe_path"}
    assert {f"{A}.npy", f"{A}.f0.NPZ", "alone.npy"} <= refused.keys() and "never opened" in refused["alone.npy"]
    assert len(done.drops) == (3 if layout == "tar" else 4)


def test_repairs_are_counted_each_by_its_name(text, run):
    plain = fields(C, text="Ohne.", language="de", speaker=None)
    capital = [(name.replace("mp3", "MP3"), content) for name, content in pair(fields(B))]
    members = [*reversed(pair(fields(A))), *capital, (f"{C}.json", b"\xef\xbb\xbf" + json.dumps(plain).encode())]
    text("DE/DE-B000070.tar", pack([*members, (f"{C}.mp3", SOUND)]))
    done = run("emilia")
    assert done.report.warnings == {
        "audio_before_json": 1,
        "blank_around_text": 2,
        "byte_order_mark": 1,
        "ending_in_capitals": 1,
        "language_in_capitals": 2,
        "speaker_prefix": 2,
    }
    assert done.rows[C].extra["warnings"] == ["byte_order_mark"]


def test_a_row_under_the_name_of_its_member_says_which_id_the_json_has(text, run):
    text("DE/DE-B000070.tar", pack(pair(fields(A, text="x", language="de", speaker=None), key=B)))
    row = run("emilia", options={"trust_stem": "true"}).rows[B]
    assert row.extra["warnings"] == [f"id_of_member: the JSON has {A!r}"]


def test_missing_files_are_named_and_not_the_tars_that_lack_them(text, run):
    text("Emilia/DE/DE-B000070.tar", pack([*pair(fields(A)), *pair(fields(B))[:1], *pair(fields(C))[:1]]))
    (line,) = [line for line in run("emilia").report.comparison.to_lines() if line.startswith("missing")]
    tar = "Emilia/DE/DE-B000070.tar"
    assert line == f"missing: 2 files: {tar}/{B}.mp3, {tar}/{C}.mp3"


def test_rows_without_text_are_dropped_unless_they_are_wanted(text, run):
    without = {name: value for name, value in fields(C).items() if name != "text"}
    text("DE/DE-B000070.tar", pack([*pair(fields(A)), *pair(fields(B, text="  ")), *pair(without)]))
    assert run("emilia").drops == [(B, "empty_text"), (C, "missing_text")]
    assert run("emilia", out="all", require_text=False).rows[C].text is None


def test_a_label_of_a_speaker_is_that_of_its_recording(text, run):
    for name in ("one", "two"):
        text(f"{name}.json", json.dumps([{"text": "Hi", "speaker": "SPEAKER_00", "language": "en"}]))
        text(f"{name}_0.mp3", SOUND)
    rows = run("emilia").rows
    assert [rows[id].speaker for id in ("one_0", "two_0")] == ["emilia:one_SPEAKER_00", "emilia:two_SPEAKER_00"]


def test_drops_of_broken_archives_do_not_say_where_the_corpus_lies(text, root, run):
    text("DE/DE-B000070.tar", pack(pair(fields(A))))
    text("DE/DE-B000071.tar", b"")
    text("DE/DE_B00007.tar.gz", b"\x1f\x8bjunk")
    text("DE/DE_B00007.jsonl", json.dumps(fields(B)))
    done = run("emilia")
    assert done.drops == [
        ("DE-B000071.tar", "corrupt_audio"),
        ("DE_B00007.tar.gz", "corrupt_audio"),
        (B, "missing_audio"),
    ]
    assert "DE/DE-B000071.tar is empty" in drops(done)[0]["detail"]
    assert str(root) not in (done.out / "drops.jsonl").read_text(encoding="utf-8")


@pytest.mark.parametrize("stated", [float("nan"), "3.2", [3.2], True])
def test_a_rating_that_is_no_number_is_left_out_and_noted(text, run, stated):
    text("DE/DE-B000070.tar", pack([*pair(fields(A, dnsmos=stated)), *pair(fields(B))]))
    done = run("emilia")
    assert done.report.warnings["no_number"] == 1
    assert (done.rows[A].extra.get("dnsmos"), done.rows[B].extra["dnsmos"]) == (None, 3.21)


@pytest.mark.parametrize("layout", ["tar", "early", "unpacked", "list"])
def test_fields_of_the_json_do_not_say_what_to_read_of_the_clip(text, run, layout):
    stated = {"start": 100, "end": 103.2, "channel": 3, "split": "none", "_member": [0, 4], "_channels": 9}
    values = fields(A, **stated)
    if layout == "tar":
        text("DE/DE-B000070.tar", pack(pair(values)))
    elif layout == "list":
        text("talk.json", json.dumps([{"text": "Hi", "language": "de", **stated}]))
        text("talk_0.mp3", SOUND)
    else:
        text("DE/DE_B00007.jsonl", json.dumps(values))
        batch = pack(BATCH[:1], "w:gz")
        text(*(("DE/DE_B00007.tar.gz", batch) if layout == "early" else (f"DE/DE_B00007/{A}.mp3", SOUND)))
    done = run("emilia")
    (row,) = done.rows.values()
    assert row.duration == pytest.approx(audio.info(SOUND).duration)
    assert (row.extra["source_start"], row.extra["source_channel"], row.extra["source_split"]) == (100, 3, "none")
    assert not {"start", "end", "channel", "_member", "_channels"} & row.extra.keys()
    assert done.report.warnings["private_field"] == 2 and not done.drops


def test_a_field_that_has_the_new_name_of_another_stays_and_the_other_is_noted(text, run):
    text("DE/DE-B000070.tar", pack(pair(fields(A, start=1.0, source_start=2.0))))
    row = run("emilia").rows[A]
    assert row.extra["source_start"] == 2.0
    assert "field_twice: start of the JSON is left out, since it has source_start too" in row.extra["warnings"]


@pytest.mark.parametrize("layout", ["tar", "early"])
def test_of_several_audio_members_of_one_name_the_first_by_name_stays(text, run, layout):
    sounds = [(f"a/{A}.wav", b"junk"), (f"a/{A}.mp3", SOUND), (f"a/{A}.aiff", b"junk")]
    if layout == "tar":
        text("DE/DE-B000070.tar", pack([*sounds, *pair(fields(A), key=f"a/{A}")[:1]]))
    else:
        text("DE/DE_B00007.tar.gz", pack([(f"b/{A}.flac", b"junk"), *sounds], "w:gz"))
        text("DE/DE_B00007.jsonl", json.dumps(fields(A)))
    done = run("emilia")
    assert list(done.rows) == [A]
    further = {f"a/{A}.wav": "duplicate_id", f"a/{A}.aiff": "unsupported_audio"}
    further |= {f"b/{A}.flac": "duplicate_id"} if layout == "early" else {}
    assert {drop["audio"].split("/", 2)[2]: drop["reason"] for drop in drops(done)} == further


def test_loose_audio_and_hidden_files_beside_tars_are_drops(text, run):
    text("DE/DE-B000070.tar", pack(pair(fields(A))))
    text("DE/stray.mp3", SOUND)
    text("DE/._stray.mp3", b"x")
    text("DE/._DE-B000071.tar", b"x")
    text("__MACOSX/DE/DE_B00007.tar.gz.0", b"x")
    text("DE/.DE_B00007.jsonl", "junk")
    done = run("emilia")
    assert list(done.rows) == [A]
    assert {drop["audio"]: drop["reason"] for drop in drops(done)} == {
        "DE/stray.mp3": "unlisted_audio",
        "DE/._stray.mp3": "hidden_file",
        "DE/._DE-B000071.tar": "hidden_file",
        "__MACOSX/DE/DE_B00007.tar.gz.0": "hidden_file",
        "DE/.DE_B00007.jsonl": "hidden_file",
    }


def test_hidden_tables_and_damage_of_the_big_archive_are_drops(text, run):
    text("DE/DE_B00007.tar.gz", pack(BATCH[:1], "w:gz"))
    members = [("DE/._DE_B00007.jsonl", b"x"), ("DE/DE_B00007.jsonl", json.dumps(fields(A)).encode())]
    tables = pack([*members, ("DE/DE_B00008.jsonl", b" " * 2000)])
    text("openemilia_all.tar.gz", gzip.compress(tables[: tables.rindex(b"DE/DE_B00008.jsonl") + 1000]))
    done = run("emilia")
    assert list(done.rows) == [A]
    assert done.drops == [("DE/._DE_B00007.jsonl", "hidden_file"), ("openemilia_all.tar.gz", "truncated_audio")]


def test_an_unpacked_clip_that_lies_in_two_folders_is_taken_once(text, run):
    for folder in ("a", "b"):
        text(f"DE/{folder}/{A}.mp3", SOUND)
    text("DE/DE_B00007.jsonl", json.dumps(fields(A)))
    done = run("emilia")
    assert done.rows[A].extra["source"] == f"DE/a/{A}.mp3" and done.drops == [(f"DE/b/{A}", "duplicate_id")]


@pytest.mark.parametrize("layout", ["early", "unpacked", "big archive", "elsewhere"])
def test_batches_of_one_name_in_two_folders_have_their_own_tables(text, run, layout):
    tables = {}
    for folder, id in (("EN", A), ("ZH", B)):
        name = f"{folder}/EN_B00000"
        tables[f"{name}.jsonl"] = json.dumps(fields(id))
        if layout == "unpacked":
            text(f"{name}/{id}.mp3", SOUND)
        else:
            text(f"{name}.tar.gz", pack([(f"x/{id}.mp3", SOUND)], "w:gz"))
    if layout == "big archive":
        members = [(name, table.encode()) for name, table in tables.items()]
        text("openemilia_all.tar.gz", pack(members, "w:gz"))
        text("ZH/EN_B00000.jsonl", tables["ZH/EN_B00000.jsonl"])
    else:
        for name, table in tables.items():
            text(f"tables/{name}" if layout == "elsewhere" else name, table)
    done = run("emilia")
    assert sorted(done.rows) == [A, B] and not done.drops


def test_a_table_of_an_unpacked_batch_is_not_that_of_an_archive_elsewhere(text, run):
    text("EN/EN_B00000.tar.gz", pack([(f"x/{A}.mp3", SOUND)], "w:gz"))
    text(f"ZH/EN_B00000/{B}.mp3", SOUND)
    text("ZH/EN_B00000.jsonl", json.dumps(fields(B)))
    done = run("emilia")
    assert list(done.rows) == [B] and done.drops == [(A, "bad_row")]


@pytest.mark.parametrize("stated", [5, "ab", [1], {"a": 1}])
def test_warnings_of_the_json_that_are_no_list_of_words_get_another_name(text, run, stated):
    text("DE/DE-B000070.tar", pack(pair(fields(A, warnings=stated, language="de", speaker=None, text="x"))))
    done = run("emilia")
    assert done.rows[A].extra["custom_warnings"] == stated and not done.report.warnings


def test_warnings_of_the_json_stand_before_ours(text, run):
    text("DE/DE-B000070.tar", pack(pair(fields(A, warnings=["noise"], speaker=None, text="x"))))
    assert run("emilia").rows[A].extra["warnings"] == ["noise", "language_in_capitals"]
