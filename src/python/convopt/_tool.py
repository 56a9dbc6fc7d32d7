"""What the command line can, as functions."""

from __future__ import annotations

import os
from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Union

from . import _core
from ._options import (
    Model,
    arrays_by_name,
    load_network,
    logger,
    planning_options,
    several,
    worker_command,
)
from ._plan import Calibration, Plan

Path = Union[str, "os.PathLike[str]"]
Progress = Callable[[Dict[str, Any]], None]


def select(
    model: Model,
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
    model : path of an ONNX model or of a JSON network, or its bytes
    threads : threads per layer; default: the cores that this process may use
    isa : instruction-set level, 'sse4', 'avx2' or 'avx512'; default: the best of this CPU
    precision : 'f32', 'bf16', 'int8' or 'auto': types in which tensors may be stored and products
        computed. int8 needs `calibration` or `calibrate`, unless the model is quantised.
    calibration : a Calibration, or the path of one. Its sensitivities, if they are by the same
        `range`, spare measuring them for an error limit.
    calibrate : inputs to calibrate and to measure errors on: an array, or one per input by name. Its
        shape is the input's, or has several samples along the first dimension or a new one.
    range : what of a tensor's range int8 represents: 'max', 'percentile' (99.99 %) or 'mse'
    refine : seconds of measuring the primitives that could change the plan. The times are added to
        `profile`, or to this machine's own profile in ~/.local/share/convopt.
    confirm : seconds of running the plan and its rivals; the fastest is taken
    max_memory, max_workspace : bytes that running the plan, or scratch memory of a layer, may take
    max_error : largest error of a convolution, relative to its largest result
    max_output_error, min_cosine : limits of the outputs' error against single precision, verified
        by measurement: as a fraction of the output's range, and as cosine similarity
    allow, exclude : names of primitives or families for convolutions
    time_limit : seconds for proving that no plan is better
    batch, shapes, values : images per batch, shapes of inputs by name for dynamic dimensions,
        such as {'image': (1, 3, 224, 224)}, and values of inputs on which a size or a condition
        depends, such as {'rate': 16000}
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
        allow=several(allow),
        exclude=several(exclude),
        time_limit=time_limit,
        cost_model=cost_model,
        profile=profile,
        rates="measured",
    )
    return Plan(_core.plan_network(network, options, progress, worker_command()))


def calibrate(
    model: Model,
    inputs: Any,
    *,
    range: str = "max",
    sensitivities: bool = True,
    threads: Optional[int] = None,
    batch: int = 0,
    shapes: Optional[Mapping[str, Sequence[int]]] = None,
    values: Optional[Mapping[str, Any]] = None,
) -> Calibration:
    """Runs a network on inputs like those that it is for, and returns the ranges of its tensors,
    which plans in int8 need, and how far its outputs are off if one tensor or layer alone is rounded
    to bf16 or int8, which `select` else measures for every error limit.

    >>> calibration = convopt.calibrate("model.onnx", images)     # (samples, 3, 224, 224)
    >>> plan = convopt.select("model.onnx", precision="auto", calibration=calibration)

    `inputs` is an array, or one per input by name: of the input's shape, or several samples along
    the first dimension or a new one. A few dozen samples do. `range` is that of the `select` which
    the sensitivities to int8 are for. They take hundreds of runs; `sensitivities=False` leaves them
    out.

    Raises InputError for arrays that do not fit or hold numbers that are not finite.
    """
    network = load_network(model, batch, shapes, values)
    options = planning_options(threads=threads, range=range, rates="measured")
    arrays = arrays_by_name(network, inputs)
    return Calibration(_core.calibrate_network(network, arrays, options, bool(sensitivities)))


def measure_machine(
    *, threads: Optional[int] = None, isa: Optional[str] = None, store: bool = True
) -> Dict[str, Any]:
    """This machine's peak and bandwidths, which predictions need: as stored, else measured now, for
    about a second.

    They are stored in $XDG_DATA_HOME/convopt (by default ~/.local/share/convopt) unless `store` is
    false, so that later processes need not measure them; where that fails, the logger 'convopt' is
    warned. A dictionary: platform, cpu, isa, threads,
    peak_gflops, peak_bf16_gflops, peak_int8_gops (10^9 operations per second) and l1_gbps, l2_gbps,
    l3_gbps, memory_gbps (10^9 bytes per second). 0: not known, or not there.
    """
    options = planning_options(threads=threads, isa=isa, rates="kept" if store else "measured")
    return _core.measured_platform(options)


