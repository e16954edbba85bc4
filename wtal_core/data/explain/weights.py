"""Checkpoints: whose weights they are, by the names and shapes of their arrays."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wtal_core.data.explain.explanation import Explanation
from wtal_core.data.safe_load import load_torch
from wtal_core.errors import DataError, reason, shortened

__all__ = ["explain_safetensors", "explain_torch", "explain_weights", "flat_shapes"]


def flat_shapes(value: Any, prefix: str = "") -> dict[str, tuple[int, ...]]:
    """Return `{path in the tree: shape}` of every array or tensor in nested dicts."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return {prefix: tuple(int(n) for n in value.shape)}
    if isinstance(value, Mapping):
        found: dict[str, tuple[int, ...]] = {}
        for key, inner in value.items():
            found |= flat_shapes(inner, f"{prefix}|{key}" if prefix else str(key))
        return found
    return {}


def explain_weights(path: Path, shapes: Mapping[str, tuple[int, ...]], container: str) -> Explanation | None:
    """Recognise the weights of the networks of this field by the names of their arrays."""
    named = _recognise(shapes)
    if named is None:
        return None
    network, more = named
    facts: dict[str, Any] = {
        "container": container,
        "arrays": len(shapes),
        "parameters": sum(math.prod(shape) for shape in shapes.values()),
        **more,
    }
    return Explanation(path, "weights", f"weights of {network}", facts, (), "wtal weights list")


def _recognise(shapes: Mapping[str, tuple[int, ...]]) -> tuple[str, dict[str, Any]] | None:
    def shape(ending: str) -> tuple[int, ...] | None:
        return next(
            (s for name, s in shapes.items() if name == ending or re.search(rf"(^|[|./]){re.escape(ending)}$", name)),
            None,
        )

    streams = {3: "RGB (3 input channels)", 2: "optical flow (2 input channels)"}
    if stem := shape("Conv3d_1a_7x7|Conv_0|kernel"):  # (T, H, W, in, out)
        logits = shape("Conv3d_0c_1x1|Conv_0|kernel") or next((s for n, s in shapes.items() if "Logits" in n), (0,))
        return f"I3D, {streams.get(stem[3], f'{stem[3]} input channels')}, as TF / JAX arrays", {
            "stream": streams.get(stem[3], ""),
            "classes": int(logits[-1]),
            "feature channels": 1024,
        }
    if stem := shape("Conv3d_1a_7x7.conv3d.weight"):  # (out, in, T, H, W)
        logits = shape("logits.conv3d.weight") or (0,)
        return f"I3D, {streams.get(stem[1], f'{stem[1]} input channels')}, of the PyTorch port", {
            "stream": streams.get(stem[1], ""),
            "classes": int(logits[0]),
            "feature channels": 1024,
        }
    if base := shape("base.base_conv_0.weight"):  # CMCS
        heads = [s for n, s in shapes.items() if re.search(r"cls_heads\.\d+\.weight$", n)]
        stream = {2048: "RGB and flow joined", 1024: "one stream (RGB or flow)"}.get(base[1], f"{base[1]} channels")
        return "CMCS", {"input": stream, "branches": len(heads), "classes": heads[0][0] - 1 if heads else 0}
    if (attention := shape("att_branch.weight")) and (head := shape("snippet_cls.weight")):
        return "ACM-Net", {"feature channels": attention[1], "classes": head[0] - 1}
    if (fc := shape("fc.weight")) and (head := shape("classifier.weight")) and len(head) == 2:
        return "the deep-metric network (two linear layers)", {"feature channels": fc[1], "classes": head[0]}
    if attention := next((s for n, s in shapes.items() if re.search(r"attention\.\d+\.weight$", n)), None):
        layers = [s for n, s in shapes.items() if re.search(r"classifier\.\d+\.weight$", n)]
        if layers and len(attention) == 3:
            return "HAM-Net", {"feature channels": layers[0][1], "classes": layers[-1][0] - 1}
    return None


def explain_torch(path: Path) -> Explanation:
    try:
        value = load_torch(path, mapped=True)
    except DataError as error:
        if "is refused" not in error.problem:
            raise
        return Explanation(
            path,
            "checkpoint",
            "a PyTorch checkpoint that holds more than tensors; it was not loaded",
            {"size": f"{path.stat().st_size / 1e6:.1f} MB", "refused": error.problem},
            ("its content",),
            "wtal weights convert reads it safely",
        )
    shapes = flat_shapes(value)
    container = "a PyTorch checkpoint"
    items = value.items() if isinstance(value, dict) else ()
    extra = {k: shortened(v, 200) if isinstance(v, str) else v for k, v in items if isinstance(v, int | float | str)}
    if (weights := explain_weights(path, shapes, container)) is not None:
        return Explanation(
            path, "weights", weights.summary, dict(weights.facts) | _strings(extra), (), weights.next_step
        )
    return _unknown_tensors(path, shapes, container, extra)


def _strings(values: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(k): v for k, v in values.items()}


def _unknown_tensors(
    path: Path, shapes: Mapping[str, tuple[int, ...]], container: str, extra: Mapping[Any, Any]
) -> Explanation:
    facts: dict[str, Any] = {
        "container": container,
        "tensors": len(shapes),
        "parameters": sum(math.prod(shape) for shape in shapes.values()),
        "first tensors": {name: str(shape) for name, shape in list(shapes.items())[:6]},
        **_strings(extra),
    }
    return Explanation(
        path, "checkpoint", f"{container} of {len(shapes)} tensors", facts, ("which network it belongs to",)
    )


def explain_safetensors(path: Path) -> Explanation:
    from safetensors import safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            metadata = {name: shortened(text, 200) for name, text in (file.metadata() or {}).items()}
    except Exception as error:  # the many ways to be damaged, and dtypes of tomorrow
        raise DataError(
            f"is not a readable safetensors file: {reason(error)}", where=path, next_step="Copy or download it again"
        ) from error
    if (weights := explain_weights(path, shapes, "a safetensors file")) is not None:
        return Explanation(
            path, "weights", weights.summary, dict(weights.facts) | _strings(metadata), (), weights.next_step
        )
    return _unknown_tensors(path, shapes, "a safetensors file", metadata)
