"""The restricted loader: the same values as NumPy and pickle for data, a refusal by name for everything else."""

from __future__ import annotations

import collections
import contextlib
import io
import os
import pickle
import struct
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.golden.fixtures import NUMBERS
from wtal_core.data.safe_load import (
    load_npy,
    load_npz,
    load_pickle,
    npy_header,
    open_object_array,
    stream_object_array,
)
from wtal_core.documents import bounded_integer
from wtal_core.errors import DataError, UsageError

PROTOCOLS = range(6)


def pickled(tmp_path: Path, value: Any, protocol: int = 4) -> Path:
    path = tmp_path / "value.pkl"
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    return path


def same(a: Any, b: Any) -> bool:
    """Equal in value and type, arrays and NaN included."""
    if isinstance(a, np.ndarray):
        if not (isinstance(b, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape):
            return False
        if a.dtype == object:
            return all(same(x, y) for x, y in zip(a.ravel(), b.ravel(), strict=True))
        return a.tobytes() == b.tobytes()
    if isinstance(a, bytearray):
        return same(bytes(a), b)
    if type(a) is int:  # beyond 64 bits it comes back as a float
        return type(b) is type(bounded_integer(a)) and bool(b == bounded_integer(a))
    if type(a) is not type(b):
        return False
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    return bool(a == b) or (a != a and b != b)


def ragged(count: int, width: int = 8, *, seed: int = 0) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(seed)
    array = np.empty(count, dtype=object)
    for i in range(count):
        array[i] = rng.standard_normal((int(rng.integers(1, 400)), width)).astype(np.float32)
    return array


# -- what is data comes back as it was ------------------------------------------------------------------------------

keys = st.one_of(
    st.text(max_size=8),
    st.integers(-(2**63), 2**63 - 1),
    st.binary(max_size=4),
    st.tuples(st.integers(0, 9), st.text(max_size=3)),
)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.complex_numbers(allow_nan=False)
)
arrays = st.builds(
    lambda dtype, shape, seed: np.random.default_rng(seed).integers(0, 100, shape).astype(dtype),
    st.sampled_from(["<f4", ">f8", "i1", "<u2", "?", "S3", "<U4", "c8", "f2"]),
    st.lists(st.integers(0, 4), max_size=3).map(tuple),
    st.integers(0, 9),
)
values = st.recursive(
    st.one_of(scalars, arrays, st.frozensets(keys, max_size=3), st.sets(keys, max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(keys, inner, max_size=4),
        st.dictionaries(keys, inner, max_size=3).map(collections.OrderedDict),
    ),
    max_leaves=12,
)


@given(value=values, protocol=st.sampled_from(PROTOCOLS))
def test_data_comes_back_as_pickle_would_give_it(
    value: Any, protocol: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.pkl"
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    assert same(value, load_pickle(path))


STRUCTURED = np.array(
    [(1.5, b"ab", [1, 2])], dtype=np.dtype([("x", ">f4"), ("y", "S3"), ("z", "i2", (2,))], align=True)
)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "value",
    [
        np.arange(5000.0),  # long enough to stay in the file until it is built
        np.asfortranarray(np.arange(6000, dtype=np.int32).reshape(60, 100)),
        np.arange(6000.0).reshape(10, 20, 30).transpose(1, 0, 2),
        b"\x00\xff" * 4000,
        "ä" * 4000,
        bytearray(b"\xfe" * 5000),
        [("k" * 5000, b"v" * 5000)],
        {"a": ("b" * 5000,), "c": {b"d" * 5000: 1}},
        np.float32(3.25),
        np.dtype(">f4"),
        STRUCTURED,
        np.array([[1, "two"], [None, [3.0]]], dtype=object),
        [np.zeros(3)] * 2,
        2**70,
        -(2**3000),
    ],
    ids=lambda value: type(value).__name__,
)
def test_special_values(value: Any, protocol: int, tmp_path: Path) -> None:
    loaded = load_pickle(pickled(tmp_path, value, protocol))
    assert same(value, loaded)
    if isinstance(loaded, np.ndarray) and loaded.size:
        loaded[...] = loaded[...]  # it is writable and its own memory


def test_one_object_listed_twice_stays_one_object(tmp_path: Path) -> None:
    array = np.arange(3000.0)
    first, second = load_pickle(pickled(tmp_path, [array, array]))
    assert first is second


def test_text_of_python_2_is_decoded_or_kept(tmp_path: Path) -> None:
    # Python 2: pickle.dumps(["caf\xe9", u"x"], 2) and 0
    path = tmp_path / "py2.pkl"
    path.write_bytes(b"\x80\x02](U\x04caf\xe9X\x01\x00\x00\x00xe.")
    assert load_pickle(path) == ["café", "x"]
    assert load_pickle(path, encoding="bytes") == [b"caf\xe9", "x"]
    path.write_bytes(b"(lp0\nS'caf\\xe9'\np1\naVx\np2\naI01\naL5L\na.")
    assert load_pickle(path) == ["café", "x", True, 5]
    with pytest.raises(UsageError, match=r"unknown text encoding 'utf8'.*latin1"):
        load_pickle(path, encoding="utf8")  # type: ignore[arg-type]


def test_an_array_of_python_2_keeps_its_bytes_under_either_encoding(tmp_path: Path) -> None:
    data = np.array([1.0, -2.5], dtype="<f4")
    path = tmp_path / "py2.pkl"
    path.write_bytes(
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x00cnumpy\nndarray\nq\x01K\x00\x85U\x01b\x87Rq\x02(K\x01K\x02"
        b"\x85cnumpy\ndtype\nq\x03U\x02f4K\x00K\x01\x87Rq\x04(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t"
        b"b\x89U\x08" + data.tobytes() + b"tb."
    )
    assert same(load_pickle(path), data)
    assert same(load_pickle(path, encoding="bytes"), data)


# -- what is not data is refused, by name, and never run ------------------------------------------------------------


class Attack:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("function", "named"),
    [
        (os.system, "posix.system"),
        (eval, "eval"),
        (exec, "exec"),
        (getattr, "getattr"),
        (__import__, "__import__"),
        (open, "io.open"),
        (np.fromfile, "fromfile"),
        (np.memmap, "memmap"),
        (np.load, "load"),
        (collections.Counter, "Counter"),
    ],
)
def test_code_is_refused_by_name_and_not_run(function: Any, named: str, protocol: int, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    argument = f"touch {victim}" if function is os.system else f"__import__('pathlib').Path({str(victim)!r}).touch()"
    attack = {"features": [np.zeros(2), Attack(function, argument)]}
    for path in (pickled(tmp_path, attack, protocol), tmp_path / "object.npy"):
        if path.suffix == ".npy":
            np.save(path, np.array([attack], dtype=object), allow_pickle=True)
        with pytest.raises(DataError, match="code and not data") as caught:
            (load_npy if path.suffix == ".npy" else load_pickle)(path)
        assert named in str(caught.value)
        assert str(path) in str(caught.value)
    assert not victim.exists()


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (Path("x"), "pathlib"),
        (io.BytesIO(b"x"), "BytesIO"),
        (np.ma.masked_array([1.0]), "ma"),
        (np.random.default_rng(0), "random"),
        (collections.defaultdict(list), "defaultdict"),
        (range(3), "range"),
        (np.float32, "float32"),
    ],
)
def test_objects_and_types_are_refused_by_name(value: Any, named: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="code and not data") as caught:
        load_pickle(pickled(tmp_path, [value]))
    assert named in str(caught.value)


