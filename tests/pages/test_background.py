"""Work beside a page: progress, results, errors, stopping."""

from __future__ import annotations

import threading

import pytest

from pages.ui.background import Background
from wtal_core.errors import DataError
from wtal_core.progress import progress_bar, track


def test_progress_is_what_the_bars_inside_count() -> None:
    half, on = threading.Event(), threading.Event()

    def work() -> str:
        for k in track(range(4), "counting", quiet=True):
            if k == 2:
                half.set()
                assert on.wait(10)
        return "done"

    job = Background("counting", work)
    assert half.wait(10)
    assert (job.running, job.done, job.total, job.share, job.result()) == (True, 2, 4, 0.5, None)
    on.set()
    job.wait(10)
    assert (job.running, job.share, job.result()) == (False, 1.0, "done")


def test_stopping_ends_it_at_the_next_count_without_a_result() -> None:
    begun, on, counts = threading.Event(), threading.Event(), []

    def work() -> str:
        with progress_bar("endless", quiet=True) as advance:
            while True:
                begun.set()
                assert on.wait(10)
                advance()
                counts.append(1)

    job = Background("endless", work)
    assert begun.wait(10)
    job.stop()
    assert job.running, "it ends by itself, at its next count"
    on.set()
    job.wait(10)
    assert (job.running, job.stopped, job.result(), counts) == (False, True, None, [])


def test_errors_are_raised_where_the_result_is_asked_for() -> None:
    def work() -> None:
        raise DataError("nothing there")

    job = Background("failing", work)
    job.wait(10)
    with pytest.raises(DataError, match="nothing there"):
        job.result()
