"""Snippet features of one video, and what made them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wtal_core.errors import DataError, counted, shortened, unknown_name
from wtal_core.records.checks import check_type
from wtal_core.snippet_grid import SnippetGrid
from wtal_core.summary import Summarized, Summary

__all__ = ["Provenance", "VideoFeatures"]


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where snippet features come from. Models refuse features of another extractor.

    Args:
        extractor: name of the network or descriptor, e.g. "i3d-rgb-kinetics400"; "" where not known.
        modalities: streams in channel order with their widths, e.g. `(("rgb", 1024), ("flow", 1024))`.
        crop: spatial crop, e.g. "center224", "oversample10"; "" where not known.
        flow_kind: optical-flow algorithm ("tvl1", "dis"); "" without a flow stream.
        checksum: SHA-256 of the weights that were used, or of the file the features were converted from.
    """

    extractor: str = ""
    modalities: tuple[tuple[str, int], ...] = ()
    crop: str = ""
    flow_kind: str = ""
    checksum: str = ""

    def __post_init__(self) -> None:
        for name in ("extractor", "crop", "flow_kind", "checksum"):
            check_type(getattr(self, name), str, name, "a text", "Provenance")
        try:
            pairs = tuple(
                (check_type(name, str, "a modality", "a text", "Provenance"), int(width))
                for name, width in self.modalities
            )
        except (TypeError, ValueError):
            raise DataError(
                "modalities are not streams with their widths",
                expected='e.g. (("rgb", 1024), ("flow", 1024))',
                got=shortened(repr(self.modalities)),
                where="Provenance",
                next_step="Give one pair of name and number of channels a stream",
            ) from None
        object.__setattr__(self, "modalities", pairs)
        if any(width <= 0 for _, width in self.modalities):
            raise DataError(
                "a modality has no channels",
                expected="widths > 0",
                got=str(self.modalities),
                where="Provenance",
                next_step="Leave out modalities without channels",
            )

    def channels(self, modality: str) -> slice:
        """Return the channels of one stream.

        Raises:
            UsageError: there is no such stream.
        """
        start = 0
        for name, width in self.modalities:
            if name == modality:
                return slice(start, start + width)
            start += width
        raise unknown_name("modality", modality, [name for name, _ in self.modalities])


@dataclass(frozen=True, eq=False, repr=False)
class VideoFeatures(Summarized):
    """Snippet features of one video.

    Args:
        video: video id.
        data: `(T, D)`, or `(crops, T, D)` for several spatial crops, floating point and finite.
        grid: where the T snippets lie in time.
        provenance: what made them.

    Raises:
        DataError: a field is of the wrong type, or the data, the grid and the provenance disagree.
    """

    video: str
    data: npt.NDArray[np.floating[Any]]
    grid: SnippetGrid
    provenance: Provenance = Provenance()

    def __post_init__(self) -> None:
        check_type(self.video, str, "video", "a text", "VideoFeatures")
        where = f"features of {self.video}"
        check_type(self.grid, SnippetGrid, "grid", "a SnippetGrid", where)
        check_type(self.provenance, Provenance, "provenance", "a Provenance", where)
        data = np.asarray(self.data)
        if data.ndim not in (2, 3) or data.shape[-1] == 0 or data.dtype.kind != "f":
            raise DataError(
                "features have the wrong shape or type",
                expected="(snippets, channels) or (crops, snippets, channels), floating point",
                got=f"{data.shape} {data.dtype}",
                where=where,
                next_step="Transpose to snippets first, and convert to float32",
            )
        if data.shape[-2] != self.grid.num_snippets:
            raise DataError(
                "features and snippet grid disagree",
                expected=f"{self.grid.num_snippets} snippets",
                got=f"{data.shape[-2]}",
                where=where,
                next_step="Make the grid with this number of snippets: grid.with_snippets()",
            )
        width = sum(w for _, w in self.provenance.modalities)
        if width and width != data.shape[-1]:
            raise DataError(
                "channels and modalities disagree",
                expected=f"{width} channels",
                got=f"{data.shape[-1]}",
                where=where,
                next_step="Correct the widths, or their order",
            )
        object.__setattr__(self, "data", data)

    def _summary(self, rows: int) -> Summary:
        """Return the features in short."""
        grid = self.grid
        *crops, snippets, channels = self.data.shape
        size = f"{counted(snippets, 'snippet')} x {counted(channels, 'channel')}"
        return Summary(
            f"Features of {self.video}: {''.join(f'{n:,} crops x ' for n in crops)}{size}, {self.data.dtype}",
            facts=[
                (
                    "grid",
                    f"{grid.stride:g}/{grid.window:g}@{grid.fps:g}, one snippet every {grid.step_seconds:g} s",
                ),
                ("extractor", self.provenance.extractor),
                ("modalities", ", ".join(f"{name} ({width:,})" for name, width in self.provenance.modalities)),
                ("range", f"{self.data.min():.4g} to {self.data.max():.4g}" if self.data.size else ""),
            ],
        )

    @property
    def dim(self) -> int:
        """Number of channels D."""
        return int(self.data.shape[-1])
