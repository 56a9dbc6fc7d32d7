"""Small ONNX models, made here, and what they compute in NumPy."""
import os
import tempfile

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

FOLDER = tempfile.mkdtemp(prefix="convopt-python-")


def save(name, nodes, inputs, outputs, weights, opset=13):
    """The path of the model; inputs and outputs are (name, type, shape)."""
    graph = helper.make_graph(
        nodes, name,
        [helper.make_tensor_value_info(*described) for described in inputs],
        [helper.make_tensor_value_info(*described) for described in outputs],
        [numpy_helper.from_array(array, key) for key, array in weights.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model)
    path = os.path.join(FOLDER, name + ".onnx")
    onnx.save(model, path)
    return path


def numbers(shape, seed, scale=1.0):
    return (numpy.random.default_rng(seed).uniform(-1, 1, shape) * scale).astype(numpy.float32)


def convolve(x, weights, bias):
    """3x3 with a border of zeros, in double precision."""
    x = numpy.pad(x.astype(float), ((0, 0), (0, 0), (1, 1), (1, 1)))
    rows, columns = x.shape[2] - 2, x.shape[3] - 2
    y = numpy.zeros((x.shape[0], len(weights), rows, columns))
    for i in range(3):
        for j in range(3):
            y += numpy.einsum("oc,nchw->nohw", weights[:, :, i, j].astype(float),
                              x[:, :, i:i + rows, j:j + columns])
    return y + bias.astype(float)[None, :, None, None]


CLASSIFIER = {
    "w1": numbers((16, 3, 3, 3), 1, 0.3), "b1": numbers((16,), 2),
    "w2": numbers((8, 16, 3, 3), 3, 0.2), "b2": numbers((8,), 4),
    "w3": numbers((10, 8), 5, 0.5), "b3": numbers((10,), 6),
}


def classifier(name="classifier", sizes=(1, 3, 16, 20)):
    """Convolutions, the mean of each channel, scores and probabilities of ten classes. Texts among
    the sizes leave them open."""
    nodes = [
        helper.make_node("Conv", ["image", "w1", "b1"], ["c1"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c2"], ["r2"]),
        helper.make_node("GlobalAveragePool", ["r2"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w3", "b3"], ["scores"], transB=1),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
    ]
    return save(name, nodes, [("image", TensorProto.FLOAT, list(sizes))],
                [("scores", TensorProto.FLOAT, [sizes[0], 10]),
                 ("probabilities", TensorProto.FLOAT, [sizes[0], 10])], CLASSIFIER)


def classified(image):
    """Scores and probabilities."""
    weights = CLASSIFIER
    y = numpy.maximum(convolve(image, weights["w1"], weights["b1"]), 0)
    y = numpy.maximum(convolve(y, weights["w2"], weights["b2"]), 0)
    scores = y.mean((2, 3)) @ weights["w3"].astype(float).T + weights["b3"]
    powers = numpy.exp(scores - scores.max(1, keepdims=True))
    return scores, powers / powers.sum(1, keepdims=True)


def detector():
    """A convolution gives each of 36 places a score and a box; of boxes that overlap the best stay,
    so the outputs' shapes depend on numbers."""
    weights = {
        "w": numbers((5, 3, 3, 3), 7, 0.4), "b": numpy.array([0.2, 1, 1, 2, 2], numpy.float32),
        "split": numpy.array([1, 4], numpy.int64), "most": numpy.array([30], numpy.int64),
        "overlap": numpy.array([0.5], numpy.float32), "least": numpy.array([0.6], numpy.float32),
        "rows": numpy.array([1, 4, -1], numpy.int64), "row": numpy.array([1, 1, -1], numpy.int64),
    }
    nodes = [
        helper.make_node("Conv", ["image", "w", "b"], ["all"], pads=[1, 1, 1, 1]),
        helper.make_node("Split", ["all", "split"], ["score", "corner"], axis=1),
        helper.make_node("Reshape", ["score", "row"], ["scores"]),
        helper.make_node("Reshape", ["corner", "rows"], ["corners"]),
        helper.make_node("Transpose", ["corners"], ["boxes"], perm=[0, 2, 1]),
        helper.make_node("NonMaxSuppression", ["boxes", "scores", "most", "overlap", "least"], ["kept"]),
    ]
    path = save("detector", nodes, [("image", TensorProto.FLOAT, [1, 3, 6, 6])],
                [("kept", TensorProto.INT64, ["count", 3]), ("boxes", TensorProto.FLOAT, [1, 36, 4])],
                weights)
    return path, weights


def detected(image, weights):
    """Kept boxes, best first, and all boxes."""
    y = convolve(image, weights["w"], weights["b"])[0].reshape(5, -1)
    scores, boxes = y[0], y[1:].T

    def overlap(a, b):
        low = numpy.maximum(numpy.minimum(a[:2], a[2:]), numpy.minimum(b[:2], b[2:]))
        high = numpy.minimum(numpy.maximum(a[:2], a[2:]), numpy.maximum(b[:2], b[2:]))
        common = numpy.prod(numpy.maximum(high - low, 0))
        area = sum(abs(numpy.prod(box[2:] - box[:2])) for box in (a, b))
        return common / (area - common) if area > common else 0

    kept = []
    for i in numpy.argsort(-scores, kind="stable"):
        if scores[i] <= 0.6 or len(kept) == 30:
            break
        if all(overlap(boxes[i], boxes[k]) <= 0.5 for k in kept):
            kept.append(i)
    return numpy.array([[0, 0, k] for k in kept], numpy.int64).reshape(-1, 3), boxes[None]


def whole_numbers():
    """Bytes and doubles in, whole numbers of 64 bits out."""
    nodes = [
        helper.make_node("Cast", ["bytes"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["doubles"], ["more"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["real", "more"], ["sum"]),
        helper.make_node("Cast", ["sum"], ["whole"], to=TensorProto.INT64),
        helper.make_node("Less", ["real", "more"], ["less"]),
    ]
    return save("whole", nodes, [("bytes", TensorProto.UINT8, [2, 3]), ("doubles", TensorProto.DOUBLE, [2, 3])],
                [("whole", TensorProto.INT64, [2, 3]), ("less", TensorProto.BOOL, [2, 3])], {})


def tiny():
    """As little as a network can be."""
    return save("tiny", [helper.make_node("Relu", ["x"], ["y"])], [("x", TensorProto.FLOAT, [1, 8])],
                [("y", TensorProto.FLOAT, [1, 8])], {})
