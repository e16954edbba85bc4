"""Build a demo world: scripts -> videos -> features -> trained runs, each stage skipping what is done.

::

    <out>/  build.json  dataset.yaml  annotations.json  features/descriptors.h5  videos/*.mp4  runs/<variant>/

The same seed gives the same annotations, and features that agree to half precision; on one machine trainings give the
same losses, because every worker computes in one thread.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from wtal_core.data import FeatureWriter, open_features, write_annotations
from wtal_core.demo.recipes import FPS, STRIDE, VARIANTS, WINDOW
from wtal_core.demo.script import NUM_VIDEOS, write_scripts
from wtal_core.demo.story import VideoScript
from wtal_core.demo.world import annotate, dataset_of, feature_path, make_video, video_path
from wtal_core.errors import DataError, UsageError, unknown_name
from wtal_core.files import read_json, write_json
from wtal_core.progress import progress_bar
from wtal_core.settings import check, option
from wtal_core.snippet_grid import SnippetGrid

__all__ = ["BuildOptions", "build", "scripts_of", "train_runs"]

T = TypeVar("T")
_STATE = "build.json"


@dataclass(frozen=True)
class BuildOptions:
    """What is built."""

    seed: int = option(0, "seed of the world: what happens in every video", low=0)
    small: bool = option(False, "18 short videos of small pictures, trained for seconds")
    runs: tuple[str, ...] = option(tuple(VARIANTS), "methods and variants that are trained")
    run_seed: int = option(0, "seed of the trainings", low=0)
    videos: int = option(0, "only so many videos of each split; 0: all", low=0)
    workers: int = option(0, "processes; 0: as many as there are cores", low=0)

    def __post_init__(self) -> None:
        check(self)
        for name in self.runs:
            if name not in VARIANTS:
                raise unknown_name("variant", name, VARIANTS)

    @property
    def name(self) -> str:
        """Name of the data set."""
        part = f"-{self.videos}-videos" if self.videos else ""
        return f"demo-{'small-' if self.small else ''}seed{self.seed}{part}"


def scripts_of(options: BuildOptions) -> tuple[VideoScript, ...]:
    """Return the scripts of a world, training videos first."""
    scripts = write_scripts(options.seed, small=options.small)
    chosen = [[s for s in scripts if s.subset == subset][: options.videos or None] for subset in NUM_VIDEOS]
    return tuple(script for part in chosen for script in part)


def build(out: str | os.PathLike[str], options: BuildOptions, *, quiet: bool = False) -> dict[str, Any]:
    """Build a world, or finish one that was interrupted.

    Args:
        out: data set folder to make or go on with.
        options: what is built.
        quiet: no progress bars.

    Returns:
        The data set's folder and name, what was made and what was there, `{run: average mAP}`, seconds of each stage.

    Raises:
        UsageError: the folder holds another data set.
        DataError: a file cannot be written or read.
    """
    root = Path(out)
    scripts = scripts_of(options)
    state = _open_state(root, options)
    began = time.perf_counter()
    made = _make_videos(root, scripts, state, options, quiet)
    annotations = annotate(scripts, state["mined"])
    write_annotations(annotations, root / "annotations.json")
    dataset_of(root, options.name).save()
    filmed = time.perf_counter()
    folders = {(name, options.run_seed): root / "runs" / name for name in options.runs}
    results = train_runs(root, folders, small=options.small, workers=options.workers, quiet=quiet)
    runs = {name: result for (name, _), result in results.items()}
    return {
        "dataset": root,
        "name": options.name,
        "videos": len(scripts),
        "videos_made": made,
        "minutes": sum(script.duration for script in scripts) / 60,
        "instances": len(annotations.instances),
        "runs": {name: runs[name]["average"] for name in options.runs},
        "runs_made": sum(not result["kept"] for result in runs.values()),
        "seconds": {"videos": filmed - began, "runs": time.perf_counter() - filmed},
    }


def _open_state(root: Path, options: BuildOptions) -> dict[str, Any]:
    """Return the content of `build.json`: which world this is, and the static clips mined so far."""
    world = {"name": options.name, "seed": options.seed, "small": options.small}
    path = root / _STATE
    if path.is_file():
        state = read_json(path)
        if not isinstance(state, dict) or not isinstance(state.get("mined"), dict):
            raise DataError(
                "is not the state of a demo build", where=path, next_step="Choose another folder", arguments=("out",)
            )
        if state.get("world") != world:
            raise UsageError(
                "holds another demo world",
                expected=options.name,
                got=str((state.get("world") or {}).get("name")),
                where=root,
                next_step="Choose another folder",
                arguments=("out",),
            )
        return state
    if (root / "dataset.yaml").exists():
        raise UsageError(
            "holds a data set that was not built here",
            where=root,
            next_step="Choose another folder",
            arguments=("out",),
        )
    state = {"world": world, "mined": {}}
    write_json(path, state)
    return state


def _make_videos(
    root: Path, scripts: Sequence[VideoScript], state: dict[str, Any], options: BuildOptions, quiet: bool
) -> int:
    """Render, describe and mine what is missing; return how many videos that were."""
    store = feature_path(root)
    FeatureWriter(store).close()  # takes in what an interrupted build left
    described = _described(store, scripts)
    todo = []
    for script in scripts:
        features = script.name not in described
        mine = script.subset == "train" and script.name not in state["mined"]
        # Training videos are not needed once they are described; test videos are there to be watched.
        if features or mine or (script.subset == "test" and not video_path(root, script.name).is_file()):
            todo.append((script, features, mine))
    todo.sort(key=lambda job: -job[0].frames)  # the longest first, so that all workers end together
    frames = sum(script.frames for script, _, _ in todo)
    with (
        progress_bar("videos (frames)", frames, quiet=quiet) as bar,
        FeatureWriter(store) as writer,
        _workers(options.workers, len(todo)) as pool,
    ):
        jobs = [pool.submit(make_video, s, str(root), features=f, mine=m) for s, f, m in todo]
        for _, done in _completed(jobs):
            if done.features is not None:
                writer.write(done.features)
            if done.mined is not None:
                state["mined"][done.video] = done.mined
                state["mined"] = dict(sorted(state["mined"].items()))
                write_json(root / _STATE, state)
            bar(done.frames, f"videos (frames), {done.video} done")
    return len(todo)


def _described(path: Path, scripts: Sequence[VideoScript]) -> set[str]:
    """Return the videos whose features are stored on the grid of this world.

    Raises:
        DataError: a video's features are of another grid or extractor.
    """
    from wtal_core.demo.descriptors import backbones
    from wtal_core.video.extraction import provenance_of

    if not path.is_file():
        return set()
    found = set()
    with open_features(path) as store:
        for script in scripts:
            if script.name not in store.videos:
                continue
            wanted = SnippetGrid.for_duration(script.duration, fps=FPS, stride=STRIDE, window=WINDOW)
            found_grid = replace(store.grid(script.name), duration=script.duration)  # files round durations
            if found_grid != wanted or store.provenance(script.name) != provenance_of(backbones()):
                raise DataError(
                    f"holds features of {script.name!r} that were made in another way",
                    where=path,
                    next_step="Delete the file, or build into another folder",
                    arguments=("out",),
                )
            found.add(script.name)
    return found


def train_runs(
    data: Path,
    runs: Mapping[tuple[str, int], Path],
    *,
    small: bool,
    workers: int = 0,
    quiet: bool = False,
) -> dict[tuple[str, int], dict[str, Any]]:
    """Train several runs at a time on the features of a demo world, skipping what is finished.

    Args:
        data: data set folder.
        runs: (variant, seed) -> run folder.
        small: the recipes of the small world.
        workers: processes; 0: as many as there are cores.
        quiet: no progress bar.

    Returns:
        `{(variant, seed): result of train_variant}`.
    """
    from wtal_core.demo.training import train_variant

    results: dict[tuple[str, int], dict[str, Any]] = {}
    with progress_bar("runs", len(runs), quiet=quiet) as bar, _workers(workers, len(runs)) as pool:
        jobs = {
            pool.submit(train_variant, str(data), str(folder), name, seed=seed, small=small): (name, seed)
            for (name, seed), folder in runs.items()
        }
        for job, done in _completed(jobs):
            results[jobs[job]] = done
            bar(1, f"runs, {done['name']} done")
    return results


@contextmanager
def _workers(wanted: int, jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool of fresh processes; on an error what is waiting is not begun."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = max(1, min(wanted or cores, jobs))
    pool = ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn"), initializer=_calm)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def _calm() -> None:
    """Keep libraries of a worker from starting threads of their own: there is a worker for every core."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"


def _completed(jobs: Iterable[Future[T]]) -> Iterator[tuple[Future[T], T]]:
    """Yield jobs and their results as they come.

    Raises:
        DataError: a worker process died.
    """
    try:
        for job in as_completed(jobs):
            yield job, job.result()
    except BrokenProcessPool as error:
        raise DataError(
            "a worker process died, most likely for want of memory",
            where="demo build",
            next_step="Build again with workers=1; what was finished is kept",
            arguments=("workers",),
        ) from error
