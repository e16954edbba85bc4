"""The compact golden files: small, plain, described, and what `compact.py` makes of the big ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.golden.compact import MAKERS, _packed, compact
from tests.golden.fixtures import NUMBERS, _unpacked, draw

LIMIT = 3_000_000
"""Bytes in all."""


def test_the_files_are_small_plain_and_described() -> None:
    files = {path.stem: path for path in NUMBERS.glob("*.npz")}
    assert files.keys() == MAKERS.keys()
    assert sum(path.stat().st_size for path in files.values()) < LIMIT
    text = (NUMBERS / "README.md").read_text(encoding="utf-8")
    for name, path in files.items():
        assert f"## {path.name}\n" in text
        with np.load(path, allow_pickle=False) as file:
            assert all(file[key].dtype != object for key in file.files), name


def test_small_arrays_come_back_as_they_were() -> None:
    small = {
        "a/loss": np.array(1.5, np.float32), "a/x": np.arange(6, dtype=np.float16).reshape(2, 3),
        "a/none": np.zeros((0, 4)), "a/keep": np.array([True, False]), "a/index": np.array([[7]], np.int32),
    }  # fmt: skip
    packed = _packed({**small, "a/large": np.ones(201)})
    assert packed.keys() == {"a/large", "names@packed", "values@packed"}
    found = _unpacked(packed["names@packed"], packed["values@packed"])
    assert found.keys() == small.keys()
    for key, values in small.items():
        assert found[key].dtype == values.dtype
        np.testing.assert_array_equal(found[key], values)


def test_drawn_weights_are_spread_over_kaimings_range() -> None:
    weights = draw(0, 10, 3, (8, 5, 3))
    bound = 3 * np.sqrt(6 / 15)
    assert weights.shape == (8, 5, 3)
    assert weights.dtype == np.float16
    assert 0.9 * bound < np.abs(weights).max() <= np.float16(bound)
    np.testing.assert_array_equal(draw(0, 25, 3, (7, 5, 3)), weights[1:])


def test_the_files_are_made_of_the_big_ones(shared: Path) -> None:
    for name in MAKERS:
        made = compact(shared / "golden", name)
        with np.load(NUMBERS / f"{name}.npz", allow_pickle=False) as file:
            assert set(file.files) == set(made), name
            for key, values in made.items():
                assert file[key].dtype == values.dtype, f"{name}: {key}"
                np.testing.assert_array_equal(file[key], values, err_msg=f"{name}: {key}")
