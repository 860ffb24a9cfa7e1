"""Figures as curves of TensorBoard: its event files hold little more than names, steps and numbers.

Source: the TFRecord format and event.proto of TensorBoard; CRC-32C as in RFC 3720, appendix B.4.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from amphion_eval.report import Report

__all__ = ["figures_of", "write_scalars"]


def write_scalars(folder: str | Path, values: Mapping[str, float], step: int, *, moment: float | None = None) -> Path:
    """Add a point to the curve of each value, as a file of its own that TensorBoard joins with the others.

    Args:
        folder: of the run, such as `runs/NAME/tensorboard`; made if absent.
        values: name of the curve to number.
        step: at which the point stands.
        moment: seconds since 1970; None is now.

    Returns:
        The file.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    moment = time.time() if moment is None else moment
    number = 0
    while True:
        name = f"events.out.tfevents.{int(moment)}.{socket.gethostname()}.{os.getpid()}.{number}"
        try:
            file = (folder / name).open("xb")
        except FileExistsError:
            number += 1
            continue
        with file:
            file.write(_record(_double(1, moment) + _bytes(3, b"brain.Event:2")))
            scalars = b"".join(_bytes(1, _bytes(1, tag.encode()) + _float(2, value)) for tag, value in values.items())
            file.write(_record(_double(1, moment) + _varint(2 << 3) + _varint(step) + _bytes(5, scalars)))
        return folder / name


def figures_of(report: Report, prefix: str = "eval") -> dict[str, float]:
    """The figures of a result under names for curves, `PREFIX/METRIC`; those that are undefined are left out."""
    figures = {name: summary.figure for name, summary in report.summary.items()}
    return {f"{prefix}/{name}": value for name, value in figures.items() if value is not None}


def _record(content: bytes) -> bytes:
    length = struct.pack("<Q", len(content))
    return length + struct.pack("<I", _masked(length)) + content + struct.pack("<I", _masked(content))


def _masked(content: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in content:
        crc = _table()[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


@cache
def _table() -> tuple[int, ...]:
    rows = []
    for number in range(256):
        for _ in range(8):
            number = number >> 1 ^ (0x82F63B78 if number & 1 else 0)
        rows.append(number)
    return tuple(rows)


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])


def _bytes(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _float(field: int, value: float) -> bytes:
    return _varint(field << 3 | 5) + struct.pack("<f", value)


def _double(field: int, value: float) -> bytes:
    return _varint(field << 3 | 1) + struct.pack("<d", value)
