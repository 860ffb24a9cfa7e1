import math
import struct

import pytest
from typer.testing import CliRunner

from amphion_eval.cli import app
from amphion_eval.events import _masked, figures_of, write_scalars


def records(path):
    """Contents of the records of an event file, their checksums compared."""
    data, found = path.read_bytes(), []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        content = data[12 : 12 + length]
        assert struct.unpack("<I", data[8:12]) == (_masked(data[:8]),)
        assert struct.unpack("<I", data[12 + length : 16 + length]) == (_masked(content),)
        found.append(content)
        data = data[16 + length :]
    return found


def test_checksum_is_the_published_one():
    # RFC 3720: the CRC-32C of 32 zero bytes is 8a9136aa; TensorBoard turns it and adds a constant.
    crc = 0x8A9136AA
    assert _masked(bytes(32)) == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def test_file_has_a_version_and_then_the_values_at_their_step(tmp_path):
    version, values = records(write_scalars(tmp_path / "run", {"eval/mcd": 4.25}, 300, moment=1.5))
    assert version == b"\x09" + struct.pack("<d", 1.5) + b"\x1a\x0dbrain.Event:2"
    value = b"\x0a\x08eval/mcd" + b"\x15" + struct.pack("<f", 4.25)
    summary = b"\x0a" + bytes([len(value)]) + value
    assert values == b"\x09" + struct.pack("<d", 1.5) + b"\x10\xac\x02" + b"\x2a" + bytes([len(summary)]) + summary


def test_files_of_one_moment_do_not_replace_each_other(tmp_path):
    paths = {write_scalars(tmp_path, {"a": 1.0}, step, moment=1.0) for step in range(3)}
    assert len(paths) == len(list(tmp_path.iterdir())) == 3


def test_undefined_figures_make_no_curve(report):
    assert figures_of(report(1.0, 3.0)) == {"eval/m": 2.0} and figures_of(report(None)) == {}


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_values_that_are_not_finite_can_be_written(tmp_path, value):
    assert len(records(write_scalars(tmp_path, {"a": value}, 0))) == 2


def test_command_adds_a_point_at_the_step(folders, tmp_path):
    options = ["--metrics", "energy_rmse_db", "--workers", "1", "--no-cache"]
    board = ["--tensorboard", str(tmp_path / "board"), "--step", "300"]
    result = CliRunner().invoke(app, ["score", *map(str, folders), *options, *board])
    assert result.exit_code == 0, result.output
    (path,) = (tmp_path / "board").iterdir()
    assert b"eval/energy_rmse_db" in records(path)[1] and b"\x10\xac\x02" in records(path)[1]


@pytest.mark.extra("report")
def test_tensorboard_reads_the_curve(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for step, value in ((100, 7.5), (300, 5.25)):
        write_scalars(tmp_path, {"eval/mcd": value}, step)
    board = EventAccumulator(str(tmp_path))
    board.Reload()
    assert [(point.step, point.value) for point in board.Scalars("eval/mcd")] == [(100, 7.5), (300, 5.25)]
