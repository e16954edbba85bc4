"""What the papers printed, as data to compare with."""

from __future__ import annotations

from wtal_core.papers.published import (
    Paper,
    PublishedRow,
    PublishedTable,
    dataset_name,
    get_paper,
    list_papers,
    published_results,
)

__all__ = [
    "Paper",
    "PublishedRow",
    "PublishedTable",
    "dataset_name",
    "get_paper",
    "list_papers",
    "published_results",
]
