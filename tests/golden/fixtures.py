"""Read the compact golden numbers in `numbers/`; `compact.py` writes them, `numbers/README.md` says what they are.

A member's name may end in `@` and how its array was made small:

- `key@11:20x40x64`: every 11th number, counted through the whole array of that shape (`Sample`).
- `key@draw`: weights of a seeded initialization, drawn again on reading (`draw`): seed, place in the stream, factor,
  shape.
- `names@packed`, `values@packed`: small arrays, one after the other; a name is `key|dtype|shape`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wtal_core.arrays import Array

__all__ = ["NUMBERS", "Sample", "draw", "read"]


NUMBERS = Path(__file__).parent / "numbers"


@dataclass(frozen=True, eq=False)
class Sample:
    """Every `step`-th number of an array of `shape`, counted through the whole array."""

    values: Array
    step: int
    shape: tuple[int, ...]


def read(name: str) -> dict[str, Any]:
    """Return the arrays of `numbers/<name>.npz`; float16 becomes float32, which is exact."""
    arrays: dict[str, Any] = {}
    with np.load(NUMBERS / f"{name}.npz", allow_pickle=False) as file:
        members = {member: file[member] for member in file.files}
        members |= _unpacked(members.pop("names@packed", ()), members.pop("values@packed", np.zeros(0)))
        for member, stored in members.items():
            values = stored.astype(np.float32) if stored.dtype == np.float16 else stored
            key, _, made = member.partition("@")
            if made == "draw":
                seed, place, factor, *shape = values.tolist()
                values = draw(seed, place, factor, tuple(shape)).astype(np.float32)
            elif made:
                step, _, shape = made.partition(":")
                values = Sample(values, int(step), tuple(map(int, shape.split("x"))))
            arrays[key] = values
    return arrays


def _unpacked(names: Iterable[str], values: Array) -> dict[str, Array]:
    arrays, at = {}, 0
    for name in names:
        key, dtype, shape = str(name).split("|")
        size = [int(n) for n in shape.split("x") if n]
        count = int(np.prod(size))
        arrays[key] = values[at : at + count].astype(dtype).reshape(size)
        at += count
    return arrays


def draw(seed: int, place: int, factor: int, shape: tuple[int, ...]) -> Array:
    """Return weights `(out, in, width)` as float16: PyTorch's Kaiming-uniform initialization times a factor.

    PyTorch's generator on the CPU and NumPy's `RandomState` give the same stream of 32-bit numbers, and NumPy has
    frozen it; a uniform number is made of the low 24 bits.

    Args:
        seed: of the generator.
        place: how many numbers were drawn before.
        factor: the weights were multiplied by it.
    """
    count = int(np.prod(shape))
    stream = np.frombuffer(np.random.RandomState(seed).bytes(4 * (place + count)), dtype="<u4")
    bound = float(np.float32(np.sqrt(6 / np.prod(shape[1:]))))
    uniform = (stream[place:] & 0xFFFFFF) * 2.0**-24
    return ((uniform * (2 * bound) - bound).astype(np.float32) * np.float32(factor)).astype(np.float16).reshape(shape)
