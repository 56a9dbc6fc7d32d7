"""Times of a session's layers, in the format of onnxruntime's profiles."""

from __future__ import annotations

import json
import os
import threading
import time
from typing import Any, Dict, List, Sequence, Tuple

from ._errors import MachineError

# As many as onnxruntime keeps; later runs are not recorded.
_MOST_EVENTS = 1000000


class Profiling:
    """Events of the runs of one session, until they are written."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.start_ns = time.time_ns()
        self._start = time.perf_counter_ns()
        self._events: List[Dict[str, Any]] = []

    def add(self, begin: int, end: int, layers: Sequence[Tuple[str, str, int]]) -> None:
        """A run between two values of time.perf_counter_ns(), and the ns of its layers, of which it is
        known how long they took and in which order."""
        if len(self._events) + 1 + len(layers) > _MOST_EVENTS:
            return
        events = [self._event("Session", "model_run", begin, end - begin, {})]
        at = begin
        for name, primitive, nanoseconds in layers:
            said = {"provider": "CPUExecutionProvider", "primitive": primitive}
            events.append(self._event("Node", name, at, nanoseconds, said))
            at += nanoseconds
        self._events += events

    def _event(
        self, category: str, name: str, begin: int, duration: int, said: Dict[str, Any]
    ) -> Dict[str, Any]:
        return {
            "cat": category,
            "pid": os.getpid(),
            "tid": threading.get_native_id(),
            "dur": duration / 1000,
            "ts": (begin - self._start) / 1000,
            "ph": "X",
            "name": name,
            "args": said,
        }

    def write(self) -> str:
        """The name of the file."""
        name = self._prefix + time.strftime("_%Y-%m-%d_%H-%M-%S") + ".json"
        try:
            with open(name, "w", encoding="utf-8") as file:
                json.dump(self._events, file, indent=0)
        except OSError as error:
            raise MachineError(f"cannot write '{name}': {error.strerror}") from None
        return name
