"""Fixtures for the whole suite."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("OMP_NUM_THREADS", "1")

REPOSITORY = Path(__file__).resolve().parent.parent

settings.register_profile(
    "wtal",
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    derandomize=True,
)
settings.load_profile("wtal")


def shared_folder() -> Path | None:
    """Return the folder with real files: `$WTAL_SHARED` where that is set, else `shared` beside the checkout."""
    folder = Path(os.environ.get("WTAL_SHARED") or REPOSITORY.parent / "shared")
    return folder if (folder / "golden").is_dir() else None


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real annotations, clips and trained weights; tests that need it skip without it."""
    folder = shared_folder()
    if folder is None:
        pytest.skip("needs real files of others: the folder ../shared (or $WTAL_SHARED)")
    return folder


pytest_plugins = ["tests.planted_runs"]
