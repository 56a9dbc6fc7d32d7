#!/usr/bin/python3
"""Writes a quantised ONNX model (QuantizeLinear and DequantizeLinear around its layers); README.md says how.

    quantise.py MODEL.onnx QUANTISED.onnx SAMPLE.npy… [--per-tensor] [--zero-points] [--convopt PATH]

Scales are static: those of weights by their largest magnitude, those of other tensors by their range on the
samples, which `convopt run` computes. Every sample is an input of a model with one input.
"""
import argparse
import os
import subprocess
import sys
import tempfile

import numpy as np

from peers import ROOT

#: Operators whose sources and results are quantised.
LAYERS = {"Conv", "Gemm", "Add", "MaxPool", "AveragePool", "GlobalAveragePool", "Concat"}
#: Operators that become part of the rounding behind them where nothing else reads what is before them.
ACTIVATIONS = {"Relu", "Clip"}
#: Operators whose results are some of their source's numbers.
MOVING = {"MaxPool"}


def protocol(folder):
    """The module that reads and writes ONNX, made of Debian's description of the format."""
    subprocess.run(["protoc", "-I/usr/include/onnx", "--python_out", folder, "/usr/include/onnx/onnx.proto"],
                   check=True)
    sys.path.insert(0, folder)
    import onnx_pb2
    return onnx_pb2


class Quantiser:
    def __init__(self, onnx, model, options):
        self.onnx, self.model, self.graph, self.options = onnx, model, model.graph, options
        self.initializers = {t.name: t for t in self.graph.initializer}
        self.readers = {}
        for node in self.graph.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
        self.outputs = {output.name for output in self.graph.output}
        self.maker = {name: node for node in self.graph.node for name in node.output}

    def floats(self, name):
        """The values of an initializer of floats, or nothing."""
        tensor = self.initializers.get(name)
        if tensor is None or tensor.data_type != self.onnx.TensorProto.FLOAT:
            return None
        values = np.frombuffer(tensor.raw_data, "<f4") if tensor.raw_data else np.array(tensor.float_data, "f4")
        return values.reshape(list(tensor.dims))

    def result_of(self, node):
        """The tensor to be rounded after a layer."""
        name = node.output[0]
        readers = self.readers.get(name, [])
        if name not in self.outputs and len(readers) == 1 and readers[0].op_type in ACTIVATIONS:
            return readers[0].output[0]
        return name

    def tensors(self):
        """All that are rounded, in the graph's order."""
        found = []
        for node in self.graph.node:
            if node.op_type not in LAYERS or (node.op_type == "Gemm" and self.floats(node.input[1]) is None):
                continue
            sources = list(node.input[:1]) if node.op_type in ("Conv", "Gemm") else list(node.input)
            for name in [*sources, self.result_of(node)]:
                if name not in self.initializers and name not in found:
                    found.append(name)
        return found

    def add(self, op, inputs, output, **attributes):
        node = self.onnx.NodeProto(op_type=op, input=inputs, output=[output], name=output + "/" + op)
        for key, value in attributes.items():
            node.attribute.add(name=key, i=value, type=self.onnx.AttributeProto.INT)
        self.nodes.append(node)

    def constant(self, name, array):
        kinds = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6}
        self.graph.initializer.add(name=name, data_type=kinds[str(array.dtype)], dims=array.shape,
                                   raw_data=array.tobytes())
        return name

    def steps(self, low, high):
        """Scale and zero point of a range, which always holds zero."""
        low, high = min(float(low), 0.0), max(float(high), 0.0)
        if self.options.zero_points:
            scale = np.float32((high - low) / 255 or 1)
            return scale, np.uint8(np.clip(np.rint(-low / scale), 0, 255))
        if low == 0:
            return np.float32(high / 255 or 1), np.uint8(0)
        return np.float32(max(high, -low) / 127), np.int8(0)

    def round_tensor(self, name, steps):
        scale, zero = steps
        named = [self.constant(name + "/scale", np.array(scale)), self.constant(name + "/zero", np.array(zero))]
        whole, source = name + "/whole", name
        if name in self.outputs:  # the rounded one keeps the name
            source = name + "/exact"
            self.maker[name].output[0] = source
            for node in self.graph.node:
                for i, given in enumerate(node.input):
                    if given == name:
                        node.input[i] = source
        self.add("QuantizeLinear", [source, *named], whole)
        self.add("DequantizeLinear", [whole, *named], name if name in self.outputs else name + "/rounded")

    def round_weights(self, node, source_scale):
        weights = self.floats(node.input[1])
        if weights is None:
            return
        per_channel = not self.options.per_tensor
        columns = node.op_type == "Gemm" and not any(a.name == "transB" and a.i for a in node.attribute)
        axis = 1 if columns else 0
        others = tuple(i for i in range(weights.ndim) if i != axis)
        largest = np.abs(weights).max(axis=others if per_channel else None)
        scale = np.where(largest > 0, largest / 127, 1).astype("f4")
        shape = [-1 if i == axis else 1 for i in range(weights.ndim)] if per_channel else []
        numbers = np.clip(np.rint(weights / scale.reshape(shape)), -127, 127).astype("i1")
        base = node.input[1]
        if base + "/numbers" not in self.written:
            self.written.add(base + "/numbers")
            self.constant(base + "/numbers", numbers)
            self.constant(base + "/scale", scale)
            self.constant(base + "/zero", np.zeros(scale.shape, "i1"))
            self.add("DequantizeLinear", [base + "/numbers", base + "/scale", base + "/zero"], base + "/rounded",
                     **({"axis": axis} if per_channel else {}))
        node.input[1] = base + "/rounded"
        bias = self.floats(node.input[2]) if len(node.input) > 2 else None
        if bias is None or source_scale is None:
            return
        step = (scale * source_scale).astype("f4")
        name = node.output[0] + "/bias"
        self.constant(name + "/numbers", np.clip(np.rint(bias / step), -2**31, 2**31 - 128).astype("i4"))
        self.constant(name + "/scale", step)
        self.constant(name + "/zero", np.zeros(step.shape, "i4"))
        self.add("DequantizeLinear", [name + "/numbers", name + "/scale", name + "/zero"], name + "/rounded",
                 **({"axis": 0} if per_channel else {}))
        node.input[2] = name + "/rounded"

    def run(self, ranges):
        self.nodes, self.written = [], set()
        steps = {}
        for name in self.tensors():
            maker = self.maker.get(name)
            moved = maker is not None and maker.op_type in MOVING and maker.input[0] in steps
            steps[name] = steps[maker.input[0]] if moved else self.steps(*ranges[name])
        for name in steps:
            if name not in self.maker:
                self.round_tensor(name, steps[name])
        for node in list(self.graph.node):
            source = node.input[0] if node.input else None
            if node.op_type in ("Conv", "Gemm"):
                self.round_weights(node, steps[source][0] if source in steps else None)
            for i, name in enumerate(node.input):
                if name in steps and name not in self.outputs:
                    node.input[i] = name + "/rounded"
            self.nodes.append(node)
            for name in node.output:
                if name in steps:
                    self.round_tensor(name, steps[name])
        del self.graph.node[:]
        self.graph.node.extend(self.nodes)
        del self.graph.value_info[:]
        read = {name for node in self.graph.node for name in node.input}
        kept = [tensor for tensor in self.graph.initializer if tensor.name in read]
        del self.graph.initializer[:]
        self.graph.initializer.extend(kept)


