"""Files of weights: named arrays read, written and converted in any container, without running what is in them."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from wtal_core.arrays import Array
from wtal_core.data.safe_load import load_npz, load_pickle, load_torch
from wtal_core.errors import DataError, UsageError, reason, shortened
from wtal_core.files import atomic_path, read_json, require_file, sha256, write_json

__all__ = [
    "arrays_sha256",
    "check_sha256",
    "check_suffix",
    "convert_checkpoint",
    "read_arrays",
    "read_pickle",
    "read_sidecar",
    "sidecar_path",
    "write_arrays",
]


def sidecar_path(path: Path) -> Path:
    """Return the JSON sidecar of a weights file."""
    return path.with_suffix(".json")


def read_sidecar(path: Path) -> dict[str, Any]:
    """Return what the sidecar of a weights file says, {} where there is none.

    Raises:
        DataError: it is damaged.
    """
    file = sidecar_path(path)
    if not file.is_file():
        return {}
    about = read_json(file, "the sidecar of a weights file")
    if not isinstance(about, dict):
        raise DataError(
            "is not the sidecar of a weights file", expected="an object", where=file,
            next_step="Delete this file, or convert the weights again",
        )  # fmt: skip
    return about


def check_suffix(path: str | os.PathLike[str]) -> Path:
    """Return the name of a file to write, or raise `UsageError` where it is neither `.safetensors` nor `.npz`."""
    path = Path(path)
    if path.suffix not in (".safetensors", ".npz"):
        raise UsageError(
            "unknown suffix for weights",
            expected=".safetensors or .npz",
            got=repr(path.suffix),
            where=path,
            next_step="Give the file one of these endings",
        )
    return path


def arrays_sha256(arrays: Mapping[str, Array]) -> str:
    """Return one SHA-256 over names, shapes, types and values: the same weights in any container give the same."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        value = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}|{value.dtype.str}|{value.shape}|".encode())
        digest.update(value.data if value.size else b"")
    return digest.hexdigest()


def write_arrays(path: str | os.PathLike[str], arrays: Mapping[str, Array], about: Mapping[str, Any]) -> Path:
    """Write arrays to `path` (`.safetensors` or `.npz`) and a JSON sidecar with `about` and the file's SHA-256.

    Raises:
        UsageError: another suffix.
    """
    path = check_suffix(path)
    with atomic_path(path) as temporary:
        if path.suffix == ".npz":
            np.savez(temporary, **dict(arrays))  # type: ignore[arg-type]
        else:
            from safetensors.numpy import save_file

            save_file({name: np.ascontiguousarray(value) for name, value in arrays.items()}, temporary)
    write_json(
        sidecar_path(path),
        {
            **about,
            "sha256": sha256(path),
            "arrays": {name: {"shape": list(v.shape), "dtype": str(v.dtype)} for name, v in arrays.items()},
        },
    )
    return path


def _flatten(tree: object, where: object) -> dict[str, Array]:
    """Return the arrays of nested dicts under names joined with `|`; None leaves are dropped.

    Raises:
        DataError: a leaf is neither an array nor None, or a name occurs twice.
    """
    flat: dict[str, Array] = {}

    def visit(node: object, path: tuple[str, ...]) -> None:
        if isinstance(node, Mapping):
            for key, value in node.items():
                visit(value, (*path, str(key)))
        elif isinstance(node, np.ndarray):
            flat["|".join(path)] = node
        elif node is not None:
            raise DataError(
                f"{'|'.join(path) or 'the root'} is not an array",
                expected="nested dicts of arrays",
                got=type(node).__name__,
                where=where,
                next_step="Save the weights alone; 'wtal data explain' says what the file holds",
            )

    visit(tree, ())
    if not flat:
        raise DataError(
            "holds no arrays",
            expected="nested dicts of arrays",
            where=where,
            next_step="Check that it is a checkpoint with weights; 'wtal data explain' says what it holds",
        )
    return flat


