"""Reading official checkpoints without running anything that is pickled in them."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wtal_core.arrays import Array
from wtal_core.data.safe_load import load_npz, load_torch
from wtal_core.errors import DataError, unexpected
from wtal_core.files import require_file

__all__ = ["read_official_checkpoint"]


def read_official_checkpoint(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read the weights out of a checkpoint file without running anything that is pickled in it.

    Understands plain state dicts, files that keep one under `state_dict` (Lightning) or `model_state_dict`,
    safetensors, and an .npz of arrays under their official names.

    Raises:
        DataError: the file is missing, truncated, or holds objects other than tensors and plain containers.
    """
    path = Path(require_file(path, "a checkpoint file"))
    if path.suffix == ".npz":
        return _read_arrays(path)
    content: Any
    try:
        if path.suffix == ".safetensors":
            content = _read_safetensors(path)
        else:
            content = load_torch(path, classes=[argparse.Namespace])  # Lightning keeps its hyper-parameters so
    except DataError as error:
        raise DataError(
            f"cannot be read as a checkpoint: {error.problem}",
            expected="a file of tensors and plain containers",
            where=path,
            next_step="If it is complete, turn it into tensors first: wtal weights convert",
        ) from error
    for key in ("state_dict", "model_state_dict"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(isinstance(v, Tensor) for v in content.values()):
        raise DataError(
            "holds no state dict",
            expected="{name: tensor}",
            got=type(content).__name__,
            where=path,
            next_step="Save the model with torch.save(model.state_dict(), ...)",
        )
    odd = [str(key) for key, value in content.items() if value.layout != torch.strided or value.device.type != "cpu"]
    if odd:
        raise DataError(
            "holds a tensor without plain values (sparse, or of a device that is none)",
            expected="{name: tensor}",
            got=odd[0],
            where=path,
            next_step="Save dense tensors: tensor.to_dense()",
        )
    return {str(key): value for key, value in content.items()}


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except Exception as error:  # a dtype that torch does not have, or one of the many ways to be damaged
        raise unexpected(error, path) from error


def _read_arrays(path: Path) -> dict[str, Tensor]:
    with load_npz(path) as archive:
        if not archive or any(archive.header(name).dtype.kind not in "fiub" for name in archive):
            raise DataError(
                "holds no state dict",
                expected="{official key: array of numbers}",
                where=path,
                next_step="'wtal data explain' says what the file holds",
            )
        return {key: torch.as_tensor(_native(array)) for key, array in archive.items()}


def _native(array: Array) -> Array:
    """Return numbers in the byte order of this machine: torch has no other."""
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
