"""What an evaluation says beside its numbers: what was dropped, rounded, ignored, and what looks like a mistake."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wtal_core.arrays import BoolArray
from wtal_core.errors import counted, shortened
from wtal_core.evaluation.matching import Matching
from wtal_core.evaluation.units import unit_note
from wtal_core.records import Detections
from wtal_core.snippet_grid import SnippetGrid

__all__ = ["notes_of"]


def notes_of(matching: Matching, detections: Detections, grid: SnippetGrid | None = None) -> list[str]:
    """Return what is to be known about an evaluation, one sentence each.

    Args:
        matching: of the detections.
        detections: the table that was evaluated.
        grid: what a rounding protocol rounded to, None for its own grid.
    """
    notes = [*detections.notes, *_video_notes(matching, detections)]
    if (unit := unit_note(matching, detections)) is not None:
        notes.append(unit)
    return notes + _silent_notes(matching, detections) + _class_notes(matching) + _rule_notes(matching, grid)


def _video_notes(matching: Matching, detections: Detections) -> list[str]:
    """Say what became of detections outside the evaluated videos."""
    truth, known = matching.ground_truth, matching.ground_truth.annotations.videos
    codes, names = detections.video_codes
    numbers = truth.video_numbers(names)
    outside = (numbers < 0) | (numbers >= len(truth.videos))
    listed = np.fromiter((name in known for name in names), np.bool_, len(names))
    count = np.bincount(codes, minlength=len(names))
    notes = []
    if len(names) and not listed.any():
        notes.append(_no_common_video(names, (*truth.videos, *known)))

    def those(which: BoolArray, where: str, detail: str = "") -> tuple[str, str]:
        """Return "N detections in M videos ..." and the verb that goes with it."""
        chosen = np.flatnonzero(which)
        number = int(count[chosen].sum())
        videos, example = counted(chosen.size, "video"), shortened(names[chosen[0]])
        text = f"{counted(number, 'detection')} in {videos} {where} ({detail}e.g. {example})"
        return text, "counts as a false positive" if number == 1 else "count as false positives"

    if matching.num_outside:
        notes.append(f"Ignored {those(outside, f'outside the {len(truth.videos):,} evaluated')[0]}.")
        return notes
    if (other := outside & listed).any():
        subsets = sorted({str(known[names[i]].subset or "of no subset") for i in np.flatnonzero(other)})
        text, counts = those(other, "outside the subset", f"{', '.join(subsets)}, ")
        notes.append(f"{text} {counts}, as in the official evaluators; only_subset_videos leaves such ones out.")
    if (foreign := outside & ~listed).any():
        text, counts = those(foreign, "that the annotations do not list")
        notes.append(f"{text} {counts}.")
    return notes


def _no_common_video(found: Sequence[str], annotated: Sequence[str]) -> str:
    """Say that detections and annotations know no common video, and name a prefix that explains it."""
    advice = "Use the same video ids in both files."
    prefix = "v_"  # ActivityNet's file names have it, its own JSON has not; tools keep either
    for one, other, file in ((found, annotated, "detections"), (annotated, found, "annotations")):
        if {name.removeprefix(prefix) for name in one} & set(other):
            advice = f"Take the prefix off the {file}: strip_prefix={prefix!r} of 'wtal data convert' does it."
    return (
        f"None of the {counted(len(found), 'video')} with detections is annotated, so nothing can be right: their ids "
        f"are such as {shortened(found[0])!r}, the annotated ones such as {shortened(annotated[0])!r}. {advice}"
    )


def _silent_notes(matching: Matching, detections: Detections) -> list[str]:
    """Say which videos with instances have no detection."""
    truth = matching.ground_truth
    numbers = truth.video_numbers(detections.video_codes[1])
    annotated = np.unique(truth.video)
    silent = np.setdiff1d(annotated, numbers).size
    if not silent:
        return []
    notes = [
        f"{counted(silent, 'video')} of {annotated.size:,} with instances {'has' if silent == 1 else 'have'} no "
        "detection; their instances count as missed."
    ]
    if truth.subset is None:
        subset_of = truth.annotations.videos
        covered = {subset_of[truth.videos[n]].subset for n in numbers if 0 <= n < len(truth.videos)} - {None}
        if 0 < len(covered) < len(truth.annotations.subsets()):
            notes.append(
                f"All subsets were evaluated, but detections lie in {', '.join(sorted(map(str, covered)))} only: "
                "was that subset meant?"
            )
    return notes


def _class_notes(matching: Matching) -> list[str]:
    """Say which classes have no instance."""
    truth = matching.ground_truth
    absent = [name for name, count in zip(truth.classes, truth.counts, strict=True) if count == 0]
    if not absent:
        return []
    share = int((truth.counts[matching.label] == 0).sum())
    return [
        f"{counted(len(absent), 'class', 'classes')} of {len(truth.classes)} without instances left out of the "
        f"mean, with {counted(share, 'detection')}: {', '.join(absent[:5])}{', ...' if len(absent) > 5 else ''}."
    ]


def _rule_notes(matching: Matching, grid: SnippetGrid | None) -> list[str]:
    """Say what the protocol's own rules did."""
    rules, notes = matching.protocol, []
    if rules.grid is not None:
        used = grid if grid is not None else SnippetGrid.preset(rules.grid, num_snippets=0)
        flat_detections, flat_instances = matching.num_flat
        notes.append(
            f"Rounded all times to snippets of {used.step_seconds:g} s: {counted(flat_instances, 'instance')} and "
            f"{counted(flat_detections, 'detection')} are left without length and cannot match."
        )
    return notes + _ambiguous_note(matching)


def _ambiguous_note(matching: Matching) -> list[str]:
    truth, rule = matching.ground_truth, matching.protocol.ambiguous
    intervals = counted(truth.num_ambiguous, "Ambiguous interval")
    if rule == "not considered":
        if not truth.num_ambiguous:
            return []
        return [f"{intervals} not considered: detections there are false positives unless they match."]
    if not truth.num_ambiguous:
        return ["The annotations hold no Ambiguous intervals for these videos: nothing was dropped for them."]
    if rule == "overlaps removed first":
        return [f"Removed {counted(matching.removed.size, 'detection')} on {intervals} before matching."]
    matched = np.bincount(matching.hit_tiou[matching.ambiguous[matching.hit_position]], minlength=len(matching.tiou))
    dropped = int(matching.ambiguous.sum()) - matched
    low, high = int(dropped.min()), int(dropped.max())
    number = f"{low:,}" if low == high else f"{low:,} to {high:,} (by tIoU)"
    return [f"Dropped {number} unmatched detections on {intervals}: neither true nor false positives."]
