"""One look at a video's features: everything that the doctor's checks need, measured in one reading."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wtal_core.data.features import FeatureStore, HDF5Store
from wtal_core.data.features.native import array_digest, to_float32
from wtal_core.errors import WtalError
from wtal_core.records import Provenance
from wtal_core.snippet_grid import SnippetGrid

__all__ = ["Measured", "measure"]


@dataclass(slots=True)
class Measured:
    """What one look at a video's features gives.

    Args:
        shape: `(T, D)` or `(crops, T, D)`.
        provenance, grid: what the store says; the grid is None where it is not known.
        digest: the same for the same values.
        not_finite: values that are NaN or infinite; `first_bad` is the first snippet with one, -1 without.
        zero, constant, repeated: snippets that are zero, of one value in all channels, equal to the one before.
        damaged: the stored bytes are not those that were written.
    """

    shape: tuple[int, ...]
    provenance: Provenance
    grid: SnippetGrid | None
    digest: str
    not_finite: int
    first_bad: int
    zero: int
    constant: int
    repeated: int
    damaged: bool


def measure(store: FeatureStore, video: str) -> Measured:
    """Read one video's features once and measure everything that the checks need."""
    damaged = False
    if isinstance(store, HDF5Store):
        data = store.read_stored(video)
        digest = array_digest(data)
        damaged = digest != store.digest(video)
        data = to_float32(data)
    else:
        source = getattr(store, "read_array", None)
        data = np.asarray(source(video) if source is not None else store.read(video).data)
        digest = array_digest(data)
    try:
        grid = store.grid(video)
    except WtalError:
        grid = None
    finite = np.isfinite(data)
    bad = ~finite.all(axis=-1)  # (T,) or (crops, T)
    bad_snippets = bad if bad.ndim == 1 else bad.any(axis=0)
    with np.errstate(invalid="ignore"):
        spread = data.max(axis=-1) - data.min(axis=-1)
        zero = (spread == 0) & (data[..., 0] == 0)
        flat = (spread == 0) & ~zero
        steps = (data[..., 1:, :] == data[..., :-1, :]).all(axis=-1) & ~(zero | flat)[..., 1:]
    one_channel = data.shape[-1] == 1
    return Measured(
        shape=data.shape,
        provenance=store.provenance(video),
        grid=grid,
        digest=digest,
        not_finite=int((~finite).sum()),
        first_bad=int(np.flatnonzero(bad_snippets)[0]) if bad_snippets.any() else -1,
        zero=int((zero if zero.ndim == 1 else zero.all(axis=0)).sum()),
        constant=0 if one_channel else int((flat if flat.ndim == 1 else flat.all(axis=0)).sum()),
        repeated=int((steps if steps.ndim == 1 else steps.all(axis=0)).sum()),
        damaged=damaged,
    )