def measured_ranges(onnx, model, names, options, folder):
    """Lowest and highest value of each tensor over the samples."""
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    known = {output.name for output in shown.graph.output}
    inputs = {given.name for given in shown.graph.input} - {t.name for t in shown.graph.initializer}
    for name in names:
        if name not in known and name not in inputs:
            value = shown.graph.output.add(name=name)
            value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    path = os.path.join(folder, "shown.onnx")
    with open(path, "wb") as file:
        file.write(shown.SerializeToString())
    ranges = {}
    outputs = [output.name for output in shown.graph.output]
    files = [os.path.join(folder, "%d.npy" % i) for i in range(len(outputs))]
    for sample in options.samples:
        command = [options.convopt, "run", path, "--input", sample, "--time", "1ms"]
        for file in files:
            command += ["--output", file]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        arrays = dict(zip(outputs, map(np.load, files)))
        arrays.update({name: np.load(sample) for name in inputs})
        for name in names:
            low, high = ranges.get(name, (0.0, 0.0))
            ranges[name] = min(low, arrays[name].min()), max(high, arrays[name].max())
    return ranges


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("quantised")
    parser.add_argument("samples", nargs="+", help="inputs that ranges are measured on, .npy")
    parser.add_argument("--per-tensor", action="store_true", help="one scale for all channels of weights")
    parser.add_argument("--zero-points", action="store_true",
                        help="uint8 with zero points, as ONNX Runtime's quantiser writes; else without: uint8 of "
                             "what is never negative, int8 of all else")
    parser.add_argument("--convopt", default=os.path.join(ROOT, "build", "release", "convopt"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        onnx = protocol(folder)
        model = onnx.ModelProto()
        with open(options.model, "rb") as file:
            model.ParseFromString(file.read())
        # Scales by channel came with opset 13.
        for opset in model.opset_import:
            if opset.domain == "" and opset.version < 13:
                opset.version = 13
        quantiser = Quantiser(onnx, model, options)
        quantiser.run(measured_ranges(onnx, model, quantiser.tensors(), options, folder))
        with open(options.quantised, "wb") as file:
            file.write(model.SerializeToString())


if __name__ == "__main__":
    main()
