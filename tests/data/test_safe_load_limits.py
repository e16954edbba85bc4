"""Small files that stand for much: a sentence, in little time and little memory."""

from __future__ import annotations

import io
import pickle
import struct
import time
import tracemalloc
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wtal_core.data.safe_load import (
    interpreter,
    limits,
    load_npy,
    load_npz,
    load_pickle,
    load_torch,
    npy_header,
    open_object_array,
)
from wtal_core.documents import MOST_LEVELS
from wtal_core.errors import DataError

RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
OBJECTS = b"cnumpy\ndtype\n(S'O8'\ntR(I3\nS'|'\nNNNI-1\nI-1\nI63\ntb"
V0 = b"cnumpy\ndtype\n(S'V1'\ntR(I3\nS'|'\nNNNI1\nI1\nI0\ntb"


@contextmanager
def cheap(seconds: float = 2.0, megabytes: float = 64.0) -> Iterator[None]:
    """Fail where the block takes more processor time (the machine may be busy) or memory than that."""
    tracemalloc.start()
    began = time.process_time()
    try:
        yield
    finally:
        took, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert took < seconds
    assert peak < megabytes * 2**20


def doubled(levels: int) -> Any:
    """Return nested lists that hold each other twice: `2 ** levels` values."""
    value: Any = [0]
    for _ in range(levels):
        value = [value, value]
    return value


def nested(levels: int) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = [value]
    return value


def itself() -> Any:
    value: Any = {"video": []}
    value["video"].append(value)
    return value


def object_of(value: Any) -> np.ndarray[Any, Any]:
    array = np.empty(1, dtype=object)
    array[0] = value
    return array


