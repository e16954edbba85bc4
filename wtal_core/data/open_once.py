"""Files that are opened at their first use, and once in every process."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import Any, Generic, TypeVar

__all__ = ["OpenedOnce"]

H = TypeVar("H")


class OpenedOnce(ABC, Generic[H]):
    """Something that reads a file, and may be pickled, inherited over a fork and used by several threads."""

    def __init__(self) -> None:
        self._unopened()

    def _unopened(self) -> None:
        self._handle: H | None = None
        self._pid = -1
        self._lock = threading.RLock()

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("_handle", "_pid", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._unopened()

    @abstractmethod
    def _open(self) -> H:
        """Open the file; one thread at a time does."""

    @property
    def file(self) -> H:
        """The open file of this process."""
        handle = self._handle
        if handle is not None and self._pid == os.getpid():
            return handle
        with self._lock:
            if self._handle is None or self._pid != os.getpid():
                with suppress(Exception):  # inherited over a fork: close our copy of the descriptor, open our own
                    self._shut()
                self._handle, self._pid = self._open(), os.getpid()
            return self._handle

    def _shut(self) -> None:
        close = getattr(self._handle, "close", None)  # a memory map has none
        if close is not None:
            close()

    def close(self) -> None:
        """Close this process's handle; the next use opens the file again."""
        with self._lock:
            if self._pid == os.getpid():
                self._shut()
            self._handle = None