FLOAT32 = b"cnumpy\ndtype\n(S'f4'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb"
RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (RECONSTRUCT + b".", "array without content"),
        (RECONSTRUCT + b"(I1\n(I1000000000000\nt" + FLOAT32 + b"I00\nS'abcd'\ntb.", "4 bytes of content"),
        (RECONSTRUCT + b"(I1\n(I-1\nt" + FLOAT32 + b"I00\nS'abcd'\ntb.", "shape"),
        (
            RECONSTRUCT + b"(I1\n(I2\ntcnumpy\ndtype\n(S'O8'\ntR(I3\nS'|'\nNNNI-1\nI-1\nI63\ntbI00\n(lI1\natb.",
            "objects",
        ),
        (RECONSTRUCT + b"(I1\n(I1\ntI0\nI00\nS'abcd'\ntb.", "no dtype"),
        (
            RECONSTRUCT + b"(I1\n(I1000000000000\ntcnumpy\ndtype\n(S'V0'\ntR(I3\nS'|'\nNNNI0\nI1\nI0\ntbI00\nS''\ntb.",
            "0 byt",
        ),
        (b"cnumpy\ndtype\n(S'f4,O'\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb.", "uses the dtype"),
        (b"cnumpy\nndarray\n(I3\ntR.", "in a way no data file does"),
        (b"cbuiltins\nset\n.", "reference to set"),
        (b"cbuiltins\nbytes\n(I9999999999\ntR.", "in a way no data file does"),
        (b"(dI1\nI2\nb.", "state of something"),
        (b"I1\n(dI2\na.", "container"),
        (b"(lp0\n(g0\ntg0\n(dg0\nI1\ns.", "as a key"),
        (b"(dI1\n.", "unfinished"),
        (b"(I1\nI2\nI3\nd.", "key without a value"),
        (b"Pid\n.", "opcode b'P'"),
        (b"\x80\x09N.", "protocol 9"),
        (b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7fabc.", "ends too early"),
        (b"T\xff\xff\xff\xffabc.", "ends too early"),
        (b"g7\n.", "KeyError"),
        (b"0.", "IndexError"),
        (b"X\x01\x00\x00\x00\xff.", "UnicodeDecodeError"),
        (b"hello", "cannot be read"),
    ],
)
def test_hostile_streams_give_one_message(stream: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "hostile.pkl"
    path.write_bytes(stream)
    with pytest.raises(DataError, match=message) as caught:
        load_pickle(path)
    assert str(path) in str(caught.value)


@given(noise=st.binary(min_size=1, max_size=200), position=st.integers(0, 10_000), cut=st.booleans())
def test_damaged_files_give_data_or_data_error(
    noise: bytes, position: int, cut: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp()
    whole = pickle.dumps({"a": [np.arange(4.0), "text", 1.5, (None, b"x")], "b": np.array([[1], "t"], object)}, 2)
    position %= len(whole)
    damaged = whole[:position] + (b"" if cut else noise + whole[position + len(noise) :])
    for data in (damaged, noise):
        (folder / "damaged.pkl").write_bytes(data or b"\x00")
        with contextlib.suppress(DataError):
            load_pickle(folder / "damaged.pkl")
    file = io.BytesIO()
    np.save(file, np.array([[1.0], "t"], object), allow_pickle=True)
    whole = file.getvalue()
    position %= len(whole)
    (folder / "damaged.npy").write_bytes(whole[:position] + noise + (b"" if cut else whole[position + len(noise) :]))
    for load in (load_npy, lambda p: list(stream_object_array(p)), load_npz):
        with contextlib.suppress(DataError):
            load(folder / "damaged.npy")


# -- .npy -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize(
    "array", [np.arange(12.0).reshape(3, 4), np.asfortranarray(np.eye(3, 5)), np.zeros((0, 4)), STRUCTURED]
)
def test_plain_npy(array: Any, mmap: bool, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", array)
    assert same(load_npy(tmp_path / "a.npy", mmap=mmap), array)
    header = npy_header(tmp_path / "a.npy")
    assert (header.shape, header.dtype, header.is_object_array) == (array.shape, array.dtype, False)


def test_a_large_plain_npy_is_mapped(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((10, 10)))
    mapped = load_npy(tmp_path / "a.npy", mmap=True)
    assert isinstance(mapped, np.memmap)
    assert not mapped.flags.writeable


def test_object_npy(tmp_path: Path) -> None:
    array = np.array([[["a", 1.0], None], [np.arange(3), {"k": (1,)}]], dtype=object)
    np.save(tmp_path / "o.npy", array, allow_pickle=True)
    assert npy_header(tmp_path / "o.npy").is_object_array
    assert same(load_npy(tmp_path / "o.npy"), array)
    with pytest.raises(DataError, match=r"cannot be memory-mapped.*open_object_array"):
        load_npy(tmp_path / "o.npy", mmap=True)
    np.save(tmp_path / "dict.npy", {"video": np.zeros(2)}, allow_pickle=True)  # type: ignore[arg-type]
    assert same(load_npy(tmp_path / "dict.npy").item(), {"video": np.zeros(2)})


def test_a_truncated_npy_says_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "t.npy"
    np.save(path, np.zeros((100, 4)))
    path.write_bytes(path.read_bytes()[:-8])
    for mmap in (False, True):
        with pytest.raises(DataError, match=r"promises shape \(100, 4\) of float64 = 3200 bytes, and 3192 are there"):
            load_npy(path, mmap=mmap)
    np.save(path, ragged(3), allow_pickle=True)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"ends too early.*truncated"):
        load_npy(path)
    with pytest.raises(DataError, match="ends too early"):
        open_object_array(path)


def test_wrong_files(tmp_path: Path) -> None:
    for load in (load_npy, load_npz, load_pickle, npy_header, open_object_array):
        with pytest.raises(DataError, match="does not exist"):
            load(tmp_path / "none")
        with pytest.raises(DataError, match="is a folder"):
            load(tmp_path)
        (tmp_path / "empty").touch()
        with pytest.raises(DataError, match=r"empty \(0 bytes\)"):
            load(tmp_path / "empty")
    for content, kind in (
        (b"PK\x03\x04....", "npz"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b'{"a": 1}', "JSON"),
        (b"a", "something"),
    ):
        (tmp_path / "f.npy").write_bytes(content)
        with pytest.raises(DataError, match=f"no .npy file but .*{kind}"):
            load_npy(tmp_path / "f.npy")
    with pytest.raises(DataError, match="npz"):
        load_npz(tmp_path / "f.npy")
    np.save(tmp_path / "mixed.npy", np.zeros(2, dtype=[("a", "f4"), ("b", object)]), allow_pickle=True)
    with pytest.raises(DataError, match="mixes objects"):
        load_npy(tmp_path / "mixed.npy")


# -- one element at a time ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_elements_are_read_one_by_one(protocol: int, tmp_path: Path) -> None:
    array = ragged(12)
    array[5] = array[2]  # the same object again: a memo reference in the stream
    array[7] = array[7][:2]  # small: kept in memory instead of the file
    path = tmp_path / "packed.npy"
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": (12,)})
        pickle.dump(array, file, protocol=protocol)
    assert all(same(a, b) for a, b in zip(array, stream_object_array(path), strict=True))
    with open_object_array(path) as elements:
        assert (len(elements), elements.shape) == (12, (12,))
        assert elements.element_shape(7) == array[7].shape
        assert [elements.element_shape(i) for i in range(12)] == [a.shape for a in array]
        assert same(elements[9], array[9])
        assert same(elements[-10], array[2])  # any order, any time
        with pytest.raises(IndexError):
            elements[12]


def test_elements_that_hold_arrays_inside_containers(tmp_path: Path) -> None:
    long = np.arange(3000.0)
    array = np.empty(3, dtype=object)
    array[:] = [{"rgb": long, "n": 1}, (long, [long]), "text"]
    np.save(tmp_path / "n.npy", array, allow_pickle=True)
    with open_object_array(tmp_path / "n.npy") as elements:
        assert same(list(elements), array.tolist())
    with pytest.raises(DataError, match=r"not an array.*dict"):
        list(stream_object_array(tmp_path / "n.npy"))


def test_equally_long_videos_become_one_plain_array(tmp_path: Path) -> None:
    array = np.arange(24.0).reshape(4, 3, 2)
    np.save(tmp_path / "p.npy", array)
    assert same(list(stream_object_array(tmp_path / "p.npy")), list(array))
    with pytest.raises(DataError, match="plain array"):
        open_object_array(tmp_path / "p.npy")
    np.save(tmp_path / "s.npy", np.float64(1))
    with pytest.raises(DataError, match="one number"):
        list(stream_object_array(tmp_path / "s.npy"))


def test_memory_stays_at_about_one_element(tmp_path: Path) -> None:
    array = ragged(60, 256)
    np.save(tmp_path / "packed.npy", array, allow_pickle=True)
    largest, total = max(a.nbytes for a in array), sum(a.nbytes for a in array)
    sums = [float(a.sum()) for a in array]
    del array
    tracemalloc.start()
    found = [float(a.sum()) for a in stream_object_array(tmp_path / "packed.npy")]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == sums
    assert peak < 2.5 * largest < total / 5


# -- .npz -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz(save: Any, tmp_path: Path) -> None:
    stored = {"rgb": np.arange(6.0).reshape(2, 3), "frame_cnt": np.int64(100), "names": np.array(["a", [1]], object)}
    save(tmp_path / "a.npz", **stored)
    with load_npz(tmp_path / "a.npz") as arrays:
        assert list(arrays) == list(stored)
        assert len(arrays) == 3
        assert "rgb" in arrays
        assert "flow" not in arrays
        assert arrays.get("flow") is None
        assert arrays.header("rgb").shape == (2, 3)
        assert same(dict(arrays), {k: np.asarray(v) for k, v in stored.items()})
        with pytest.raises(KeyError, match="Did you mean 'rgb'"):
            arrays["rbg"]


def test_a_member_with_code_is_refused_and_a_damaged_one_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "bad.npz", good=np.zeros(2), bad=np.array([Attack(os.getcwd)], object))
    with load_npz(tmp_path / "bad.npz") as arrays:
        assert arrays["good"].shape == (2,)
        with pytest.raises(DataError, match=r"bad.npz\['bad'\].*posix.getcwd"):
            arrays["bad"]
    np.savez(tmp_path / "crc.npz", a=np.arange(1000.0))
    data = bytearray((tmp_path / "crc.npz").read_bytes())
    data[500] ^= 0xFF
    (tmp_path / "crc.npz").write_bytes(data)
    with load_npz(tmp_path / "crc.npz") as arrays, pytest.raises(DataError, match="CRC"):
        arrays["a"]
    (tmp_path / "cut.npz").write_bytes(data[:-50])
    with pytest.raises(DataError, match="zip"):
        load_npz(tmp_path / "cut.npz")
    with zipfile.ZipFile(tmp_path / "text.npz", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with load_npz(tmp_path / "text.npz") as arrays, pytest.raises(DataError, match=r"no .npy file"):
        arrays["readme.txt"]


def test_a_header_cannot_ask_for_memory_the_file_does_not_fill(tmp_path: Path) -> None:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"
    data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header
    (tmp_path / "huge.npy").write_bytes(data)
    with zipfile.ZipFile(tmp_path / "huge.npz", "w") as archive:
        archive.writestr("a.npy", data)
    with pytest.raises(DataError, match="8000000000000 bytes, and 0 are there"):
        load_npy(tmp_path / "huge.npy")
    with load_npz(tmp_path / "huge.npz") as arrays, pytest.raises(DataError, match="and 0 are there"):
        arrays["a"]


def test_archives_of_this_repository_open() -> None:
    with load_npz(NUMBERS / "deep_metric.npz") as arrays:
        assert arrays.header("x").shape == arrays["x"].shape == (20, 200, 64)


# -- real files -----------------------------------------------------------------------------------------------------


def test_real_object_arrays_equal_what_numpy_reads(shared: Path) -> None:
    folder = shared / "data" / "wtalc_thumos14_annotations"
    files = sorted(folder.glob("*.npy"))
    assert len(files) == 9
    for path in files:
        assert same(load_npy(path), np.load(path, allow_pickle=True, encoding="latin1")), path.name
    assert load_npy(folder / "labels_all.npy", encoding="bytes")[0] == [b"Billiards"]