# -- pickles ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: doubled(40), "it repeats its parts"),
        (lambda: {"a": doubled(25), "b": tuple(doubled(24))}, "it repeats its parts"),
        (lambda: object_of(doubled(40)), "it repeats its parts"),
        (lambda: nested(MOST_LEVELS + 2), f"nested more than {MOST_LEVELS} levels"),
        (lambda: [doubled(20), nested(MOST_LEVELS)], f"nested more than {MOST_LEVELS} levels"),
        (itself, "holds itself"),
        (lambda: object_of(itself()), "holds itself"),
    ],
)
def test_what_no_one_can_walk_through_is_refused(
    make: Callable[[], Any], words: str, protocol: int, tmp_path: Path
) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(make(), protocol))
    np.save(tmp_path / "o.npy", object_of(make()), allow_pickle=True)
    np.savez(tmp_path / "o.npz", o=object_of(make()))
    for read in (
        lambda: load_pickle(tmp_path / "a.pkl"),
        lambda: load_npy(tmp_path / "o.npy"),
        lambda: open_object_array(tmp_path / "o.npy"),
        lambda: load_npz(tmp_path / "o.npz")["o"],
    ):
        with cheap(), pytest.raises(DataError, match=words):
            read()


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_parts_that_are_shared_are_read(protocol: int, tmp_path: Path) -> None:
    classes = ["a", "b", "c"]
    value = {f"v{i}": {"classes": classes, "segments": ((0.0, 1.0), (0.0, 1.0))} for i in range(2000)}
    deep = doubled(MOST_LEVELS // 4)
    (tmp_path / "a.pkl").write_bytes(pickle.dumps([value, deep], protocol))
    assert load_pickle(tmp_path / "a.pkl") == [value, deep]


def test_the_height_of_a_part_counts_wherever_it_stands(tmp_path: Path) -> None:
    part = nested(40)
    (tmp_path / "a.pkl").write_bytes(pickle.dumps([part, [[[[[[[[[[[[[[[[[[[[[[[[[[part]]]]]]]]]]]]]]]]]]]]]]]]]]]))
    with pytest.raises(DataError, match="nested more than"):
        load_pickle(tmp_path / "a.pkl")


def repeat(unit: bytes, count: int, before: bytes = b"(lp0\n", after: bytes = b".") -> bytes:
    return before + unit * count + after


LONG = b"X" + struct.pack("<I", 5000) + b"x" * 5000  # stays in the file until it is wanted


@pytest.mark.parametrize(
    "stream",
    [
        repeat(b"]", 10**6),
        repeat(b"}", 10**6),
        repeat(b"\x8f", 10**6),
        repeat(b"(", 10**6),
        repeat(b"\x94", 10**6, b"N"),
        repeat(b"\x85", 10**6, b"N"),
        # a tuple, a text in the file and an array of 10,000 parts put into a list again and again
        repeat(b"g1\na", 3000, b"(" + b"I1\n" * 10_000 + b"tp1\n0(lp0\n"),
        repeat(b"(g1\ntR", 3000, b"c_codecs\nencode\np2\n0" + LONG + b"p1\n0(lp0\n"),
        repeat(RECONSTRUCT + b"(I1\n(I10000\nt" + OBJECTS + b"I00\ng1\ntb0", 500, b"(" + b"I1\n" * 10_000 + b"lp1\n0N"),
        repeat(RECONSTRUCT + b"(I1\n(I5000\nt" + V0 + b"I00\ng1\ntb0", 5000, b"T" + LONG[1:] + b"p1\n0N"),
        repeat(b"cbuiltins\nset\n(g1\ntR0", 3000, b"(" + b"I1\n" * 10_000 + b"lp1\n0N"),
    ],
    ids=["lists", "dicts", "sets", "marks", "memo", "tuples", "again", "text", "objects", "arrays", "members"],
)
def test_programs_that_fill_memory_are_stopped(stream: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "_BUDGET", 2**24)
    monkeypatch.setattr(interpreter, "_BUDGET_RATIO", 1)
    (tmp_path / "a.pkl").write_bytes(stream)
    with cheap(8, 128), pytest.raises(DataError, match=r"fills more memory|cannot be read"):
        load_pickle(tmp_path / "a.pkl")


def test_a_long_text_in_many_places_is_read_once(tmp_path: Path) -> None:
    text, data = "x" * 100_000, b"y" * 100_000
    (tmp_path / "a.pkl").write_bytes(pickle.dumps([(text, data)] * 3 + [text] * 5000))
    with cheap(5):
        value = load_pickle(tmp_path / "a.pkl")
    assert value == [(text, data)] * 3 + [text] * 5000
    assert value[0] is value[1]
    assert value[3] is value[4]


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        (b"I" + b"9" * 5000 + b"\n.", "a whole number of 5,000 digits"),
        (b"L" + b"9" * 5000 + b"L\n.", "a whole number of 5,000 digits"),
        (b"Np" + b"9" * 4000 + b"\n.", "a memo slot"),
        (b"(" + b"I1\n" * 65 + b"tp1\n0(dg1\nNs.", "a tuple of 65 parts as a key"),
        (b"S" + b"(" * 100_000 + b"\n.", "no quotes"),
        (b"S'a\\x'\n.", "cannot be read"),
        (RECONSTRUCT + b"(I1\n(" + b"I1\n" * 65 + b"t", "cannot be read"),
        (RECONSTRUCT + b"(I1\n(I1000000000000\nI0\nt" + V0 + b"I00\nS''\ntb.", "holds nothing"),
    ],
)
def test_odd_values_are_refused(stream: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(stream)
    with cheap(), pytest.raises(DataError, match=words):
        load_pickle(tmp_path / "a.pkl")


def test_numbers_beyond_64_bits_are_floats_also_as_keys(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({2**63 - 1: -(2**63), 2**64: -(2**64), 2**24000: 1}))
    value = load_pickle(tmp_path / "a.pkl")
    assert value == {2**63 - 1: -(2**63), 2.0**64: -(2.0**64), float("inf"): 1}
    assert [type(key) for key in value] == [int, float, float]


def test_a_dtype_of_dtypes_of_dtypes_is_refused(tmp_path: Path) -> None:
    dtype = np.dtype("V1")
    for _ in range(20):
        dtype = np.dtype([("a", dtype), ("b", dtype)])
    # One level is written as often as it stands; NumPy's pickles share them.
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(np.dtype([("a", dtype), ("b", dtype)])))
    with cheap(), pytest.raises(DataError, match=r"more than 1,000 fields"):
        load_pickle(tmp_path / "a.pkl")


# -- .npy and .npz ----------------------------------------------------------------------------------------------------


def npy(descr: str, shape: tuple[int, ...], content: bytes = b"", fortran: bool = False) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": fortran, "shape": shape})
    return file.getvalue() + content


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (npy("|S0", (10**15,)), "values take no bytes"),
        (npy("|V0", (3,)), "values take no bytes"),
        (npy("<U0", (10**15, 2)), "values take no bytes"),
        (npy("<f4", (10**18, 0)), "holds nothing"),
        (npy("<f4", (0, 10**12, 10**12)), "holds nothing"),
        (npy("|O", (10**15, 0), pickle.dumps(0)), "holds nothing"),
        (npy("<f4", (2**40,)), "promises shape"),
        (npy("<f4", (2**62, 2**62)), "promises shape"),
        (npy("<f4", (1,) * 65, bytes(4)), "its header says the shape"),
        (npy("|O", (10**12,), pickle.dumps([])), "another thing"),
        (b"\x93NUMPY\x01\x00\x02\x00{}", "cannot be read"),
        (b"\x93NUMPY\x01\x00\x0a\x00''        \n", "cannot be read"),
    ],
)
def test_headers_that_promise_what_is_not_there(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", content)
    for read in (lambda: load_npy(tmp_path / "a.npy"), lambda: load_npz(tmp_path / "a.npz")["a"]):
        with cheap(), pytest.raises(DataError, match=words):
            read()


def test_empty_arrays_are_read(tmp_path: Path) -> None:
    for shape in ((0,), (0, 2048), (2048, 0), (10, 0, 1024)):
        np.save(tmp_path / "a.npy", np.zeros(shape, np.float32))
        assert load_npy(tmp_path / "a.npy", mmap=True).shape == npy_header(tmp_path / "a.npy").shape == shape


def zeros_npz(path: Path, rows: int, width: int = 2048) -> None:
    """Write an archive with one array of zeros, which takes a thousandth of it."""
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("v1.npy", "w", force_zip64=True) as file,
    ):
        file.write(npy("<f4", (rows, width)))
        for _ in range(rows):
            file.write(bytes(4 * width))