def profile(
    networks: Sequence[Path] = (),
    *,
    output: Optional[Path] = None,
    budget: float = 0,
    configs: Optional[int] = None,
    ops: Sequence[str] = (),
    precision: str = "f32",
    threads: Optional[int] = None,
    isa: Optional[str] = None,
    allow: Sequence[str] = (),
    exclude: Sequence[str] = (),
    timeout: float = 0,
    seed: int = 1,
    again: bool = False,
    dry_run: bool = False,
    progress: Optional[Progress] = None,
) -> Dict[str, Any]:
    """Times primitives on this machine, in a process of their own, and appends the times to a
    profile. What the profile holds already is skipped, so the same call resumes. Peak and bandwidths of
    this machine, where they are not stored yet, are measured for a second and stored.

    >>> convopt.profile(["model.onnx"], budget=60, progress=print)

    Parameters
    ----------
    networks : paths of networks: everything that plans for them may consist of is timed
    output : the profile, JSON Lines; default: this machine's own, which `select` reads
    budget : seconds for the whole; 0: no limit
    configs : number of sampled workloads; default: 300, or none with `networks`
    ops : only these operations, such as 'conv'
    precision : 'f32', or also what plans of 'bf16', 'int8' or 'auto' consist of
    threads, isa, allow, exclude : as in `select`
    timeout : seconds after which a primitive counts as hung; 0: 20
    again : times again what the profile holds
    dry_run : times nothing and returns how many workloads and measurements there are to do, and
        about how many seconds they take
    progress : see `select`. What it raises, and Ctrl-C, end the work; times measured are kept.

    Returns a dictionary: workloads_done, workloads_total, ok (times), censored, inapplicable, failed,
    timeout, crashed, already_done, disturbed, samples, lost_samples, given_up, budget_exhausted,
    seconds.
    """
    loaded = [load_network(network) for network in several(networks)]
    options = {
        "output": None if output is None else os.fspath(output),
        "budget": budget,
        "configs": configs,
        "ops": several(ops),
        "precision": precision,
        "threads": threads,
        "isa": isa,
        "allow": several(allow),
        "exclude": several(exclude),
        "timeout": timeout,
        "seed": seed,
        "again": again,
        "logger": logger,
    }
    if dry_run:
        return _core.estimate_profile(loaded, options, worker_command())
    return _core.profile_machine(loaded, options, progress, worker_command())


def merge(profiles: Sequence[Path], output: Path, *, fastest: bool = False) -> None:
    """Joins profiles without duplicates and damaged lines.

    >>> convopt.merge(["monday.jsonl", "tuesday.jsonl"], "all.jsonl.gz")

    Parameters
    ----------
    profiles : paths; of several times of the same, those of later profiles count
    output : the profile to write, replaced as a whole; compressed if its name ends in .gz
    fastest : the lowest of several times counts instead, since disturbances make times longer

    What is left out is told to the logger 'convopt'. Raises InputError for a file that is no profile.
    """
    options = {
        "profiles": [os.fspath(profile) for profile in several(profiles)],
        "output": os.fspath(output),
        "fastest": fastest,
        "logger": logger,
    }
    _core.merge_profiles(options)


def check(
    *,
    profile: Optional[Path] = None,
    cost_model: Optional[Path] = None,
    points: int = 10,
    threads: Optional[int] = None,
    isa: Optional[str] = None,
    progress: Optional[Progress] = None,
) -> Dict[str, Any]:
    """Measures a few convolutions of a profile again, and says whether its times still hold: an update
    of the kernel, of a library or of the firmware can change them.

    >>> if convopt.check(threads=1)["verdict"] == "changed":
    ...     convopt.profile(threads=1, again=True)

    Parameters
    ----------
    profile : the profile; default: this machine's own
    cost_model : a model to evaluate as well; default: this machine's own, if there is one
    points : how many times to take again, at least 3
    threads, isa, progress : as in `select`

    Returns a dictionary: verdict ('holds'; 'shifted': all times changed by about one factor, so choices
    hold and predicted times do not; 'changed': by different factors, so profile and transfer again;
    'unknown': fewer than three points could be compared), median_ratio (now over before), spread
    (median relative distance from that ratio), model_mdrae (the model's median relative error on the
    points; 0 without one), updated_libraries, missing (why there are fewer points than asked for), and
    points, a record each: workload, primitive, before_ms, now_ms, predicted_ms (None without a model).

    Keeps nothing of what it measures, but stores this machine's peak and bandwidths where they are not
    known. Raises InputError if there is no profile of this machine.
    """
    options = {
        "profile": None if profile is None else os.fspath(profile),
        "model": None if cost_model is None else os.fspath(cost_model),
        "points": points,
        "threads": threads,
        "isa": isa,
        "logger": logger,
    }
    return _core.check_profile(options, progress, worker_command())


