"""Files that a person gives: a path on this machine or an upload, and names of what is made of them."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import streamlit as st

from pages.ui import library, pickers
from pages.ui.errors import guard
from wtal_core.data import Dataset
from wtal_core.errors import DataError, UsageError

__all__ = ["ask_file", "new_path", "no_datasets", "opened"]


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
        return entry.id, library.load_dataset(entry.id)


def _upload_folder() -> Path:
    return library.workspace().home / ".wtal" / "uploads"


def _saved(files: list[Any]) -> Path:
    """Write uploaded files beside each other and return the file, or the folder where there are several."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + file.getbuffer())
    folder = _upload_folder() / digest.hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for file in files:
        name = re.sub(r"[^\w.+-]", "_", Path(file.name).name).lstrip(".") or "file"
        path = folder / name
        if not path.exists():
            path.write_bytes(file.getbuffer())
        paths.append(path)
    return paths[0] if len(paths) == 1 else folder


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
        path = Path(typed.strip()).expanduser()
        path = path if path.is_absolute() else library.workspace().home / path
        if not path.exists():
            raise DataError("does not exist", where=path, next_step="Check the path")
        return path
    return _saved(given_files) if given_files else None


def new_path(text: str, under: str) -> Path:
    """Check the name of a new folder and return its path."""
    if not re.fullmatch(r"[\w+=-][\w.+=-]{0,99}", text):
        raise UsageError(
            "is not a folder name",
            expected="letters, digits and - _ .",
            got=repr(text),
            next_step="Choose another name",
        )
    return library.workspace().home / under / text