def test_an_archive_that_inflates_without_bound_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_INFLATED", 2**22)
    zeros_npz(tmp_path / "bomb.npz", 4096)
    with load_npz(tmp_path / "bomb.npz") as archive:
        with cheap(megabytes=4), pytest.raises(DataError, match=r"it would become 32 MiB of values from .* KiB in the"):
            archive["v1"]
        with cheap(megabytes=4):
            assert archive.header("v1").shape == (4096, 2048)
            assert archive.start("v1", 2**16).shape == (2**14,)
    zeros_npz(tmp_path / "small.npz", 500)  # padding compresses well, too, and takes little
    assert load_npz(tmp_path / "small.npz")["v1"].shape == (500, 2048)


def test_the_first_values_of_an_array(tmp_path: Path) -> None:
    array = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    np.savez_compressed(tmp_path / "a.npz", a=array, o=np.array([{}], dtype=object), n=np.float32(3))
    with load_npz(tmp_path / "a.npz") as archive:
        assert archive.start("a", 21).tolist() == list(range(10))
        assert archive.start("a").tolist() == list(range(60))
        assert archive.start("n").tolist() == [3.0]
        with pytest.raises(DataError, match="holds objects"):
            archive.start("o")


def encrypted(path: Path) -> None:
    np.savez(path, a=np.zeros(9))
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)


def method(path: Path, number: int) -> None:
    np.savez(path, a=np.zeros(9))
    content = bytearray(path.read_bytes())
    content[8] = content[content.index(b"PK\x01\x02") + 10] = number
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [encrypted, *(lambda p, n=n: method(p, n) for n in (8, 12, 14, 93))])
def test_archives_that_are_packed_otherwise(damage: Callable[[Path], None], tmp_path: Path) -> None:
    damage(tmp_path / "a.npz")
    with cheap(), load_npz(tmp_path / "a.npz") as archive, pytest.raises(DataError, match="cannot be read"):
        archive["a"]


# -- checkpoints ------------------------------------------------------------------------------------------------------


def saved(path: Path, value: Any, legacy: bool) -> Path:
    torch.save(value, path, _use_new_zipfile_serialization=not legacy)
    return path


@pytest.mark.parametrize("legacy", [False, True])
def test_checkpoints_are_read(legacy: bool, tmp_path: Path) -> None:
    weights = OrderedDict(a=torch.arange(6.0).reshape(2, 3), b=torch.zeros(3, dtype=torch.bfloat16))
    content = {"state_dict": weights, "epoch": 3, "optimizer": {"state": {0: {"step": 1, "v": weights["a"]}}}}
    loaded = load_torch(saved(tmp_path / "a.pt", content, legacy), mapped=True)
    assert torch.equal(loaded["state_dict"]["a"], weights["a"])
    assert (loaded["epoch"], loaded["optimizer"]["state"][0]["step"]) == (3, 1)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: {"a": torch.zeros(1), "b": doubled(40)}, "it repeats its parts"),
        (lambda: {"a": torch.zeros(1), "b": nested(200)}, "nested more than"),
        (itself, "holds itself"),
        (lambda: {"a": torch.nn.Linear(1, 1)}, "is refused: it holds more than tensors"),
    ],
)
def test_checkpoints_that_no_one_can_walk_through(
    make: Callable[[], Any], words: str, legacy: bool, tmp_path: Path
) -> None:
    path = saved(tmp_path / "a.pt", make(), legacy)
    with cheap(4), pytest.raises(DataError, match=words):
        load_torch(path)


def test_a_checkpoint_that_inflates_without_bound_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_INFLATED", 2**22)
    with zipfile.ZipFile(tmp_path / "a.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + b"]" * 2**23 + b".")
    with cheap(megabytes=8), pytest.raises(DataError, match="promise more than the file can hold"):
        load_torch(tmp_path / "a.pt")


def test_a_checkpoint_whose_pickle_fills_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "_BUDGET", 2**22)
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + b"]" * 2**20 + b".")
    with cheap(8, 128), pytest.raises(DataError, match="fills more memory"):
        load_torch(tmp_path / "a.pt")


@pytest.mark.parametrize("content", [b"\x80\x02N.", b"\x80\x02", b"PK\x03\x04", b"PK\x03\x04" + b"x" * 99, b"hello"])
def test_what_is_no_checkpoint(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.pt: (is not a readable PyTorch file|cannot be read)"):
        load_torch(tmp_path / "a.pt")
