"""Checks of features against time: the snippet grid, the number of snippets, and segments beyond the last one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np

from wtal_core.data.doctor.measure import Measured
from wtal_core.data.doctor.report import Finding
from wtal_core.data.doctor.subject import Subject
from wtal_core.data.features.grid_rule import fitting_presets
from wtal_core.errors import and_more, counted
from wtal_core.snippet_grid import SnippetGrid

__all__ = ["check_grids", "check_lengths", "check_segment_ends", "length_message"]


def length_message(grid: SnippetGrid, duration: float) -> str | None:
    """Return what is wrong with a number of snippets, or None where it fits the duration to within one snippet.

    "63 snippets, but 25 fps implies 52 (33.8 s, 16-frame steps); 63 is what 30 fps would give"
    """
    expected = grid.expected_num_snippets(duration)
    if abs(grid.num_snippets - expected) <= 1:
        return None
    others = [fps for fps in grid.explaining_fps(duration) if abs(fps - grid.fps) > 0.01 * grid.fps]
    if 30.0 in others and 29.97 in others:
        others.remove(29.97)
    text = (
        f"{grid.num_snippets} snippets, but {grid.fps:g} fps implies {expected} "
        f"({duration:.1f} s, {grid.stride:g}-frame steps)"
    )
    if others:
        return f"{text}; {grid.num_snippets} is what {' or '.join(f'{fps:g}' for fps in others[:2])} fps would give"
    step = duration / grid.num_snippets
    return f"{text}; they would be {step:.2f} s apart ({step * grid.fps:.1f} frames of {grid.fps:g} fps)"


def check_grids(subject: Subject, name: str, measured: Mapping[str, Measured]) -> Iterator[Finding]:
    """Report that snippet grids are not known, and which presets would fit."""
    without = [video for video, m in measured.items() if m.grid is None]
    if not without:
        return
    videos = subject.annotations.videos
    stated = {v: info.duration for v, info in videos.items() if info.duration is not None}
    fits = fitting_presets({v: measured[v].shape[-2] for v in without}, stated)
    hint = ", ".join(f"{preset} fits {share:.0%}" for preset, share in fits[:3]) or "no preset fits most videos"
    where = f"{name}: {without[0]}{and_more(len(without))}"
    message = f"the snippet grid is not known (of the presets: {hint})"
    yield Finding("error", "snippet grid", where, message, "State the grid", ("grid",))


def check_lengths(subject: Subject, name: str, measured: Mapping[str, Measured]) -> Iterator[Finding]:
    """Compare the number of snippets with duration and grid, and the durations of features and annotations."""
    untrusted = any(problem.kind == "duration" for problem in subject.problems)
    unknown = 0
    for video, m in measured.items():
        grid = m.grid
        if grid is None:
            continue
        own, told = grid.duration, subject.annotations.videos[video].duration
        if own and told and abs(own - told) > max(1.0, 0.02 * told):
            message = f"lasts {own:.1f} s by the features, {told:.1f} s by the annotations"
            message += " (which give frames / 30)" if untrusted else ""
            step = "Find out which is right: segments are placed by it"
            yield Finding("warning", "durations", f"{name}: {video}", message, step)
        duration = own or told
        if duration is None:
            unknown += 1
        elif (wrong := length_message(grid, duration)) is not None:
            expected = grid.expected_num_snippets(duration)
            if abs(grid.num_snippets - expected) > max(2, 0.03 * expected):
                hint = " or the duration is wrong, as others in these annotations" if untrusted else ""
                step = f"State the right grid when converting{hint}"
                yield Finding("error", "length", f"{name}: {video}", wrong, step)
            else:
                yield Finding("warning", "length", f"{name}: {video}", wrong, "Check how the end was handled")
    if unknown:
        message = f"the length of {counted(unknown, 'video')} could not be checked: no duration is known"
        yield Finding("note", "length", name, message)


def check_segment_ends(subject: Subject, name: str, measured: Mapping[str, Measured]) -> Iterator[Finding]:
    """Look for instances that start after the last snippet."""
    table = subject.annotations.instances
    if not len(table):
        return
    codes, vocabulary = table.video_codes
    grids = [measured[v].grid if v in measured else None for v in vocabulary]
    ends = np.array([np.inf if grid is None else grid.end_seconds for grid in grids])
    outside = table.start >= ends[codes] - 1e-9
    for code, count in Counter(codes[outside].tolist()).items():
        yield Finding(
            "warning",
            "segments beyond features",
            f"{name}: {vocabulary[code]}",
            f"{count} instances start after the last snippet ends ({ends[code]:.1f} s): no method can find them",
            "Wrong features, grid or annotation for this video",
        )
