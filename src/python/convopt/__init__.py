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
    transfer, train, evaluate            adapt the cost model, train one, evaluate one
    measure_machine                      this machine's peak and bandwidths

Times are in the unit that their names end in. Errors are exceptions below `convopt.Error`, with one
sentence and a `code`. What is worth knowing but no error goes to the logger 'convopt'. Nothing
measures for longer than a second, or writes a file, unless it is asked to.
"""

import logging as _logging

from . import _core
from ._binding import IOBinding, OrtValue
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


def get_all_providers() -> "list[str]":
    """Always ['CPUExecutionProvider']."""
    return ["CPUExecutionProvider"]


def get_device() -> str:
    """Always 'CPU'."""
    return "CPU"


def get_version_string() -> str:
    """The version of convopt, not one of onnxruntime."""
    return __version__


def get_build_info() -> str:
    """'convopt' and its version."""
    return "convopt " + __version__


def set_default_logger_severity(severity: int) -> None:
    """Sets the level of the logger 'convopt', by onnxruntime's numbers: 0 (verbose) is DEBUG, 1 INFO,
    2 WARNING, 3 ERROR, and 4 (fatal) CRITICAL."""
    if severity not in range(5):
        raise UsageError(f"a severity is a number from 0 to 4, not {severity!r:.80}")
    _logging.getLogger("convopt").setLevel(10 * (int(severity) + 1))


def set_default_logger_verbosity(verbosity: int) -> None:
    """Changes nothing: there are no levels below DEBUG."""


def set_seed(seed: int) -> None:
    """Changes nothing: sessions compute nothing random."""


def enable_telemetry_events() -> None:
    """Changes nothing: nothing is ever sent."""


def disable_telemetry_events() -> None:
    """Changes nothing: nothing is ever sent."""


__all__ = [
    "Calibration",
    "Error",
    "ExecutionMode",
    "GraphOptimizationLevel",
    "IOBinding",
    "InferenceSession",
    "InputError",
    "Interrupted",
    "MachineError",
    "ModelMetadata",
    "NodeArg",
    "OrtValue",
    "PartialError",
    "Plan",
    "RunOptions",
    "SessionOptions",
    "UsageError",
    "VerificationError",
    "calibrate",
    "check",
    "disable_telemetry_events",
    "enable_telemetry_events",
    "evaluate",
    "get_all_providers",
    "get_available_providers",
    "get_build_info",
    "get_device",
    "get_version_string",
    "measure_machine",
    "merge",
    "profile",
    "select",
    "set_default_logger_severity",
    "set_default_logger_verbosity",
    "set_seed",
    "train",
    "transfer",
]
