"""Files appear whole or not at all, and what cannot be read or written is said in one sentence."""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import json
import lzma
import os
import signal
import stat
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wtal_core.errors import DataError
from wtal_core.files import (
    atomic_path,
    jsonable,
    read_json,
    read_start,
    read_text,
    require_file,
    require_folder,
    sha256,
    write_json,
    write_text,
)

ROOT = os.name == "posix" and os.geteuid() == 0


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(("packer", "pack"), [("gzip", gzip.compress), ("bzip2", bz2.compress), ("xz", lzma.compress)])
def test_packed_files_are_told(tmp_path: Path, packer: str, pack: Callable[[bytes], bytes]) -> None:
    from wtal_core.data import read_annotations, read_detections
    from wtal_core.data.explain import explain

    path = tmp_path / "a.json.gz"
    path.write_bytes(pack(b'{"results": {}, "database": {}}'))
    for read in (read_json, read_annotations, read_detections, explain):
        with pytest.raises(DataError, match=rf"is packed by {packer}.*Unpack it first"):
            read(path)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.zip", "is packed by zip.*Unpack it first"),
        ("a.xlsx", "is a spreadsheet.*Save it as CSV first"),
        ("a.npz", "is a binary file, not text"),
    ],
)
def test_what_is_a_zip_file_inside_is_told_by_its_name(tmp_path: Path, name: str, words: str) -> None:
    from wtal_core.data import read_detections
    from wtal_core.data.explain import explain

    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        archive.writestr("a.json", "{}")
    with pytest.raises(DataError, match=words):
        read_detections(tmp_path / name)
    if not name.endswith(".npz"):
        with pytest.raises(DataError, match=words):
            explain(tmp_path / name)


# -- writing ------------------------------------------------------------------------------------------------------


def test_the_target_appears_only_when_the_block_is_left(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "er" / "a.json"
    with atomic_path(target) as temporary:
        temporary.write_text("new")
        assert temporary.parent == target.parent
        assert temporary.suffix == ".json"  # writers choose their format by it
        assert temporary.name.startswith(".")
        assert not target.exists()
    assert target.read_text() == "new"
    assert names(target.parent) == ["a.json"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, OSError])
