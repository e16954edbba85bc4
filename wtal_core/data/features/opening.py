"""Open features of any layout: look at the path, choose the reader."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import h5py

from wtal_core.data.features.arrays import PerVideoArrays, StreamFiles, find_streams
from wtal_core.data.features.cmcs import CmcsFiles, is_cmcs_file
from wtal_core.data.features.foreign_hdf5 import ForeignHDF5
from wtal_core.data.features.grid_rule import GridRule
from wtal_core.data.features.native import HDF5Store
from wtal_core.data.features.packed import PackedArrays, read_video_names
from wtal_core.data.features.store import ArraySource, FeatureStore, ForeignStore, missing_grid
from wtal_core.data.safe_load import npy_header
from wtal_core.errors import DataError, unknown_name
from wtal_core.files import require_file, visible
from wtal_core.records import Annotations, Provenance
from wtal_core.snippet_grid import SnippetGrid

__all__ = ["FEATURE_LAYOUTS", "FeatureFacts", "detect_layout", "open_arrays", "open_features"]

#: Layouts that can be read, with what they are.
FEATURE_LAYOUTS: dict[str, str] = {
    "native": "wtal's HDF5 file: one dataset per video, grid and provenance as attributes",
    "hdf5": "another HDF5 file with one dataset (snippets, channels) per video",
    "per-video": "a folder of <video>.npy or <video>.npz, or one such file",
    "rgb-flow": "a folder of <video>-rgb.* and <video>-flow.*, or of the sub-folders rgb and flow",
    "cmcs": "CMCS's <video>-rgb.npz and <video>-flow.npz with crops at a base stride and frame_cnt",
    "packed": "W-TALC's object array .npy, names in videoname.npy",
}


def detect_layout(path: str | os.PathLike[str]) -> str:
    """Return the name in `FEATURE_LAYOUTS` of what lies at `path`.

    Raises:
        DataError: nothing is there, or it is none of the layouts.
    """
    path = Path(path)
    if os.path.isdir(path):
        videos, other = find_streams(path)
        if videos:
            first = next(iter(next(iter(videos.values())).values()))
            return "cmcs" if is_cmcs_file(first) else "rgb-flow"
        if other:
            return "per-video"
        if hdf5 := visible(path, "*.h5"):
            raise DataError(
                "is a folder of HDF5 files",
                expected="one feature file",
                got=", ".join(p.name for p in hdf5[:3]),
                where=path,
                next_step=f"Name one of them, e.g. {hdf5[0]}",
            )
        raise DataError(
            "holds no features",
            expected=".npy, .npz or .h5 files",
            where=path,
            next_step="Name the folder that holds the files themselves; sub-folders are not searched",
        )
    parts = path.parent / f".{path.name}.parts"
    if not os.path.exists(path) and os.path.isdir(parts):
        return "native"  # unfinished: opening it says so
    require_file(path, "a feature file or folder")
    with path.open("rb") as file:
        start = file.read(8)
    if start.startswith(b"\x89HDF"):
        try:
            with h5py.File(path, "r") as hdf5_file:
                return "native" if "wtal_format" in hdf5_file.attrs else "hdf5"
        except OSError:
            return "native"  # damaged: opening it says how
    if start.startswith(b"\x93NUMPY"):
        return "packed" if npy_header(path).is_object_array else "per-video"
    if start.startswith(b"PK"):
        return "per-video"
    raise DataError(
        "is not a feature file that is known",
        expected="HDF5, .npy or .npz, or a folder of such files",
        got=f"a file that begins with {start!r}",
        where=path,
        next_step="'wtal data explain' says what it is",
    )


def open_arrays(
    path: str | os.PathLike[str],
    *,
    layout: str | None = None,
    names: Sequence[str] | None = None,
    lengths: Literal["same", "trim"] = "same",
) -> ArraySource:
    """Open the bare arrays of a foreign layout (arguments as in `open_features`)."""
    path = Path(path)
    layout = layout or detect_layout(path)
    match layout:
        case "per-video":
            return PerVideoArrays(path)
        case "rgb-flow":
            return StreamFiles(path, lengths)
        case "cmcs":
            return CmcsFiles(path)
        case "packed":
            return PackedArrays(path, names)
        case "hdf5":
            return ForeignHDF5(path)
    raise unknown_name("feature layout", layout, FEATURE_LAYOUTS)


def open_features(
    path: str | os.PathLike[str],
    *,
    grid: GridRule | SnippetGrid | str | None = None,
    layout: str | None = None,
    annotations: Annotations | None = None,
    native_fps: Mapping[str, float] | None = None,
    durations: Mapping[str, float] | None = None,
    names: Sequence[str] | None = None,
    provenance: Provenance | None = None,
    strip_prefix: str = "",
    lengths: Literal["same", "trim"] = "same",
    without_grid: bool = False,
) -> FeatureStore:
    """Open snippet features.

    Args:
        path: a native `.h5`, or a file or folder of `FEATURE_LAYOUTS`.
        grid: where the snippets lie, for layouts that do not say it: a preset ("i3d-25fps-16"), a text such as
            "16/16@25" or "4/16@native" (stride/window@fps in frames), or a `SnippetGrid`. Never guessed.
        layout: name of the layout; None detects it.
        annotations: where durations and, for "@native", frame rates come from.
        native_fps, durations: tables that win over `annotations`, frames a second and seconds.
        names: video ids of a packed file, in order.
        provenance: what made the features.
        strip_prefix: text taken off the front of foreign video ids ("v_").
        lengths: what to do where RGB and flow differ in length: "same" refuses, "trim" cuts to the shorter one.
        without_grid: open a foreign layout without a grid too: its arrays can be read, its times cannot.

    Raises:
        DataError: the path is missing or not features.
        UsageError: a foreign layout without a grid, or an unknown layout or preset.
    """
    path = Path(path)
    layout = layout or detect_layout(path)
    if layout == "native":
        return HDF5Store(path)
    rule = GridRule.parse(grid, annotations=annotations, native_fps=native_fps, durations=durations)
    source = open_arrays(path, layout=layout, names=names, lengths=lengths)
    if rule is None and not without_grid:
        source.close()
        raise missing_grid(path)
    return ForeignStore(source, rule, provenance, strip_prefix)


@dataclass(frozen=True, slots=True)
class FeatureFacts:
    """What feature files of other projects do not say about themselves.

    Args:
        grid: where the snippets lie, a preset or "STRIDE/WINDOW@FPS" in frames; "" where it is not known.
        names: list of the video ids of a packed file; None looks beside it.
        extractor: what made the features.
        modalities: streams in channel order with their widths, where the files do not tell.
        strip_prefix: text taken off the front of the video ids ("v_").
        lengths: what to do where RGB and flow differ in length, "same" (refuse) or "trim".

    Raises:
        UsageError: the grid is neither a preset nor of that form.
        DataError: there is no such list of names.
    """

    grid: str = ""
    names: Path | None = None
    extractor: str = ""
    modalities: tuple[tuple[str, int], ...] = ()
    strip_prefix: str = ""
    lengths: Literal["same", "trim"] = "same"

    def __post_init__(self) -> None:
        GridRule.parse(self.grid or None)
        if self.names is not None:
            require_file(self.names, "a list of video ids")

    def open(self, path: str | os.PathLike[str], **others: Any) -> FeatureStore:
        """Open features with these facts (a native file has its own) and `others` of `open_features`."""
        return open_features(
            path,
            grid=self.grid or None,
            names=None if self.names is None else read_video_names(self.names),
            provenance=Provenance(self.extractor, self.modalities) if self.extractor or self.modalities else None,
            strip_prefix=self.strip_prefix,
            lengths=self.lengths,
            **others,
        )
