"""What the command line can, as functions."""

from __future__ import annotations

import os
from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Union

from . import _core
from ._options import arrays_by_name, load_network, planning_options, worker_command
from ._plan import Calibration, Plan

Path = Union[str, "os.PathLike[str]"]
Progress = Callable[[Dict[str, Any]], None]


def select(
    model: Path,
    *,
    threads: Optional[int] = None,
    isa: Optional[str] = None,
    precision: str = "f32",
    calibration: Union[Calibration, Path, None] = None,
    calibrate: Any = None,
    range: str = "max",
    refine: float = 0,
    confirm: float = 0,
    max_memory: Optional[int] = None,
    max_workspace: Optional[int] = None,
    max_error: Optional[float] = None,
    max_output_error: Optional[float] = None,
    min_cosine: Optional[float] = None,
    allow: Sequence[str] = (),
    exclude: Sequence[str] = (),
    time_limit: float = 5,
    batch: int = 0,
    shapes: Optional[Mapping[str, Sequence[int]]] = None,
    values: Optional[Mapping[str, Any]] = None,
    cost_model: Optional[Path] = None,
    profile: Optional[Path] = None,
    progress: Optional[Progress] = None,
) -> Plan:
    """Chooses the fastest primitive and layout for every layer of a network.

    >>> plan = convopt.select("model.onnx", threads=1)
    >>> plan = convopt.select("model.onnx", refine=5)          # measures what could change it
    >>> plan = convopt.select("model.onnx", precision="bf16", max_output_error=0.01)
    >>> session = convopt.InferenceSession("model.onnx", plan=plan)

    Parameters
    ----------
    model : path of an ONNX model or of a JSON network
    threads : threads per layer; default: the cores that this process may use
    isa : instruction-set level, 'sse4', 'avx2' or 'avx512'; default: the best of this CPU
    precision : 'f32', 'bf16', 'int8' or 'auto': types in which tensors may be stored and products
        computed. int8 needs `calibration` or `calibrate`, unless the model is quantised.
    calibration : a Calibration, or the path of one
    calibrate : inputs to calibrate and to measure errors on: an array, or one per input by name. Its
        shape is the input's, or has several samples along the first dimension or a new one.
    range : what of a tensor's range int8 represents: 'max', 'percentile' (99.99 %) or 'mse'
    refine : seconds of measuring the primitives that could change the plan. The times are added to
        `profile`, or to this machine's own profile in ~/.local/share/convopt.
    confirm : seconds of running the plan and its rivals; the fastest is taken
    max_memory, max_workspace : bytes that running the plan, or scratch memory of a layer, may take
    max_error : largest error of a convolution, relative to its largest result
    max_output_error, min_cosine : what outputs may differ from single precision, held in
        measurement: as a part of the output's range, and as the cosine of the angle
    allow, exclude : names of primitives or families for convolutions
    time_limit : seconds for proving that no plan is better
    batch, shapes, values : images per batch, shapes of inputs by name for sizes that the file leaves
        open, and values of inputs on which a size or a condition depends
    cost_model, profile : paths of a cost model and of times measured on this machine, which count
        before predictions; default: this machine's own, else the shipped model
    progress : called now and then while primitives are timed, with a dictionary: done, total
        (workloads), measurements, elapsed_s, remaining_s, workload. What it raises ends the work.

    Peak and bandwidths of this machine that are not known yet are measured for a second, and kept
    for this process only (see `measure_machine`). No file is written but by `refine`.

    Raises
    ------
    UsageError : options that exclude each other; limits that no plan keeps
    InputError : a file that cannot be used
    MachineError : no plan fits into `max_memory`; a level that this CPU has not
    """
    network = load_network(model, batch, shapes, values)
    if calibrate is not None:
        calibrate = arrays_by_name(network, calibrate)
    options = planning_options(
        threads=threads,
        isa=isa,
        precision=precision,
        calibration=calibration,
        calibrate=calibrate,
        range=range,
        refine=refine,
        confirm=confirm,
        max_memory=max_memory,
        max_workspace=max_workspace,
        max_error=max_error,
        max_output_error=max_output_error,
        min_cosine=min_cosine,
        allow=list(allow),
        exclude=list(exclude),
        time_limit=time_limit,
        cost_model=cost_model,
        profile=profile,
        rates="measured",
    )
    return Plan(_core.plan_network(network, options, progress, worker_command()))


def calibrate(
    model: Path,
    inputs: Any,
    *,
    threads: Optional[int] = None,
    batch: int = 0,
    shapes: Optional[Mapping[str, Sequence[int]]] = None,
    values: Optional[Mapping[str, Any]] = None,
) -> Calibration:
    """Runs a network on inputs like those that it is for, and returns the ranges of its tensors,
    which plans in int8 need.

    >>> calibration = convopt.calibrate("model.onnx", images)     # (samples, 3, 224, 224)
    >>> plan = convopt.select("model.onnx", precision="auto", calibration=calibration)

    `inputs` is an array, or one per input by name: of the input's shape, or several samples along
    the first dimension or a new one. A few dozen samples do.

    Raises InputError for arrays that do not fit or hold numbers that are not finite.
    """
    network = load_network(model, batch, shapes, values)
    options = planning_options(threads=threads, rates="measured")
    return Calibration(_core.calibrate_network(network, arrays_by_name(network, inputs), options))


def measure_machine(
    *, threads: Optional[int] = None, isa: Optional[str] = None, store: bool = True
) -> Dict[str, Any]:
    """This machine's peak and bandwidths, which predictions need: as stored, else measured now, for
    about a second.

    They are stored in $XDG_DATA_HOME/convopt (by default ~/.local/share/convopt) unless `store` is
    false, so that later processes need not measure them. A dictionary: platform, cpu, isa, threads,
    peak_gflops, peak_bf16_gflops, peak_int8_gops (10^9 operations per second) and l1_gbps, l2_gbps,
    l3_gbps, memory_gbps (10^9 bytes per second). 0: not known, or not there.
    """
    options = planning_options(threads=threads, isa=isa, rates="kept" if store else "measured")
    return _core.measured_platform(options)
