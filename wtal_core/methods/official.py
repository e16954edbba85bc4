"""Reading official checkpoints without running anything that is pickled in them."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from wtal_core.errors import DataError
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
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            content: Any = load_file(path)
        else:
            with torch.serialization.safe_globals([argparse.Namespace]):  # Lightning keeps its hyper-parameters so
                content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises many kinds for broken files
        raise DataError(
            f"cannot be read as a checkpoint: {str(error).splitlines()[0][:200]}",
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
    return {str(key): value for key, value in content.items()}


def _read_arrays(path: Path) -> dict[str, Tensor]:
    from wtal_core.data.safe_load import load_npz

    arrays = load_npz(path)
    if not arrays or any(getattr(a, "dtype", None) is None or a.dtype == object for a in arrays.values()):
        raise DataError(
            "holds no state dict",
            expected="{official key: array of numbers}",
            where=path,
            next_step="'wtal data explain' says what the file holds",
        )
    return {key: torch.as_tensor(array) for key, array in arrays.items()}
