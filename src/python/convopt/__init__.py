"""Makes convolutional networks as fast as this CPU allows, by choosing how to compute every layer.

A program for onnxruntime's CPU sessions needs another import:

    import convopt as onnxruntime
    session = onnxruntime.InferenceSession("model.onnx")
    outputs = session.run(None, {"input": image})           # image: numpy, (1, 3, 224, 224), float32

Layers are computed by the primitives (direct, Winograd, GEMM, FFT, ... in several layouts) that are
fastest together by the times that a model predicts for this CPU. To look at the choice, to measure
instead of predicting, or to use other types:

    plan = convopt.select("model.onnx", threads=1)          # pandas.DataFrame(plan.layers)
    plan = convopt.select("model.onnx", refine=5)           # times what could change it, for 5 s
    plan = convopt.select("model.onnx", precision="bf16", max_output_error=0.01)
    plan.save("plan.json")
    session = convopt.InferenceSession("model.onnx", plan="plan.json")

On a CPU that the shipped model has not seen, a minute makes a model of its own, which every later
call finds:

    convopt.transfer(budget=60)

    InferenceSession, SessionOptions     run a model, with onnxruntime's interface
    select -> Plan                       choose a primitive for every layer
    calibrate -> Calibration             ranges of tensors, which int8 needs
    profile, merge, check                measure this machine; join profiles; do they still hold?
    transfer, train, evaluate            adapt the cost model, make one, judge one
    measure_machine                      this machine's peak and bandwidths

Times are in the unit that their names end in. Errors are exceptions below `convopt.Error`, with one
sentence and a `code`. What is worth knowing but no error goes to the logger 'convopt'. Nothing
measures for longer than a second, or writes a file, unless it is asked to.
"""

from . import _core
from ._errors import (
    Error,
    InputError,
    Interrupted,
    MachineError,
    PartialError,
    UsageError,
    VerificationError,
)
from ._plan import Calibration, Plan
from ._session import (
    ExecutionMode,
    GraphOptimizationLevel,
    InferenceSession,
    ModelMetadata,
    NodeArg,
    RunOptions,
    SessionOptions,
)
from ._tool import (
    calibrate,
    check,
    evaluate,
    measure_machine,
    merge,
    profile,
    select,
    train,
    transfer,
)

__version__: str = _core.version


def get_available_providers() -> "list[str]":
    """Always ['CPUExecutionProvider'], as programs for onnxruntime ask."""
    return ["CPUExecutionProvider"]


def get_device() -> str:
    """Always 'CPU'."""
    return "CPU"


__all__ = [
    "Calibration",
    "Error",
    "ExecutionMode",
    "GraphOptimizationLevel",
    "InferenceSession",
    "InputError",
    "Interrupted",
    "MachineError",
    "ModelMetadata",
    "NodeArg",
    "PartialError",
    "Plan",
    "RunOptions",
    "SessionOptions",
    "UsageError",
    "VerificationError",
    "calibrate",
    "check",
    "evaluate",
    "get_available_providers",
    "get_device",
    "measure_machine",
    "merge",
    "profile",
    "select",
    "train",
    "transfer",
]
