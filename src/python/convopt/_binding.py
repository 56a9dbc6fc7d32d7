"""Values and bindings with the interface of onnxruntime's: NumPy's arrays, since there is one device."""

from __future__ import annotations

import ctypes
import math
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence

import numpy

from ._errors import InputError, UsageError

if TYPE_CHECKING:
    from ._session import InferenceSession

_ORT_NAMES = {"float32": "float", "float64": "double"}


def _check_device(name: str, number: int = 0) -> None:
    if str(name).lower() != "cpu" or number != 0:
        raise UsageError(f"there is no device '{name}:{number}', only 'cpu'")


class OrtValue:
    """A tensor for `run_with_ort_values` and bindings: an array that is used where it is."""

    __slots__ = ("_array",)

    def __init__(self, array: numpy.ndarray) -> None:
        self._array = array

    @staticmethod
    def ortvalue_from_numpy(
        numpy_obj: Any, device_type: str = "cpu", device_id: int = 0
    ) -> OrtValue:
        """Of an array, which is not copied."""
        _check_device(device_type, device_id)
        return OrtValue(numpy.asarray(numpy_obj))

    @staticmethod
    def ortvalue_from_shape_and_type(
        shape: Sequence[int], element_type: Any, device_type: str = "cpu", device_id: int = 0
    ) -> OrtValue:
        """Of a new array with any contents."""
        _check_device(device_type, device_id)
        return OrtValue(numpy.empty(tuple(shape), element_type))

    def numpy(self) -> numpy.ndarray:
        """The array itself."""
        return self._array

    def update_inplace(self, np_arr: Any) -> None:
        """Copies an array of the same shape and type into this one."""
        _copy("the value", numpy.asarray(np_arr), self._array)

    def shape(self) -> List[int]:
        """The sizes of its dimensions."""
        return list(self._array.shape)

    def data_type(self) -> str:
        """As NodeArg.type, such as 'tensor(float)'."""
        name = self._array.dtype.name
        return f"tensor({_ORT_NAMES.get(name, name)})"

    def data_ptr(self) -> int:
        """The address of the first element."""
        return self._array.ctypes.data

    def device_name(self) -> str:
        """Always 'cpu'."""
        return "cpu"

    def has_value(self) -> bool:
        """Always true."""
        return True

    def is_tensor(self) -> bool:
        """Always true."""
        return True

    def is_tensor_sequence(self) -> bool:
        """Always false."""
        return False

    def is_sparse_tensor(self) -> bool:
        """Always false."""
        return False

    def __repr__(self) -> str:
        return f"<convopt.OrtValue {self.data_type()} {self.shape()}>"


def _copy(what: str, source: numpy.ndarray, destination: numpy.ndarray) -> None:
    if source.shape != destination.shape or source.dtype != destination.dtype:
        raise InputError(
            f"{what} is {source.dtype} {source.shape}, what is bound to it "
            f"{destination.dtype} {destination.shape}"
        )
    numpy.copyto(destination, source)


def _array_at(address: int, shape: Sequence[int], element_type: Any) -> numpy.ndarray:
    """The caller's memory as an array."""
    kind = numpy.dtype(element_type)
    memory = (ctypes.c_char * (kind.itemsize * math.prod(shape))).from_address(address)
    return numpy.frombuffer(memory, kind).reshape(tuple(shape))


class IOBinding:
    """Inputs and outputs of runs by `InferenceSession.run_with_iobinding`, bound once. Inputs are read
    where they are; outputs that are bound to memory of the caller's are copied there."""

    def __init__(self, session: InferenceSession) -> None:
        self._session = session
        self._inputs: Dict[str, numpy.ndarray] = {}
        self._outputs: Dict[str, Optional[numpy.ndarray]] = {}
        self._results: List[OrtValue] = []

    def bind_cpu_input(self, name: str, arr_on_cpu: Any) -> None:
        """Binds an array to the input of that name."""
        self._inputs[name] = numpy.asarray(arr_on_cpu)

    def bind_input(
        self,
        name: str,
        device_type: str,
        device_id: int,
        element_type: Any,
        shape: Sequence[int],
        buffer_ptr: int,
    ) -> None:
        """Binds memory that holds a dense array, which has to outlive the binding."""
        _check_device(device_type, device_id)
        self._inputs[name] = _array_at(buffer_ptr, shape, element_type)

    def bind_ortvalue_input(self, name: str, ortvalue: OrtValue) -> None:
        """Binds a value."""
        self._inputs[name] = ortvalue.numpy()

    def bind_output(
        self,
        name: str,
        device_type: str = "cpu",
        device_id: int = 0,
        element_type: Any = None,
        shape: Optional[Sequence[int]] = None,
        buffer_ptr: Optional[int] = None,
    ) -> None:
        """Asks for the output of that name: in memory of the caller's if an address is given, which has
        to outlive the binding, else in a new array of each run."""
        _check_device(device_type, device_id)
        self._outputs[name] = None
        if buffer_ptr is not None:
            if shape is None or element_type is None:
                raise UsageError(f"the memory for '{name}' needs its shape and element_type")
            self._outputs[name] = _array_at(buffer_ptr, shape, element_type)

    def bind_ortvalue_output(self, name: str, ortvalue: OrtValue) -> None:
        """Asks for the output of that name in the memory of a value."""
        self._outputs[name] = ortvalue.numpy()

    def get_outputs(self) -> List[OrtValue]:
        """What the last run computed, in the order in which outputs were bound."""
        return list(self._results)

    def copy_outputs_to_cpu(self) -> List[numpy.ndarray]:
        """The same as arrays, which are not copied."""
        return [value.numpy() for value in self._results]

    def clear_binding_inputs(self) -> None:
        """Forgets the inputs."""
        self._inputs.clear()

    def clear_binding_outputs(self) -> None:
        """Forgets the outputs and their results."""
        self._outputs.clear()
        self._results.clear()

    def synchronize_inputs(self) -> None:
        """Does nothing: runs have ended when they return."""

    def synchronize_outputs(self) -> None:
        """Does nothing: runs have ended when they return."""

    def _run(self, run_options: Any) -> None:
        if not self._outputs:
            raise UsageError("no output is bound; bind_output asks for one")
        names = list(self._outputs)
        results = self._session.run(names, self._inputs, run_options)
        self._results = []
        for name, result in zip(names, results):
            bound = self._outputs[name]
            if bound is not None:
                _copy(f"the output '{name}'", result, bound)
            self._results.append(OrtValue(result if bound is None else bound))
