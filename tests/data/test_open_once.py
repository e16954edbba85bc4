"""A file that is opened once in a process, and again after a fork, unpickling and closing."""

from __future__ import annotations

import os
import pickle
import threading
from pathlib import Path
from typing import TextIO

import pytest

from wtal_core.data.open_once import OpenedOnce


class Lines(OpenedOnce[TextIO]):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.count = path, 0

    def _open(self) -> TextIO:
        self.count += 1
        return self.path.open()


@pytest.fixture
def lines(tmp_path: Path) -> Lines:
    (tmp_path / "a.txt").write_text("x")
    return Lines(tmp_path / "a.txt")


def test_it_is_opened_once_by_all_threads_and_again_after_closing(lines: Lines) -> None:
    threads = [threading.Thread(target=lambda: lines.file) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    first = lines.file
    assert lines.count == 1
    lines.close()
    assert first.closed
    assert not lines.file.closed
    assert lines.count == 2


def test_another_process_opens_its_own(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    inherited = lines.file
    other = os.getpid() + 1
    monkeypatch.setattr(os, "getpid", lambda: other)
    assert lines.file is not inherited
    assert inherited.closed


def test_it_is_pickled_without_its_handle(lines: Lines) -> None:
    assert lines.file.read() == "x"
    again = pickle.loads(pickle.dumps(lines))
    assert again.file.read() == "x"
    assert again.file is not lines.file
