"""A linear model as ONNX, whose files are protocol buffers: the few messages that are needed, by hand.

Numbers of fields are those of onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto); opset 13.
"""

import struct

import numpy as np

FLOAT, INT64, STRING = 1, 7, 8  # TensorProto.DataType
INTS, INT, FLOAT_ATTRIBUTE = 7, 2, 1  # AttributeProto.AttributeType


def _varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes([*out, n])


def _whole(field, n):
    return _varint(field << 3) + _varint(n & (1 << 64) - 1)


def _bytes(field, data):
    data = data.encode() if isinstance(data, str) else data
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _tensor(name, array):
    dims = b"".join(_whole(1, n) for n in array.shape)
    if array.dtype.kind == "U":
        return dims + _whole(2, STRING) + b"".join(_bytes(6, str(v)) for v in array) + _bytes(8, name)
    kind = INT64 if array.dtype.kind in "iu" else FLOAT
    array = array.astype("<i8" if kind == INT64 else "<f4")
    return dims + _whole(2, kind) + _bytes(8, name) + _bytes(9, array.tobytes())


def _attribute(name, value):
    if isinstance(value, float):
        kind = struct.pack("<Bf", 2 << 3 | 5, value) + _whole(20, FLOAT_ATTRIBUTE)
    else:
        kind = _whole(3, value) + _whole(20, INT)
    return _bytes(5, _bytes(1, name) + kind)


def _node(kind, inputs, output, **attributes):
    parts = [_bytes(1, i) for i in inputs] + [
        _bytes(2, output),
        _bytes(3, f"{kind}_{output}"),
        _bytes(4, kind),
    ]
    return b"".join(parts + [_attribute(k, v) for k, v in attributes.items()])


def _value(name, kind, *shape):
    dims = b"".join(_bytes(1, _bytes(2, d) if isinstance(d, str) else _whole(1, d)) for d in shape)
    return _bytes(1, name) + _bytes(2, _bytes(1, _whole(1, kind) + _bytes(2, dims)))


def model(fit, W, b, names, classes):
    """The file: x (rows, features) float32 -> scores, and the prediction (regression: the score)."""
    nodes, weights = [_node("Gemm", ["x", "W", "b"], "scores", transB=1)], [("W", W), ("b", b)]
    outputs = [_value("scores", FLOAT, "n", len(W))]
    if classes is None:
        pass
    else:
        if len(W) == 1:
            weights.append(("zero", np.zeros(1)))
            nodes.append(_node("Greater", ["scores", "zero"], "above"))
            nodes.append(_node("Cast", ["above"], "number_", to=INT64))
            weights.append(("axis", np.array([1])))
            nodes.append(_node("Squeeze", ["number_", "axis"], "number"))
        else:
            nodes.append(_node("ArgMax", ["scores"], "number", axis=1, keepdims=0))
        table = classes if classes.dtype.kind in "iuU" else classes.astype(str)
        weights.append(("classes", table.astype(np.int64) if table.dtype.kind in "iu" else table))
        nodes.append(_node("Gather", ["classes", "number"], "prediction", axis=0))
        outputs.append(_value("prediction", STRING if table.dtype.kind == "U" else INT64, "n"))
        if type(fit.loss).__name__ == "Softmax":
            nodes.append(_node("Softmax", ["scores"], "probabilities", axis=1))
            outputs.append(_value("probabilities", FLOAT, "n", len(W)))
    graph = b"".join(_bytes(1, node) for node in nodes) + _bytes(2, "fastopt")
    graph += b"".join(_bytes(5, _tensor(name, np.asarray(array))) for name, array in weights)
    graph += _bytes(11, _value("x", FLOAT, "n", W.shape[1])) + b"".join(_bytes(12, o) for o in outputs)
    opset = _bytes(8, _bytes(1, "") + _whole(2, 13))
    return _whole(1, 8) + _bytes(2, "fastopt") + _bytes(7, graph) + opset
