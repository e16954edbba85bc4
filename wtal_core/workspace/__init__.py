"""The workspace: which data sets, runs and jobs a folder holds, found by ids that do not change.

`folders` finds data sets and runs, `summary` is a run in one line: the same record on every page and in
`wtal runs list`.
"""

from __future__ import annotations

from wtal_core.workspace.folders import DatasetEntry, Workspace, home_folder, matches
from wtal_core.workspace.summary import OPEN_STATES, RunSummary, list_runs, summarize, training_jobs

__all__ = [
    "OPEN_STATES",
    "DatasetEntry",
    "RunSummary",
    "Workspace",
    "home_folder",
    "list_runs",
    "matches",
    "summarize",
    "training_jobs",
]
