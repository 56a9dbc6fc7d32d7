"""What functions that plan share: their options as the extension takes them, networks, logging."""

from __future__ import annotations

import contextlib
import logging
import operator
import os
import sys
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Union

from . import _core
from ._errors import Error

logger = logging.getLogger("convopt")

Model = Union[str, "os.PathLike[str]", bytes, bytearray, memoryview]


def several(value: Any) -> List[Any]:
    """A list; a single name, path or model is of one element, not one of letters."""
    return [value] if isinstance(value, (str, os.PathLike, bytes)) else list(value)


class ModelFile:
    """The file of a model; of one that is given by its bytes, one in memory."""

    NAME = "model"  # of an ONNX model without a file to be named after

    def __init__(self, model: Model) -> None:
        self._memory: Optional[int] = None
        if not isinstance(model, (bytes, bytearray, memoryview)):
            self.path = os.fspath(model)
            return
        self._memory = os.memfd_create(self.NAME, os.MFD_CLOEXEC)
        with os.fdopen(self._memory, "wb", closefd=False) as file:
            file.write(model)
        self.path = f"/proc/self/fd/{self._memory}"

    def __del__(self) -> None:
        if self._memory is not None:
            os.close(self._memory)

    @property
    def in_memory(self) -> bool:
        return self._memory is not None

    @contextlib.contextmanager
    def named(self) -> Iterator[None]:
        """Errors name what was given, not the file in memory."""
        try:
            yield
        except Error as error:
            if not self.in_memory:
                raise
            raise type(error)(str(error).replace(self.path, "the given bytes")) from None


def planning_options(calibration: Any = None, **given: Any) -> Dict[str, Any]:
    """The options that are not None."""
    from ._plan import Calibration

    options = {name: value for name, value in given.items() if value is not None}
    if calibration is not None:
        if not isinstance(calibration, Calibration):
            calibration = Calibration.load(calibration)
        options["calibration"] = calibration._calibration
    options["logger"] = logger
    return options


def _whole(value: Any, what: str) -> int:
    """A number that C has room for."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or not -(2**31) <= number < 2**31:
        raise TypeError(f"{what} is no integer of 32 bits: {value!r:.80}")
    return number


def _by_name(given: Any, what: str, example: str) -> Dict[str, Any]:
    """A dictionary whose keys are names of inputs."""
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise TypeError(f"{what}: not a dictionary by the names of inputs, such as {example}")
    return dict(given)


def _sizes(given: Any, name: str) -> List[int]:
    what = f"shapes[{name!r}]"
    if isinstance(given, (str, bytes)):
        raise TypeError(f"{what} is text, not a tuple of sizes such as (1, 3, 224, 224)")
    try:
        sizes = list(given)
    except TypeError:
        raise TypeError(f"{what} is no tuple of sizes such as (1, 3, 224, 224)") from None
    return [_whole(size, "a size of " + what) for size in sizes]


def _numbers(given: Any, name: str) -> List[float]:
    import numpy

    try:
        return numpy.asarray(given, numpy.float64).ravel().tolist()
    except (TypeError, ValueError):
        raise TypeError(f"values[{name!r}] is no number or array of numbers") from None


def load_network(
    model: Model,
    batch: int = 0,
    shapes: Optional[Mapping[str, Sequence[int]]] = None,
    values: Optional[Mapping[str, Any]] = None,
) -> _core.Network:
    """The network of a file, with its dynamic dimensions and the values of control inputs bound."""
    shapes = _by_name({} if shapes is None else shapes, "shapes", "{'image': (1, 3, 224, 224)}")
    values = _by_name({} if values is None else values, "values", "{'rate': 16000}")
    file = ModelFile(model)
    with file.named():
        network = _core.load_network(
            file.path,
            _whole(batch, "batch"),
            [(name, _sizes(sizes, name)) for name, sizes in shapes.items()],
            [(name, _numbers(value, name)) for name, value in values.items()],
        )
    if file.in_memory and network.name == os.path.basename(file.path):
        network.name = file.NAME
    return network


def arrays_by_name(network: _core.Network, arrays: Any) -> Dict[str, Any]:
    """A dictionary as it is, a single array as that of the only input."""
    if isinstance(arrays, Mapping):
        return _by_name(arrays, "arrays", "{'image': array}")
    names = network.inputs()
    return {names[0] if len(names) == 1 else "": arrays}


def worker_command() -> List[str]:
    """How a process is started that times primitives: without NumPy, and whatever sys.path is."""
    program = "import sys; sys.path.insert(0, sys.argv[1]); import _core; _core.run_profile_worker()"
    return [sys.executable, "-I", "-c", program, os.path.dirname(__file__)]
