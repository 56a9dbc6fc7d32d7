"""Plans and calibrations."""

from __future__ import annotations

import json
import os
from typing import Any, Dict, List, Union

from . import _core
from ._errors import MachineError

Path = Union[str, "os.PathLike[str]"]


def _write(path: Path, text: str) -> None:
    """Replaces the file as a whole."""
    path = os.fspath(path)
    beside = f"{path}.{os.getpid()}.tmp"
    try:
        with open(beside, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(beside, path)
    except OSError as error:
        raise MachineError(f"cannot write '{path}': {error.strerror}") from error
    finally:
        if os.path.exists(beside):
            os.unlink(beside)


def _duration(ms: float) -> str:
    return f"{ms:.3g} ms" if ms >= 1 else f"{ms * 1e3:.3g} us"


class Plan:
    """A primitive for every layer of a network, with the order in which tensors lie in memory.

    >>> plan = convopt.select("model.onnx")
    >>> pandas.DataFrame(plan.layers)
    >>> plan.save("plan.json")
    """

    def __init__(self, plan: _core.Plan) -> None:
        self._plan = plan
        self._document: Dict[str, Any] = json.loads(plan.json())

    @classmethod
    def load(cls, path: Path) -> "Plan":
        """Reads a plan of `save` or of `convopt select -o`. Raises InputError."""
        return cls(_core.Plan.load(os.fspath(path)))

    def save(self, path: Path) -> None:
        """Writes the plan as JSON, which `convopt run --plan` takes, too. Raises MachineError."""
        _write(path, self._plan.json())

    @property
    def document(self) -> Dict[str, Any]:
        """All that the plan says, as docs/reference/plan-format.md has it."""
        return self._document

    @property
    def network(self) -> str:
        """The network's name."""
        return self._document["network"]

    @property
    def platform(self) -> str:
        """The processor, instruction-set level and threads that it is for."""
        return self._document["platform"]["id"]

    @property
    def predicted_ms(self) -> float:
        """Expected time of a run in milliseconds: all layers and conversions."""
        return self._document["predicted_ms"]

    @property
    def optimal(self) -> bool:
        """Whether no other plan is faster by the times that were known."""
        return self._document["optimal"]

    @property
    def layers(self) -> List[Dict[str, Any]]:
        """A record per layer, in an order in which they can be run.

        name, operation, fused (operators computed with it), primitive, family, input_layout,
        output_layout, input_type, output_type, predicted_ms, low_ms and high_ms (90 % interval),
        measured (or predicted), workload (operation, shape and types as text).
        """
        return [
            {
                "name": layer["name"],
                "operation": layer["op"],
                "fused": " + ".join(layer["fused"]),
                "primitive": layer["primitive"],
                "family": layer["family"],
                "input_layout": layer["input_layout"],
                "output_layout": layer["output_layout"],
                "input_type": layer.get("input_type", "f32"),
                "output_type": layer.get("output_type", "f32"),
                "predicted_ms": layer["predicted_us"] / 1e3,
                "low_ms": layer["low_us"] / 1e3,
                "high_ms": layer["high_us"] / 1e3,
                "measured": layer["source"] == "measured",
                "workload": layer["workload"],
            }
            for layer in self._document["layers"]
        ]

    @property
    def conversions(self) -> List[Dict[str, Any]]:
        """A record per conversion of a tensor to another layout or type: tensor, primitive,
        source_layout, target_layout, source_type, target_type, predicted_ms."""
        return [
            {
                "tensor": conversion["tensor"],
                "primitive": conversion["primitive"],
                "source_layout": conversion["source_layout"],
                "target_layout": conversion["target_layout"],
                "source_type": conversion.get("source_type", "f32"),
                "target_type": conversion.get("target_type", "f32"),
                "predicted_ms": conversion["predicted_us"] / 1e3,
            }
            for conversion in self._document["conversions"]
        ]

    @property
    def baselines(self) -> Dict[str, Any]:
        """Expected times of others, in milliseconds: library_default_ms (what oneDNN chooses by
        itself), best_single_primitive_ms, greedy_ms. 0: impossible here."""
        return self._document["baselines"]

    @property
    def accuracy(self) -> Dict[str, Any]:
        """error and cosine of the outputs against single precision, where they were measured."""
        return self._document.get("accuracy") or {}

    def __repr__(self) -> str:
        return f"<convopt.Plan of {self.network}: {len(self.layers)} layers, {_duration(self.predicted_ms)}>"

    def __str__(self) -> str:
        rows = [("layer", "primitive", "layout", "time")]
        for layer in self.layers:
            source, target = layer["input_layout"], layer["output_layout"]
            if layer["input_type"] != "f32" or layer["output_type"] != "f32":
                source += "_" + layer["input_type"]
                target += "_" + layer["output_type"]
            name = layer["name"] + (" + " + layer["fused"] if layer["fused"] else "")
            layout = source if source == target else f"{source} > {target}"
            rows.append((name, layer["primitive"], layout, _duration(layer["predicted_ms"])))
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        lines = [f"{self.network} on {self.platform}", ""]
        for row in rows:
            cells = [cell.ljust(width) for cell, width in zip(row, widths)]
            lines.append("  ".join(cells + [row[3].rjust(8)]))
        converting = sum(conversion["predicted_ms"] for conversion in self.conversions)
        lines += [
            "",
            f"total    {_duration(self.predicted_ms)}, of which "
            f"{len(self.conversions)} conversions take {_duration(converting)}",
        ]
        default = self.baselines.get("library_default_ms", 0)
        if default > 0:
            lines.append(
                f"default  {_duration(default)} by the library's own choice: "
                f"{default / self.predicted_ms:.2f} times as long"
            )
        return "\n".join(lines)


class Calibration:
    """What the tensors of a network hold on typical inputs, which plans in int8 need, and how far its
    outputs are off if one tensor or layer alone is rounded, by which error limits are kept."""

    def __init__(self, calibration: _core.Calibration) -> None:
        self._calibration = calibration

    @classmethod
    def load(cls, path: Path) -> "Calibration":
        """Reads a calibration of `save` or of `convopt calibrate`. Raises InputError."""
        return cls(_core.Calibration.load(os.fspath(path)))

    def save(self, path: Path) -> None:
        """Writes it as JSON. Raises MachineError."""
        _write(path, self._calibration.json())

    @property
    def tensors(self) -> List[Dict[str, Any]]:
        """A record per tensor: its name, lowest and highest number, and sizes of its range."""
        return json.loads(self._calibration.json())["tensors"]

    @property
    def sensitivities(self) -> List[Dict[str, Any]]:
        """A record per tensor, and operator with weights, and type to which it is rounded: the
        outputs' `error` as a fraction of their range, None where one is not finite, and `cosine`.
        """
        return json.loads(self._calibration.json()).get("sensitivities", [])

    def __repr__(self) -> str:
        return f"<convopt.Calibration of {len(self.tensors)} tensors>"