def train(
    profiles: Sequence[Path],
    *,
    output: Optional[Path] = None,
    timing_mode: Optional[str] = None,
    base: Optional[Path] = None,
    seed: int = 1,
) -> Dict[str, Any]:
    """Trains a cost model on profiles, of this machine or of several. Measures nothing; takes seconds
    to minutes. To make a model for this CPU out of a minute of measuring, `transfer` is better.

    >>> report = convopt.train(["one.jsonl", "other.jsonl.gz"], output="own.ubj")
    >>> plan = convopt.select("model.onnx", cost_model="own.ubj")

    Parameters
    ----------
    profiles : paths
    output : the model to write (.ubj); default: the own model of the platform that the profiles are of,
        which sessions and `select` find
    timing_mode : 'warm' or 'cold_weights': uses only times in this mode; needed if the profiles hold
        both
    base : a model that keeps what it has learnt of f32, and of types that the profiles do not hold:
        only the others are learnt, as corrections of it
    seed : of the folds and of the trees

    Returns a dictionary: model (the file), model_id, platforms, samples, workloads, primitives (how
    many), holdout (errors on workloads held out: mdrae, within_10_percent, spearman, regret),
    interval_coverage (of the 90 % intervals), and types: a record of the errors for each type that
    primitives multiply in.

    Raises InputError for profiles without times to learn from, UsageError if they are of several
    platforms and no `output` is named.
    """
    options = {
        "profiles": [os.fspath(profile) for profile in several(profiles)],
        "output": None if output is None else os.fspath(output),
        "timing_mode": timing_mode,
        "base": None if base is None else os.fspath(base),
        "seed": seed,
        "logger": logger,
    }
    return _core.train_model(options)


def transfer(
    *,
    budget: float = 30,
    networks: Sequence[Path] = (),
    from_model: Optional[Path] = None,
    profile: Optional[Path] = None,
    output: Optional[Path] = None,
    threads: Optional[int] = None,
    isa: Optional[str] = None,
    seed: int = 1,
    progress: Optional[Progress] = None,
) -> Dict[str, Any]:
    """Adapts the cost model to this machine: measures for `budget` seconds, fits the model to the
    times, and writes it where sessions and `select` find it.

    >>> report = convopt.transfer(budget=60, progress=print)

    Parameters
    ----------
    budget : seconds of measuring
    networks : paths; half of the time goes to primitives that could change their plans
    from_model : the model to start from; default: the shipped one
    profile : uses the times of this profile and measures nothing
    output : the model to write; default: this machine's own, in ~/.local/share/convopt
    threads, isa, progress : as in `select`; a model is for one number of threads

    Returns a dictionary: platform, model (the file; empty if the model that it started from is as good
    on shapes held out, or too few were timed to tell, and no output was asked for), model_id, profile (the file with the times),
    seconds, shapes, samples, and methods: a record per way of adapting, with its errors on shapes
    that were held out (mdrae: median relative error; regret: time lost by its choices) and which one
    was chosen.

    Raises PartialError if the budget ended before anything was timed.
    """
    options = {
        "budget": budget,
        "networks": [os.fspath(network) for network in several(networks)],
        "from": None if from_model is None else os.fspath(from_model),
        "profile": None if profile is None else os.fspath(profile),
        "output": None if output is None else os.fspath(output),
        "threads": threads,
        "isa": isa,
        "seed": seed,
        "logger": logger,
    }
    return _core.transfer_model(options, progress, worker_command())


def evaluate(
    model: Path,
    profile: Path,
    *,
    networks: Sequence[Path] = (),
    platform: Optional[str] = None,
    refine: float = 0,
) -> Dict[str, Any]:
    """How good a cost model's predictions are, by a profile of measured times. Measures nothing.

    Parameters
    ----------
    model : a cost model, or an earlier profile of the same platform, which shows the noise floor
    profile : the times, of all primitives of some networks or of samples
    networks : paths; default: the shipped networks that are complete in the profile
    platform : of the profile; default: the one with the most times
    refine : seconds; also refines the plans with the profile's times

    Returns a dictionary: regret (mean, p95, max, sum: measured time of the model's choices over that
    of the best ones, by single convolutions), networks (a record each: name, regret, chosen_ms,
    optimum_ms), mdrae, within_10_percent, spearman, interval_coverage, primitives, skipped.
    """
    options = {
        "model": os.fspath(model),
        "profile": os.fspath(profile),
        "networks": [os.fspath(network) for network in several(networks)],
        "platform": platform,
        "refine": refine,
        "logger": logger,
    }
    return _core.evaluate_model(options)