def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "a.txt"
    write_text(target, "old")
    with pytest.raises(error), atomic_path(target) as temporary:  # noqa: PT012
        temporary.write_text("half of the n")
        raise error
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_killed_writer_leaves_the_old_file_whole(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_text(target, "old")
    script = (
        "import sys, time\n"
        "from wtal_core.files import atomic_path\n"
        "with atomic_path(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('half of the n')\n"
        "    print('written', flush=True)\n"
        "    time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(target)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "written\n"
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    process.stdout.close()
    assert target.read_text() == "old"
    assert [name for name in names(tmp_path) if not name.startswith(".")] == ["a.txt"]


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    write_json(target, list(range(1000)))
    script = (
        "import sys\nfrom wtal_core.files import write_json\nfor i in range(100): write_json(sys.argv[1], [i] * 1000)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(target)])
    seen = 0
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        assert len(read_json(target)) == 1000
        seen += 1
    assert process.wait(10) == 0
    assert seen
    assert read_json(target) == [99] * 1000


@pytest.mark.skipif(os.name != "posix", reason="permission bits of POSIX")
@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_published_files_follow_the_umask(tmp_path: Path, mask: int, mode: int) -> None:
    before = os.umask(mask)
    try:
        write_text(tmp_path / "a.txt", "x")
        assert os.umask(mask) == mask  # and the mask is left as it was
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == mode


def test_where_nothing_can_be_written_the_reason_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path, message in [
        (tmp_path, r"is a folder \(expected a file name to write\)\. Name a file inside it\."),
        (tmp_path / "file" / "deep" / "a.txt", r"cannot be written \(expected a folder.*, got the file .*file\)"),
        (tmp_path / ("a" * 300), r"cannot be written: File name too long\."),
    ]:
        with pytest.raises(DataError, match=message), atomic_path(path):
            pytest.fail("there is nothing to write into")
    assert names(tmp_path) == ["file"]


def test_a_full_disk_is_said_and_the_old_file_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_json(tmp_path / "a.json", 1)

    def full(self: io.TextIOBase, lines: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    class Full(io.StringIO):
        writelines = full

    opened = Path.open
    monkeypatch.setattr(
        Path, "open", lambda self, mode="r", **how: Full() if mode == "w" else opened(self, mode, **how)
    )
    with pytest.raises(DataError, match=r"a\.json: cannot be written: No space left on device"):
        write_json(tmp_path / "a.json", 2)
    assert read_json(tmp_path / "a.json") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_folder_that_appears_meanwhile_is_an_error_and_the_temporary_goes(tmp_path: Path) -> None:
    target = tmp_path / "a"
    with pytest.raises(DataError, match="cannot be written"), atomic_path(target):
        (target / "inside").mkdir(parents=True)
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize(
    "name", ["a" * 250 + ".json", "я" * 120 + ".json", "a b\nc'\".json", ".hidden", "no_suffix", "😀.h5"]
)
def test_any_name_that_the_file_system_takes_can_be_written(tmp_path: Path, name: str) -> None:
    write_text(tmp_path / name, "x")
    assert names(tmp_path) == [name]


# -- JSON ---------------------------------------------------------------------------------------------------------

plain_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(value=plain_values)
def test_plain_values_survive_the_round_trip(value: object, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "round_trip.json"
    write_json(path, value)
    assert read_json(path) == value


def test_arrays_paths_and_numpy_scalars_become_json() -> None:
    value = {
        1: np.array([[1.5, np.nan], [np.inf, 2]]),
        "path": Path("a/b"),
        "scalars": (np.float32(0.5), np.int64(3), np.bool_(True), float("-inf")),
        "set": {7},
    }
    assert jsonable(value) == {
        "1": [[1.5, None], [None, 2.0]], "path": "a/b", "scalars": [0.5, 3, True, None], "set": [7],
    }  # fmt: skip
    json.dumps(jsonable(value), allow_nan=False)


def test_a_value_that_json_does_not_know_writes_no_file(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", object())
    assert names(tmp_path) == []


# -- reading ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"is empty \(0 bytes\)"),
        (b'{"a": "vid\xe9"}', r"is not UTF-8 text \(byte 10\).*Convert it to UTF-8"),
        ('{"a": 1}'.encode("utf-16"), r"is not UTF-8 text \(byte 0\).*Convert it to UTF-8"),
        (b"\x93NUMPY\x01\x00v\x00", r"is a binary file, not text.*wtal data explain"),
        (b"\0" * 100, "is a binary file, not text"),
        (b'{"a": 1', r"is not valid JSON: .* at line 1, column 8.*It may be truncated"),
        (b'{\n"a": 1,\n}', "is not valid JSON: .* at line [23]"),
        (b"[" * 200_000, "nested too deeply"),
    ],
)
def test_broken_json_is_said_to_be_broken_and_where(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_json(path, "annotations as JSON")
    assert caught.value.where == str(path)
    assert caught.value.expected == "annotations as JSON"


def test_twice_the_same_key_is_refused_only_where_asked(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": {"b": 1, "b": 2}}')
    assert read_json(tmp_path / "a.json") == {"a": {"b": 2}}
    with pytest.raises(DataError, match="'b' is listed twice"):
        read_json(tmp_path / "a.json", unique_keys=True)


def test_text_loses_its_byte_order_mark_and_foreign_line_ends(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfa\r\nb\rc\n")
    assert read_text(tmp_path / "a.txt") == "a\nb\nc\n"


def test_what_is_no_readable_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path, message in [
        (tmp_path / "nothing", r"does not exist \(expected a thing\)\. Check the path\."),
        (tmp_path / "file" / "inside", "does not exist"),
        (tmp_path, "is a folder"),
        (tmp_path / ("a" * 300), "cannot be read: File name too long"),
        (tmp_path / "nul\0l", "cannot be read: .*embedded null"),
    ]:
        for reader in (require_file, read_text, read_start, read_json):
            with pytest.raises(DataError, match=message):
                reader(path, "a thing")
        with pytest.raises(DataError, match=message.replace("a thing", "a file")):
            sha256(path)
    with pytest.raises(DataError, match=r"is a file \(expected a folder\)"):
        require_folder(tmp_path / "file")
    assert require_folder(tmp_path) == tmp_path


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_refused_instead_of_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="is a pipe or device"):
        read_text(tmp_path / "pipe")


@pytest.mark.skipif(ROOT or os.name != "posix", reason="root may read and write everything")
def test_missing_permissions_are_named(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    write_text(locked / "a.txt", "x")
    (locked / "a.txt").chmod(0)
    with pytest.raises(DataError, match=r"cannot be read: Permission denied.*Check its permissions"):
        read_text(locked / "a.txt")
    locked.chmod(0)
    try:
        with pytest.raises(DataError, match="cannot be read: Permission denied"):
            require_file(locked / "a.txt")
        with pytest.raises(DataError, match="cannot be written: Permission denied"):
            write_text(locked / "b.txt", "x")
    finally:
        locked.chmod(0o700)


def test_checksum_and_start_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    # FIPS 180-4's example message.
    assert sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert read_start(tmp_path / "a", count=2) == b"ab"
