"""From activations to detections: the parts that the methods' post-processing is composed of.

NumPy only, no model. Everything is batched over rows, thresholds, and, where wanted, videos: a **row** is one curve,
usually a pair of video and class; `Curves` holds rows of different lengths in one flat array, so the same lines
localize one video or a whole test set. The steps, and who provides them:

1. `kept_classes(video_scores (V, C), threshold, strict=, at_least_one=)` -> pairs `(video (K,), class (K,))`.
2. `Curves.of([cas_v[:, kept classes of v].T for each video v])`: the K rows in the pairs' order; `.min_max()`,
   `.mean()`, `.max()`. `upsample(curves, factor)` / `to_frames(cas.T, grid)` make them dense.
3. `runs_above(curves, thresholds, strict=, min_length=)` -> `Runs(row, threshold, first, last)`, both ends inclusive.
   `runs.onto(video)` repeats class-agnostic runs (rows = videos) for each pair; `runs.dilated(20, curves.lengths)`.
4. `outer_inner_contrast(curves, runs, inflation=)` -> `Contrast`; `.score(gamma * p[runs.row])`. `run_maxima`.
5. Times: `grid.to_seconds(runs.first)`, `grid.to_seconds(runs.last + 1)` (snippets; divide by the factor after
   up-sampling), `grid.frames_to_seconds(frames[0] + runs.first)` (frames). Then `grid.clip_seconds`.
6. `nms(start, end, score, group, threshold=)` / `soft_nms(start, end, score, group, sigma=)`, group = any integer that
   tells (video, class) pairs apart, e.g. `runs.row` if rows are pairs -> `Suppression(keep, score, suppressed_by)`.
7. `Proposals.build(...)` keeps threshold, source, areas and rival of every proposal for the viewer;
   `.with_rivals(done)` for it, `.after(done).to_detections(videos, classes)` for the result.

**HAM-Net** (`z` attended logits, `a` foreground attention, `p` video scores (V, C))::

    video, label = kept_classes(p, 0.2, strict=False)
    runs = runs_above(a_per_video, np.linspace(0.1, 0.9, 10), strict=True, drop_lone_first=True)
    runs, _ = runs.onto(video)                                        # rows are now pairs
    curves = Curves.of([z[:, label[video == v]].T for v, z in enumerate(z_per_video)])
    score = outer_inner_contrast(curves, runs, inflation=0.25).score(0.2 * p[video, label][runs.row])
    done = soft_nms(start, end, score, runs.row, sigma=0.3, plus_one=True)

**Deep metric** (`s` raw logits, `cs` best-block video scores)::

    curves = Curves.of([s.T for s in s_per_video])                    # row = video * C + class
    runs = runs_above(curves, midpoint_thresholds(curves, 0.5), strict=True, min_length=2)
    score = run_maxima(curves, runs) + 0.7 * cs.ravel()[runs.row]
    removed = IntervalIndex(ambiguous_video, ambiguous_start, ambiguous_end).touched(video, runs.first, runs.last + 1)

**CMCS** (`A` class-softmaxed CAS; all rows of one grid; `late_fusion` first where two streams are fused late)::

    metric = Curves.of(A[:, label].T).min_max()                       # attention options act before this
    frames, dense = to_frames(metric.values.reshape(label.size, -1), grid, kind="linear")
    curves = Curves.of(dense)                     # or, many videos of one stride: upsample(metric, stride, tail="stop")
    runs = runs_above(curves, 1.0 * curves.mean()[:, None], strict=True).dilated(20, curves.lengths)
    contrast = outer_inner_contrast(curves, runs, inflation=0.25, min_outer=1, clip_left=False)
    score = contrast.score(0.25 * p[label][runs.row])

**ACM-Net** (`I` class-softmaxed instance CAS, `a` instance attention)::

    video, label = kept_classes(p, 0.25, strict=True, at_least_one=True)
    cas, att = upsample([I[:, label[video == v]].T for v, I in ...], 20), upsample(a_per_video, 20)
    every = runs_above(cas, thresholds, strict=False)                                         # source "cas"
    runs = every.select(every.length >= 2)
    one = outer_inner_contrast(cas, runs, inflation=0.2, above=every)  # the official code zeroes what is not above
    two = outer_inner_contrast(att, runs, row=video[runs.row], inflation=0.2)
    score = one.blend(two, alpha).score(gamma * p[video, label][runs.row])
    # source "attention": runs_above(att, ...), runs.onto(video); there the attention is the one that is zeroed
    done = nms(start, end, score, pair, threshold=0.55, plus_one=True, inclusive=True)        # seconds

**ACN** (regressed proposals `[xs, xe]`, per stream)::

    done = nms(xs, xe + 1, score, group, threshold=0.4, max_per_group=200)
    fused = fuse_streams(*flow_columns, *rgb_columns, threshold=0.4)  # columns: start, end, score, group

Sources: each method's official code as published, except ACN (the paper's definitions).
"""

from wtal_core.localization.curves import CurveLike, Curves
from wtal_core.localization.fusion import StreamFusion, discount, fuse_streams, late_fusion
from wtal_core.localization.generic import GenericLocalization
from wtal_core.localization.proposals import (
    Proposals,
    Runs,
    kept_classes,
    median_filter,
    midpoint_thresholds,
    runs_above,
)
from wtal_core.localization.scoring import Contrast, outer_inner_contrast, run_maxima
from wtal_core.localization.upsampling import interpolate, to_frames, upsample
from wtal_core.suppression import Suppression, nms, soft_nms

__all__ = [
    "Contrast",
    "CurveLike",
    "Curves",
    "GenericLocalization",
    "Proposals",
    "Runs",
    "StreamFusion",
    "Suppression",
    "discount",
    "fuse_streams",
    "interpolate",
    "kept_classes",
    "late_fusion",
    "median_filter",
    "midpoint_thresholds",
    "nms",
    "outer_inner_contrast",
    "run_maxima",
    "runs_above",
    "soft_nms",
    "to_frames",
    "upsample",
]
