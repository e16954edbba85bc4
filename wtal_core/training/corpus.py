"""Training videos where the steps need them: on the device if they fit, in memory if not, on disk at the last.

All features stand in one matrix, row after row; a step's batch is one gather of row numbers, so that a GPU never waits
for single videos to be copied.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from wtal_core.data.features.store import FeatureStore
from wtal_core.errors import DataError, UsageError
from wtal_core.methods import Batch, Method, Recipe, Visit
from wtal_core.progress import track
from wtal_core.records import Annotations, Provenance
from wtal_core.training.options import RESIDENCE

__all__ = ["Corpus"]

_DEVICE_SHARE, _HOST_SHARE = 0.6, 0.5  # of free memory that features may take under "auto"


@dataclass(eq=False)
class Corpus:
    """Labelled training videos with their snippet features.

    Args:
        videos: ids; pseudo videos of static clips are named `<video>/static`.
        labels: `(V, C)` multi-hot; all zero for pseudo videos.
        background: `(V,)` bool, True for pseudo videos.
        lengths: `(V,)` snippets T of each video.
        variants: `(V,)` crops or phases of each video, one of which each visit sees.
        provenance: what made the features.
        rows: `(N, D)` features of all videos, variants and snippets, or None when they stay on disk.
        first: `(V,)` first row of each video; variant b of video v begins at `first[v] + b * lengths[v]`.
        left_out: videos that were asked for and have no features or no label.
    """

    videos: tuple[str, ...]
    labels: npt.NDArray[np.float32]
    background: npt.NDArray[np.bool_]
    lengths: npt.NDArray[np.int64]
    variants: npt.NDArray[np.int64]
    provenance: Provenance
    dim: int
    device: torch.device
    rows: Tensor | None = None
    first: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    left_out: tuple[str, ...] = ()
    _store: FeatureStore | None = None
    _kept: dict[str, npt.NDArray[np.int64]] = field(default_factory=dict)

    @classmethod
    def load(
        cls,
        store: FeatureStore,
        annotations: Annotations,
        videos: Sequence[str],
        *,
        device: torch.device | str = "cpu",
        residence: str = "auto",
        hard_negatives: bool = False,
        quiet: bool = False,
    ) -> Corpus:
        """Read the features of labelled videos.

        Args:
            store: features; all of one dimension and provenance.
            annotations: gives the video-level labels and, for hard negatives, the track "static".
            videos: training videos. Those without features or without a label are left out.
            device: where batches are wanted.
            residence: one of `wtal_core.training.options.RESIDENCE`.
            hard_negatives: add one pseudo video of each video's static clips: its snippets that *start* in a static
                clip, joined in time, labelled background.

        Raises:
            DataError: no video has both features and a label, or dimensions or provenance disagree.
            UsageError: hard negatives are asked for and the data set has no static clips.
        """
        if residence not in RESIDENCE:
            raise UsageError(
                "unknown residence", expected=" | ".join(RESIDENCE), got=residence, next_step="Choose one of these"
            )
        device = torch.device(device)
        known = set(store.videos)
        every, multi_hot = annotations.video_labels()
        row_of = {video: i for i, video in enumerate(every)}
        chosen = [v for v in videos if v in known and v in row_of and multi_hot[row_of[v]].any()]
        if not chosen:
            raise DataError(
                "no training video has both features and a label",
                expected=f"features of the {len(videos)} training videos",
                got=f"features of {len(known)} videos, e.g. {sorted(known)[:2]}",
                next_step="Run: wtal data doctor",
            )
        kept: dict[str, npt.NDArray[np.int64]] = {}
        if hard_negatives:
            kept = _static_snippets(store, annotations, chosen)
        names = [*chosen, *(f"{v}/static" for v in kept)]
        labels = np.concatenate(
            [multi_hot[[row_of[v] for v in chosen]], np.zeros((len(kept), multi_hot.shape[1]), dtype=np.float32)]
        )
        shapes = [store.shape(v) for v in chosen]
        dims = sorted({shape[-1] for shape in shapes})
        if len(dims) > 1:
            raise DataError(
                "features differ in dimension",
                expected="one dimension",
                got=str(dims),
                next_step="Run: wtal data doctor",
            )
        provenance = store.provenance(chosen[0])
        length = [shape[-2] for shape in shapes] + [index.size for index in kept.values()]
        crops = [shape[0] if len(shape) == 3 else 1 for shape in shapes]
        crops += [crops[chosen.index(v)] for v in kept]
        corpus = cls(
            videos=tuple(names),
            labels=labels,
            background=np.arange(len(names)) >= len(chosen),
            lengths=np.array(length, dtype=np.int64),
            variants=np.array(crops, dtype=np.int64),
            provenance=provenance,
            dim=dims[0],
            device=device,
            left_out=tuple(sorted(set(videos) - set(chosen))),
            _store=store,
            _kept=kept,
        )
        if (corpus.lengths == 0).any():
            empty = names[int(np.argmin(corpus.lengths))]
            raise DataError("a training video has no snippets", where=empty, next_step="Run: wtal data doctor")
        sizes = corpus.lengths * corpus.variants
        corpus.first = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
        home = _home(residence, int(sizes.sum()) * corpus.dim * 4, device)
        if home is not None:
            corpus.rows = torch.empty(int(sizes.sum()), corpus.dim, dtype=torch.float32)
            for i, name in enumerate(track(names, "features", quiet=quiet)):
                block = corpus._read(i, name)  # (variants, T, D)
                corpus.rows[int(corpus.first[i]) : int(corpus.first[i] + sizes[i])] = block.flatten(0, 1)
            corpus.rows = corpus.rows.to(home)
        return corpus

    def _read(self, index: int, name: str) -> Tensor:
        """Return `(variants, T, D)` features of one (pseudo) video from the store."""
        if self._store is None:
            raise DataError("the feature store is closed", where=name, next_step="Open the features again")
        source = name.removesuffix("/static") if self.background[index] else name
        data = torch.from_numpy(np.asarray(self._store.read(source).data, dtype=np.float32))
        data = data if data.ndim == 3 else data[None]
        if not bool(torch.isfinite(data).all()):
            raise DataError(
                "features are not finite",
                expected="no NaN and no infinity",
                where=name,
                next_step="Run: wtal data doctor",
            )
        return data[:, torch.from_numpy(self._kept[source])] if self.background[index] else data

    @property
    def fingerprint(self) -> str:
        """Return a digest of what is trained on: videos, labels, lengths and variants, in order."""
        digest = hashlib.sha256("\n".join(self.videos).encode())
        for part in (self.labels, self.lengths, self.variants):
            digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()

    @property
    def where(self) -> str:
        """Where the features are: a device, or "disk"."""
        return "disk" if self.rows is None else str(self.rows.device)

    def rare_classes(self, videos: int) -> list[int]:
        """Return the classes that some training videos have, but fewer than `videos`."""
        count = self.labels.sum(axis=0)
        found: list[int] = np.flatnonzero((count > 0) & (count < videos)).tolist()
        return found

    def batch(self, visit: Visit, method: Method, recipe: Recipe, rng: np.random.Generator) -> Batch:
        """Gather one step's videos.

        Args:
            visit: which videos.
            method: chooses their snippets.
            recipe: its snippet sampling; `crops` "one" draws one variant a visit, "mean" averages them.
            rng: generator of the draws.
        """
        picks, variant = [], []
        for v in visit.video:
            picks.append(method.sample_snippets(recipe, self.videos[v], int(self.lengths[v]), rng))
            one = self.variants[v] > 1 and recipe.crops == "one"
            variant.append(int(rng.integers(self.variants[v])) if one else 0)
        width = max(p.size for p in picks)
        mask = np.arange(width)[None, :] < np.array([p.size for p in picks])[:, None]  # (B, T)
        index = np.zeros(mask.shape, dtype=np.int64)
        index[mask] = np.concatenate(picks)
        exists = torch.from_numpy(mask)
        features = self._gather(visit, index, np.array(variant), exists, recipe.crops)
        labels = self.labels[visit.video]
        single = visit.label >= 0
        labels[single] = np.eye(labels.shape[1], dtype=np.float32)[visit.label[single]]
        return Batch(
            features=features,
            labels=torch.from_numpy(labels),
            mask=exists,
            weights=torch.from_numpy(visit.weight.copy()),
            background=torch.from_numpy(self.background[visit.video]),
            positions=torch.from_numpy(index),
            videos=tuple(self.videos[v] for v in visit.video),
        ).to(self.device)

    def _gather(
        self, visit: Visit, index: npt.NDArray[np.int64], variant: npt.NDArray[np.int64], exists: Tensor, crops: str
    ) -> Tensor:
        """Return `(B, T, D)` features on the device, zero where nothing exists."""
        averaged = crops == "mean" and bool((self.variants[visit.video] > 1).any())
        if self.rows is None or averaged:
            features = torch.zeros(*index.shape, self.dim)
            for b, v in enumerate(visit.video):
                data = self._read(int(v), self.videos[v]) if self.rows is None else self._block(int(v))
                data = data.mean(0) if averaged else data[variant[b]]
                features[b, : int(exists[b].sum())] = data[torch.from_numpy(index[b][exists[b].numpy()])].cpu()
            return features.to(self.device)
        start = self.first[visit.video] + variant * self.lengths[visit.video]  # (B,)
        if self.rows.device.type == "cpu":  # copy what exists only: batches of whole videos are mostly padding
            features = torch.zeros(*index.shape, self.dim)
            for b, length in enumerate(exists.sum(1).tolist()):
                rows = torch.from_numpy(start[b] + index[b, :length])
                torch.index_select(self.rows, 0, rows, out=features[b, :length])
            return features.to(self.device)
        rows = torch.from_numpy(start[:, None] + index).to(self.rows.device)  # (B, T)
        return (self.rows[rows] * exists.to(rows.device)[..., None]).to(self.device)

    def whole_videos(self) -> Iterator[Batch]:
        """Yield each real video (first variant) as a batch of its own, for what is learned between steps."""
        for i in np.flatnonzero(~self.background):
            data = (self._read(int(i), self.videos[i]) if self.rows is None else self._block(int(i)))[0]
            labels = torch.from_numpy(self.labels[i : i + 1])
            yield Batch.of(data[None].to(self.device), labels.to(self.device), videos=(self.videos[i],))

    def _block(self, index: int) -> Tensor:
        """Return `(variants, T, D)` features of one video out of `rows`."""
        if self.rows is None:
            raise DataError(
                "features are on disk", where=self.videos[index], next_step="Read this video from the store"
            )
        first, length = int(self.first[index]), int(self.lengths[index])
        return self.rows[first : first + length * int(self.variants[index])].view(-1, length, self.dim)


def _home(residence: str, size: int, device: torch.device) -> torch.device | None:
    """Return where `size` bytes of features are kept, None for disk."""
    if residence == "disk":
        return None
    if residence in ("device", "host"):
        return device if residence == "device" else torch.device("cpu")
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        if size < _DEVICE_SHARE * free:
            return device
    if device.type == "mps" and size < 2**31:
        return device
    return torch.device("cpu") if size < _HOST_SHARE * _free_memory() else None


def _free_memory() -> float:
    """Return the bytes of memory that are free, or 4 GiB where the system does not say."""
    try:
        return float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (ValueError, OSError, AttributeError):
        return float(4 * 2**30)


def _static_snippets(
    store: FeatureStore, annotations: Annotations, videos: Sequence[str]
) -> dict[str, npt.NDArray[np.int64]]:
    """Return the snippets of each video that start in one of its static clips; videos without any are left out."""
    clips = annotations.tracks.get("static")
    if clips is None or not len(clips):
        raise UsageError(
            "hard negatives are asked for, but the data set has no static clips",
            expected="a track 'static' in annotations.json",
            next_step="Mine them with wtal data static, or set training.hard_negatives=false",
        )
    by_video = clips.by_video()
    kept: dict[str, npt.NDArray[np.int64]] = {}
    for video in videos:
        if video not in by_video:
            continue
        grid, rows = store.grid(video), by_video[video]
        start = grid.edges()[:-1]  # a snippet belongs to the clip in which it starts
        inside = ((start[:, None] >= rows.start) & (start[:, None] < rows.end)).any(axis=1)
        if inside.any():
            kept[video] = np.flatnonzero(inside)
    return kept