def convert_checkpoint(
    source: str | os.PathLike[str], out: str | os.PathLike[str] | None = None, *, sha256_expected: str | None = None
) -> Path:
    """Convert a checkpoint to safetensors (or npz) with a JSON sidecar, without running any of its code.

    PyTorch files are read with `weights_only`, other pickles by the restricted loader that admits arrays and plain
    containers only.

    Args:
        source: `.pt`, `.pth`, `.tar`, `.bin`, `.ckpt`, `.pkl`, `.npz` or `.safetensors`.
        out: file to write; default: beside the source, suffix `.safetensors`.
        sha256_expected: refuse the source if its SHA-256 is another one.

    Raises:
        DataError: the file cannot be read safely, or the hash differs.
    """
    source = require_file(source, "a checkpoint")
    digest = sha256(source)
    if sha256_expected is not None:
        check_sha256(digest, sha256_expected, source)
    out = source.with_suffix(".safetensors") if out is None else Path(out)
    if out.exists() and out.resolve() == source.resolve():
        raise UsageError(
            "source and result are one file", where=source, next_step="Name another file to write", arguments=("out",)
        )
    arrays = read_pickle(source) if _is_plain_pickle(source) else read_arrays(source)
    return write_arrays(out, arrays, {"source": source.name, "source_sha256": digest})


def _is_plain_pickle(path: Path) -> bool:
    """Whether a file is a pickle that PyTorch did not write (PyTorch's are zip archives or begin with its magic)."""
    if path.suffix.lower() in (".npz", ".safetensors"):
        return False
    with path.open("rb") as handle:
        head = handle.read(64)
    torch_legacy_magic = (0x1950A86A20F9469CFC6C).to_bytes(10, "little")  # torch/serialization.py, MAGIC_NUMBER
    return not head.startswith(b"PK") and torch_legacy_magic not in head


def read_pickle(path: Path) -> dict[str, Array]:
    """Return the arrays of a pickle under joined names; the restricted loader admits arrays and plain containers."""
    return _flatten(load_pickle(path), path)


def check_sha256(got: str, expected: str, where: object) -> None:
    """Raise `DataError` where a hash differs from the expected one, `UsageError` where that is none."""
    if re.fullmatch(r"[0-9a-fA-F]{64}", expected.strip()) is None:
        raise UsageError(
            "not a SHA-256",
            expected="64 hexadecimal digits",
            got=repr(shortened(expected)),
            next_step="Copy it again: it has 64 digits",
        )
    if got != expected.strip().lower():
        raise DataError(
            "is not the file it should be (its SHA-256 differs)",
            expected=expected,
            got=got,
            where=where,
            next_step="It may be truncated or another version: download it again",
        )


def read_arrays(path: str | os.PathLike[str]) -> dict[str, Array]:
    """Read named arrays from `.npz`, `.safetensors`, or a PyTorch state dict (`.pt`, `.pth`), executing nothing.

    A state dict may lie under the key "state_dict" or "model".

    Raises:
        DataError: the file is missing, empty, truncated, of another kind, or would need code to be run.
    """
    path = require_file(path, "a weights file")
    suffix = path.suffix.lower()
    if suffix == ".npz":
        with load_npz(path) as archive:
            return {key: _numbers(archive[key], path) for key in archive}
    if suffix == ".safetensors":
        from safetensors.numpy import load_file

        try:
            return dict(load_file(path))
        except Exception as error:  # NumPy lacks some of its dtypes, and there are many ways to be damaged
            raise _unreadable(path, "a safetensors file", error) from error
    if suffix in (".pt", ".pth", ".ckpt", ".tar", ".bin"):
        return _read_state_dict(path)
    raise DataError(
        "has an unknown suffix",
        expected=".npz, .safetensors, .pt or .pth",
        got=repr(suffix),
        where=path,
        next_step="Rename it, or convert it with 'wtal weights convert'",
    )


def _read_state_dict(path: Path) -> dict[str, Array]:
    import torch

    loaded = load_torch(path)
    for key in ("state_dict", "model"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping) or not all(isinstance(value, torch.Tensor) for value in loaded.values()):
        raise DataError(
            "is not a state dict",
            expected="{name: tensor}",
            got=type(loaded).__name__,
            where=path,
            next_step="Save the model with torch.save(model.state_dict(), ...)",
        )
    try:
        return {str(key): value.float().numpy() for key, value in loaded.items()}
    except Exception as error:  # sparse, quantised, or on a device that is none
        raise _unreadable(path, "a state dict of dense tensors", error) from error


def _numbers(array: Array, path: Path) -> Array:
    if array.dtype.kind not in "fiub":
        raise DataError(
            "is no weights file",
            expected="arrays of numbers",
            got=f"an array of {shortened(str(array.dtype))}",
            where=path,
            next_step="'wtal data explain' says what the file holds",
        )
    return array


def _unreadable(path: Path, expected: str, error: Exception) -> DataError:
    return DataError(
        f"cannot be read ({reason(error)})",
        expected=expected,
        where=path,
        next_step="It may be truncated: copy or download it again, and check its SHA-256",
    )
