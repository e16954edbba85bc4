"""Files that a person gives: a path on this machine or an upload, and names of what is made of them."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any

import streamlit as st

from pages.ui import loaders, pickers
from pages.ui.errors import guard
from wtal_core.data import Dataset
from wtal_core.errors import DataError, UsageError
from wtal_core.files import atomic_path

__all__ = ["MAX_NAME_BYTES", "ask_file", "new_path", "no_datasets", "opened"]

#: Of a new file or folder. File systems take 255, and what is written beside it has a longer name.
MAX_NAME_BYTES = 200


def no_datasets() -> None:
    st.info(
        "There is no data set in this workspace yet. A data set is a folder with annotations, snippet features and, if "
        "you have them, videos: **Import** makes one of the files you have.",
        icon=":material/database:",
    )


def opened() -> tuple[str, Dataset]:
    """Let the user pick a data set and open it."""
    entry = pickers.pick_dataset()
    if entry is None:
        no_datasets()
        st.stop()
    with guard():
        if entry.error:
            raise DataError(entry.error, next_step="Repair the folder, or remove it")
        return entry.id, loaders.load_dataset(entry.id)


def _upload_folder() -> Path:
    return loaders.workspace().home / ".wtal" / "uploads"


def _saved(files: list[Any]) -> Path:
    """Write uploaded files beside each other and return the file, or the folder where there are several."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + file.getbuffer())
    folder = _upload_folder() / digest.hexdigest()[:12]
    names = [_plain_name(file.name) for file in files]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(
            "two uploaded files have the same name", got=twice[0], next_step="Rename one, or upload them one by one"
        )
    paths = [folder / name for name in names]
    for file, path in zip(files, paths, strict=True):
        if not path.exists():
            with atomic_path(path) as temporary:
                temporary.write_bytes(file.getbuffer())
    return paths[0] if len(paths) == 1 else folder


def _plain_name(name: str) -> str:
    """Return a file name without what a file system may not take; its suffix says what the file is, and stays."""
    plain = re.sub(r"[^\w.+-]", "_", Path(name).name).lstrip(".") or "file"
    stem, suffix = os.path.splitext(plain)
    return stem.encode()[: MAX_NAME_BYTES - len(suffix.encode())].decode(errors="ignore") + suffix


def ask_file(label: str, key: str, *, many: bool = False, hint: str = "") -> Path | None:
    """Ask for a path on this machine, or an upload of up to 200 MB; None where nothing is given yet."""
    about = "Features and videos are large: name where they lie instead of uploading them."
    text, button = st.columns([3.2, 1], vertical_alignment="bottom", gap="small")
    typed = text.text_input(label, key=f"data.{key}.path", placeholder=hint or "a path on this machine", help=about)
    with button.popover("Upload", width="stretch"):
        given = st.file_uploader(
            "Several files make a folder" if many else "One file", accept_multiple_files=many, key=f"data.{key}.upload"
        )
    given_files = given if isinstance(given, list) else [given] if given is not None else []
    if given_files:
        st.caption(f"Uploaded: {', '.join(file.name for file in given_files[:3])}")
    if typed and typed.strip():
        path = loaders.workspace().home / os.path.expanduser(typed.strip())
        if not os.path.exists(path):  # unlike Path.exists never raises, whatever the name
            raise DataError("does not exist", where=path, next_step="Check the path")
        return path
    return _saved(given_files) if given_files else None


def new_path(text: str, under: str) -> Path:
    """Check the name of a new folder and return its path."""
    if not re.fullmatch(r"[\w+=-][\w.+=-]{0,99}", text) or len(text.encode()) > MAX_NAME_BYTES:
        raise UsageError(
            "is not a folder name",
            expected="letters, digits and - _ .",
            got=repr(text),
            next_step="Choose another name",
        )
    return loaders.workspace().home / under / text
