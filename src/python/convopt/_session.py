"""Sessions with the interface of onnxruntime's."""

from __future__ import annotations

import difflib
import inspect
import numbers
import os
import time
from typing import (
    Any,
    Dict,
    FrozenSet,
    Iterable,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Union,
)

import numpy

from . import _core
from ._binding import IOBinding, OrtValue
from ._errors import UsageError
from ._options import Model, ModelFile, logger, planning_options
from ._plan import Calibration, Plan
from ._profiling import Profiling

Path = Union[str, "os.PathLike[str]"]

PROVIDER = "CPUExecutionProvider"


class NodeArg:
    """An input or output of a model: `name`, `shape` and `type`.

    `shape` is a list of sizes; an open one is its symbol in the file, or None. `type` is written as
    onnxruntime writes it, such as 'tensor(float)'.
    """

    __slots__ = ("name", "shape", "type")

    def __init__(self, name: str, shape: List[Union[int, str, None]], type: str) -> None:
        self.name = name
        self.shape = shape
        self.type = type

    def __repr__(self) -> str:
        return f"NodeArg(name={self.name!r}, type={self.type!r}, shape={self.shape!r})"


class ModelMetadata:
    """What an ONNX file says of itself, with onnxruntime's names; empty of other formats.
    `custom_metadata_map` holds the file's own properties, such as the names of classes."""

    __slots__ = (
        "custom_metadata_map",
        "description",
        "domain",
        "graph_name",
        "producer_name",
        "version",
    )

    def __init__(
        self,
        graph_name: str,
        producer_name: str,
        domain: str,
        description: str,
        version: int,
        custom_metadata_map: Dict[str, str],
    ) -> None:
        self.graph_name = graph_name
        self.producer_name = producer_name
        self.domain = domain
        self.description = description
        self.version = version
        self.custom_metadata_map = custom_metadata_map

    def __repr__(self) -> str:
        said = (f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"ModelMetadata({', '.join(said)})"


def _unknown(owner: str, kind: str, name: str, known: Iterable[str]) -> str:
    """The sentence, with the known name that was probably meant."""
    close = difflib.get_close_matches(name, sorted(known), 1)
    return f"{owner} has no {kind} '{name}'" + (f"; did you mean '{close[0]}'?" if close else "")


class _Accepted:
    """Attributes and functions of onnxruntime's class of that name. Others are refused, as there."""

    _DEFAULTS: Dict[str, Any] = {}
    _FUNCTIONS: FrozenSet[str] = frozenset()

    def __init__(self) -> None:
        self.__dict__.update(self._DEFAULTS)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self._DEFAULTS:
            raise AttributeError(_unknown(type(self).__name__, "attribute", name, self._DEFAULTS))
        self.__dict__[name] = value

    def __getattr__(self, name: str) -> Any:
        if name in self._FUNCTIONS:
            return lambda *arguments, **named: None
        known = {*self._DEFAULTS, *self._FUNCTIONS}
        raise AttributeError(_unknown(type(self).__name__, "attribute", name, known))

    def __repr__(self) -> str:
        changed = [
            f"{name}={value!r}"
            for name, value in self.__dict__.items()
            if value != self._DEFAULTS[name]
        ]
        return f"{type(self).__name__}({', '.join(changed)})"


class SessionOptions(_Accepted):
    """Options of onnxruntime's name. `intra_op_num_threads` counts: 0 for all cores, and more than
    there are for all of them; so do `enable_profiling` and `profile_file_prefix`, see
    `InferenceSession.end_profiling`. Others may be set and change nothing."""

    _DEFAULTS = {
        "enable_cpu_mem_arena": True,
        "enable_mem_pattern": True,
        "enable_mem_reuse": True,
        "enable_profiling": False,
        "execution_mode": 0,
        "execution_order": 0,
        "graph_optimization_level": 99,
        "inter_op_num_threads": 0,
        "intra_op_num_threads": 0,
        "log_severity_level": -1,
        "log_verbosity_level": 0,
        "logid": "",
        "optimized_model_filepath": "",
        "profile_file_prefix": "onnxruntime_profile_",
        "use_deterministic_compute": False,
        "use_per_session_threads": True,
    }
    _FUNCTIONS = frozenset(
        {
            "add_external_initializers",
            "add_external_initializers_from_files_in_memory",
            "add_free_dimension_override_by_denotation",
            "add_free_dimension_override_by_name",
            "add_initializer",
            "add_provider",
            "add_provider_for_devices",
            "add_session_config_entry",
            "get_session_config_entry",
            "has_providers",
            "register_custom_ops_library",
            "set_load_cancellation_flag",
            "set_provider_selection_policy",
            "set_provider_selection_policy_delegate",
        }
    )


class RunOptions(_Accepted):
    """Of onnxruntime's name; changes nothing."""

    _DEFAULTS = {
        "log_severity_level": -1,
        "log_verbosity_level": 0,
        "logid": "",
        "only_execute_path_to_fetches": False,
        "terminate": False,
        "training_mode": False,
    }
    _FUNCTIONS = frozenset({"add_active_adapter", "add_run_config_entry", "get_run_config_entry"})


class GraphOptimizationLevel:
    """Names of onnxruntime's levels; networks are always simplified."""

    ORT_DISABLE_ALL = 0
    ORT_ENABLE_BASIC = 1
    ORT_ENABLE_EXTENDED = 2
    ORT_ENABLE_ALL = 99


class ExecutionMode:
    """Names of onnxruntime's modes; layers are computed one after the other."""

    ORT_SEQUENTIAL = 0
    ORT_PARALLEL = 1


# Arguments of onnxruntime's sessions that mean nothing here.
_IGNORED = {"disabled_optimizers", "enable_fallback", "read_config_from_model"}


def _whole_threads(name: str, given: Any) -> int:
    if not isinstance(given, numbers.Integral):
        raise TypeError(f"{name} is no integer: {given!r:.80}")
    return int(given)


def _threads_of(options: Any) -> int:
    """0: all."""
    name = "intra_op_num_threads"
    threads = _whole_threads(name, getattr(options, name, 0) or 0)
    if threads < 0:
        raise UsageError(f"{name} is {threads}, but may be 0, for all cores, or more")
    return threads


class _Notes:
    """What a plan's maker is warned of, a program that runs a model need not see."""

    info = logger.info
    warning = logger.info


class InferenceSession:
    """A model, ready to run: made once, run as often as you like.

    >>> session = convopt.InferenceSession("model.onnx")
    >>> logits, = session.run(None, {"input": numpy.zeros((1, 3, 224, 224), numpy.float32)})

    A program for onnxruntime's CPU sessions works when its import is changed; `providers` and other
    arguments of its own that mean nothing here are accepted and ignored.

    Without a `plan`, the layers' primitives are chosen by the times that a model predicts: this
    machine's own if `convopt transfer` made one, else the shipped one. Predictions need the peak and
    bandwidths of this machine. Where `convopt select` has not stored them yet, they are measured for
    about a second, once per process, and nothing is written; `convopt.measure_machine()` stores
    them.

    Input sizes that the file leaves open are taken from the arrays of `run`. The model is planned
    and prepared when a set of sizes is first seen, and the eight sets used last are kept.

    Parameters
    ----------
    path_or_model : path of an ONNX model, a JSON network, or a bundle (`convopt bundle`), whose best
        plan for this processor is taken; or the bytes of an ONNX model
    sess_options : a SessionOptions, of which `intra_op_num_threads` counts, up to the cores that
        this process may use, and what is about profiling
    providers, provider_options : ignored
    threads : threads per layer; default: the cores that this process may use
    precision : 'f32', or 'bf16', 'int8', 'auto': types that tensors may be stored in where that is
        faster. int8 needs a `calibration`, unless the model is quantised. How far results then are
        from single precision is not checked here; `convopt.select(max_output_error=...)` does.
    plan : a Plan, or the path of one, instead of planning
    calibration : a Calibration, or the path of one
    cost_model, profile : paths of a cost model and of measured times, as in `convopt.select`

    Raises
    ------
    InputError : the file cannot be read or holds what convopt cannot compute
    UsageError : more `threads` than processors; int8 without ranges; a precision for a bundle or
        with a plan, which settle the types
    TypeError : an unknown argument
    """

    def __init__(
        self,
        path_or_model: Model,
        sess_options: Optional[Any] = None,
        providers: Optional[Sequence[Any]] = None,
        provider_options: Optional[Sequence[Any]] = None,
        *,
        threads: Optional[int] = None,
        precision: Optional[str] = None,
        plan: Union[Plan, Path, None] = None,
        calibration: Union[Calibration, Path, None] = None,
        cost_model: Optional[Path] = None,
        profile: Optional[Path] = None,
        **ignored: Any,
    ) -> None:
        for name in ignored:
            if name not in _IGNORED:
                known = set(inspect.signature(InferenceSession).parameters) - {"ignored"}
                raise TypeError(_unknown("InferenceSession", "argument", name, known))
        if threads is None:
            # Programs for onnxruntime ask for more than there are, which would wait for each other.
            wanted = _threads_of(sess_options)
            threads = min(wanted, len(os.sched_getaffinity(0))) or None
        elif _whole_threads("threads", threads) < 1:
            raise UsageError(f"threads is {threads}, but a layer needs at least 1")
        if plan is not None:
            for name, value in {
                "precision": precision,
                "calibration": calibration,
                "cost_model": cost_model,
                "profile": profile,
            }.items():
                if value is not None:
                    raise UsageError(f"{name} has no effect with a plan, which settles it")
        if plan is not None and not isinstance(plan, Plan):
            plan = Plan.load(plan)
        options = planning_options(
            threads=threads,
            precision=precision,
            calibration=calibration,
            cost_model=cost_model,
            profile=profile,
        )
        options["logger"] = _Notes
        # Kept, since a model with dynamic dimensions is read again for every new set of sizes.
        self._file = ModelFile(path_or_model)
        self._options = sess_options if sess_options is not None else SessionOptions()
        if self._file.in_memory:
            options["name"] = self._file.NAME
        with self._file.named():
            self._session = _core.InferenceSession(
                self._file.path, options, plan._plan if plan is not None else None
            )
        self._run = self._session.run
        if self._file.in_memory:
            self._run = self._file.named()(self._run)
        self._profiling: Optional[Profiling] = None
        if getattr(sess_options, "enable_profiling", False):
            self._profiling = Profiling(str(getattr(sess_options, "profile_file_prefix", "")))

    def get_inputs(self) -> List[NodeArg]:
        """The model's inputs, in its order."""
        return [NodeArg(*described) for described in self._session.inputs()]

    def get_outputs(self) -> List[NodeArg]:
        """The model's outputs, in its order."""
        return [NodeArg(*described) for described in self._session.outputs()]

    def get_modelmeta(self) -> ModelMetadata:
        """What the model's file says of itself."""
        return ModelMetadata(**self._session.metadata())

    def get_session_options(self) -> Any:
        """The options that the session was made with."""
        return self._options

    def get_providers(self) -> List[str]:
        """Always ['CPUExecutionProvider']."""
        return [PROVIDER]

    def get_overridable_initializers(self) -> List[NodeArg]:
        """Always []: weights are packed when a model is prepared, and stay what they are."""
        return []

    def get_provider_options(self) -> Dict[str, Dict[str, str]]:
        """Always {'CPUExecutionProvider': {}}."""
        return {PROVIDER: {}}

    def set_providers(
        self,
        providers: Optional[Sequence[Any]] = None,
        provider_options: Optional[Sequence[Any]] = None,
    ) -> None:
        """Changes nothing, like `providers` of a new session: there is one, the CPU's."""

    def enable_fallback(self) -> None:
        """Changes nothing: there is no other provider to fall back to."""

    def disable_fallback(self) -> None:
        """Changes nothing: there is no other provider to fall back to."""

    def run(
        self,
        output_names: Optional[Sequence[str]],
        input_feed: Mapping[str, Any],
        run_options: Any = None,
    ) -> List[numpy.ndarray]:
        """Computes the outputs of these names, all of them if None, in that order.

        `input_feed` has one array per input, of its type and shape. Arrays whose elements lie row by
        row, without gaps, are read where they are; others are copied. Other threads of Python run
        meanwhile, and may run the same session: each run has memory of its own.

        Raises UsageError for names that the model does not have, and InputError for arrays of another
        type or shape. `run_options` is ignored.
        """
        if type(input_feed) is not dict:
            if not isinstance(input_feed, Mapping):
                raise TypeError("input_feed is a dictionary of arrays by the names of inputs")
            input_feed = dict(input_feed)
        if isinstance(output_names, str):
            output_names = [output_names]
        if self._profiling is not None:
            return self._profiled(self._profiling, output_names, input_feed)
        return self._run(output_names, input_feed)

    def _profiled(
        self, profiling: Profiling, output_names: Optional[Sequence[str]], feed: Dict[str, Any]
    ) -> List[numpy.ndarray]:
        layers: List[Tuple[str, str, int]] = []
        begin = time.perf_counter_ns()
        results = self._run(output_names, feed, layers)
        profiling.add(begin, time.perf_counter_ns(), layers)
        return results

    def run_with_ort_values(
        self,
        output_names: Optional[Sequence[str]],
        input_dict_ort_values: Mapping[str, OrtValue],
        run_options: Any = None,
    ) -> List[OrtValue]:
        """`run` of values instead of arrays."""
        feed = {name: value.numpy() for name, value in input_dict_ort_values.items()}
        return [OrtValue(result) for result in self.run(output_names, feed, run_options)]

    def io_binding(self) -> IOBinding:
        """A new binding for `run_with_iobinding`."""
        return IOBinding(self)

    def run_with_iobinding(self, iobinding: IOBinding, run_options: Any = None) -> None:
        """Computes the outputs that are bound from the inputs that are bound, where `run` does."""
        iobinding._run(run_options)

    def end_profiling(self) -> str:
        """Writes the times of all runs so far and of their layers, in the format of onnxruntime's
        profiles, which chrome://tracing shows, and ends profiling. Returns the file's name:
        `SessionOptions.profile_file_prefix` and the time. Without `enable_profiling`, nothing is
        written, and the name is empty.

        Layers are those of the plan, with their primitives. Models with data-dependent shapes
        have times of whole runs alone. Raises MachineError where the file cannot be written; the
        times are kept then.
        """
        if self._profiling is None:
            return ""
        name = self._profiling.write()
        self._profiling = None
        return name

    def get_profiling_start_time_ns(self) -> int:
        """When profiling began, in nanoseconds since 1970; 0 without profiling."""
        return 0 if self._profiling is None else self._profiling.start_ns

    @property
    def plan(self) -> Optional[Plan]:
        """The plan that was run last; None before the first run of a model with dynamic dimensions."""
        plan = self._session.plan()
        return Plan(plan) if plan is not None else None

    @property
    def memory(self) -> Optional[Dict[str, int]]:
        """Bytes held by that plan: packed_weights, tensors and workspace."""
        return self._session.memory()

    def __repr__(self) -> str:
        return f"<convopt.InferenceSession of {len(self.get_inputs())} inputs>"
