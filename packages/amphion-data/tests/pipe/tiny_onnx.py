"""A network of one node as an ONNX file, written by hand: `output` is `input` through a function without weights."""


def _varint(value):
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def _field(number, value):
    """A field of a protocol buffer: a whole number, a text, or a message that is encoded already."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _tensor(name, shape):
    """A float tensor; a text in its shape is a size that is not fixed."""
    sizes = b"".join(_field(1, _field(1 if isinstance(size, int) else 2, size)) for size in shape)
    return _field(1, name) + _field(2, _field(1, _field(1, 1) + _field(2, sizes)))


def tiny_onnx(path, function, shape):
    """Write the network, such as `Neg` or `Identity`; returns the path."""
    node = _field(1, "input") + _field(2, "output") + _field(4, function)
    graph = (
        _field(1, node) + _field(2, "tiny") + _field(11, _tensor("input", shape)) + _field(12, _tensor("output", shape))
    )
    path.write_bytes(_field(1, 8) + _field(7, graph) + _field(8, _field(1, "") + _field(2, 13)))
    return path
