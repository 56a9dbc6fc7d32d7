"""What functions that plan share: their options as the extension takes them, networks, logging."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any, Dict, List, Mapping, Optional, Sequence, Union

from . import _core

logger = logging.getLogger("convopt")


def several(value: Any) -> List[Any]:
    """A list; a single name or path is one of one element, not one of letters."""
    return [value] if isinstance(value, (str, os.PathLike)) else list(value)


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


def load_network(
    model: Union[str, "os.PathLike[str]"],
    batch: int = 0,
    shapes: Optional[Mapping[str, Sequence[int]]] = None,
    values: Optional[Mapping[str, Any]] = None,
) -> _core.Network:
    """The network of a file, with open sizes and deciding values bound."""
    import numpy

    return _core.load_network(
        os.fspath(model),
        batch,
        [(name, list(sizes)) for name, sizes in (shapes or {}).items()],
        [
            (name, numpy.asarray(value, numpy.float64).ravel().tolist())
            for name, value in (values or {}).items()
        ],
    )


def arrays_by_name(network: _core.Network, arrays: Any) -> Dict[str, Any]:
    """A dictionary as it is, a single array as that of the only input."""
    if isinstance(arrays, Mapping):
        return dict(arrays)
    names = network.inputs()
    return {names[0] if len(names) == 1 else "": arrays}


def worker_command() -> List[str]:
    """How a process is started that times primitives: without NumPy, and whatever sys.path is."""
    program = "import sys; sys.path.insert(0, sys.argv[1]); import _core; _core.run_profile_worker()"
    return [sys.executable, "-I", "-c", program, os.path.dirname(__file__)]
