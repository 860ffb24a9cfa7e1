import io
import tarfile

import numpy as np
import pytest

from amphion_core.data.tar import END, StreamCheck, TarError, header, members, padding


def archive(entries):
    return b"".join(header(name, len(data)) + data + padding(len(data)) for name, data in entries) + END


def walk(data):
    return list(members(lambda offset, size: data[offset : offset + size], len(data)))


ENTRIES = [("a.json", b"{}"), ("b.flac", b"x" * 1000), ("ü" * 80 + ".txt", b""), ("n" * 300 + ".npy", b"y" * 512)]


def test_tarfile_reads_what_is_written():
    with tarfile.open(fileobj=io.BytesIO(archive(ENTRIES))) as tar:
        found = [(m.name, tar.extractfile(m).read(), m.mtime, m.mode, m.uid, m.uname) for m in tar]
    assert found == [(name, data, 0, 0o644, 0, "") for name, data in ENTRIES]


def test_members_are_found_where_they_are():
    data = archive(ENTRIES)
    assert [(m.name, data[m.offset : m.offset + m.size], m.kind) for m in walk(data)] == [
        (n, d, "file") for n, d in ENTRIES
    ]


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_archives_of_others_are_read(format):
    buffer = io.BytesIO()
    names = ["a/b.txt", "d" * 90 + "/" + "e" * 60 + ".txt"]
    if format != tarfile.USTAR_FORMAT:
        names.append("ü" * 150 + ".txt")
    with tarfile.open(fileobj=buffer, mode="w", format=format) as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 5
            info.mtime = 1.5
            tar.addfile(info, io.BytesIO(b"hello"))
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        link = tarfile.TarInfo("link.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    found = walk(buffer.getvalue())
    assert [m.name for m in found if m.kind == "file"] == names
    assert [m.kind for m in found][-2:] == ["folder", "symbolic link"]


def test_every_cut_is_noticed_but_those_between_two_members():
    data = archive([("a.txt", b"x" * 700), ("b.txt", b"y" * 10)])
    between = {512 + 1024: 1, 512 + 1024 + 1024: 2, 512 + 1024 + 1024 + 512: 2}
    for size in [*range(1, 3072, 37), *between]:
        if size in between:  # no different from an archive that was never closed; `scan` warns of it
            assert len(walk(data[:size])) == between[size]
        else:
            with pytest.raises(TarError):
                walk(data[:size])


def test_a_destroyed_header_in_the_middle_is_an_error_and_not_an_end():
    data = bytearray(archive([("a.txt", b"x"), ("b.txt", b"y"), ("c.txt", b"z")]))
    data[1024:1536] = bytes(512)
    with pytest.raises(TarError, match="follows the end"):
        walk(bytes(data))
    data[1024:1536] = b"garbage!" * 64
    with pytest.raises(TarError, match="no valid header at byte 1024"):
        walk(bytes(data))


def test_garbage_is_no_tar():
    with pytest.raises(TarError, match="no valid header at byte 0"):
        walk(np.random.default_rng(0).bytes(4096))


@pytest.mark.parametrize("step", [1, 100, 512, 5000])
def test_a_stream_in_pieces_is_followed_to_its_end(step):
    data = archive(ENTRIES)
    check = StreamCheck()
    for k in range(0, len(data), step):
        check.feed(data[k : k + step])
    check.finish()


def test_a_stream_that_breaks_off_is_noticed():
    check = StreamCheck()
    check.feed(archive(ENTRIES)[:1300])
    with pytest.raises(TarError, match="cut at byte 1300"):
        check.finish()


def test_a_stream_with_a_destroyed_header_is_noticed():
    data = bytearray(archive([("a.txt", b"x"), ("b.txt", b"y")]))
    data[1024:1536] = bytes(512)
    with pytest.raises(TarError, match="follows the end"):
        StreamCheck().feed(bytes(data))
