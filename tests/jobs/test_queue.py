"""The background worker: trainings and other jobs that outlive who started them."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from wtal_core.commands.run_job import claim
from wtal_core.data import FeatureWriter, write_annotations
from wtal_core.errors import DataError, UsageError
from wtal_core.files import write_json
from wtal_core.jobs import queue as queue_module
from wtal_core.jobs.job import Job, log_tail
from wtal_core.jobs.queue import Queue
from wtal_core.jobs.supervisor import Supervisor
from wtal_core.jobs.trainings import restart_training, resume_training, start_training, stop_run
from wtal_core.processes import identity, liveness
from wtal_core.runs.folder import Run
from wtal_core.training.options import TrainRequest
from wtal_core.training.planted import make_world

TINY = {"training.batch_size": 4, "training.snippets": 20, "training.lr": 1e-3}
LONG = {**TINY, "training.steps": 100_000}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "planted"
    world = make_world(num_train=8, num_test=3)
    write_annotations(world.annotations, folder / "annotations.json", format="activitynet")
    with FeatureWriter(folder / "features" / "planted.h5") as writer:
        for video in world.store.videos:
            writer.write(world.store.read(video))
    (folder / "dataset.yaml").write_text("name: planted\nsplits: {train: [training], test: [test]}\n")
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A workspace whose jobs are ended after the test."""
    monkeypatch.setenv("WTAL_HOME", str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    yield tmp_path
    queue = Queue(tmp_path)
    for job in queue.jobs():
        queue.cancel(job)
        if job.status().open:
            queue.kill(job)
    wait_for(lambda: not any(job.status().open for job in queue.jobs()), 20)


def wait_for(what: Callable[[], Any], seconds: float = 240.0) -> Any:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if value := what():
            return value
        time.sleep(0.05)
    raise AssertionError(f"it did not happen within {seconds:g} s")


def ended(job: Job) -> str:
    wait_for(lambda: not job.status().open)
    return job.status().state


def request(data: Path, out: Path, **more: Any) -> TrainRequest:
    given = {"changes": LONG, "device": "cpu", "log_every": 1, "checkpoint_every": 0, **more}
    return TrainRequest(method="deep_metric", data=data, out=out, set=given.pop("changes"), **given)


def step_of(folder: Path) -> int:
    try:
        return int(Run.open(folder).status().get("step") or 0)
    except DataError:
        return 0


#: A command that goes on until it is stopped.
ENDLESS = {"command": "bench evaluate", "detections": 200, "videos": 5, "classes": 2, "repeats": 1_000_000}
METHODS = {"command": "methods"}


# -- trainings --------------------------------------------------------------------------------------------------------


def test_start_stop_resume_a_training(home: Path, data: Path) -> None:
    out = home / "runs" / "one"
    job = start_training(request(data, out, validate="test", validate_every=100_000), home=home)
    with pytest.raises(UsageError, match="a job that makes it is"):
        start_training(request(data, out), home=home)
    wait_for(lambda: step_of(out) >= 5)
    assert job.status().state == "running"
    stop_run(out, home=home)
    assert ended(job) == "stopped"
    run = Run.open(out)
    assert run.status()["state"] == "stopped"
    wait_for(lambda: not (out / "stop").exists(), 5)
    done = step_of(out)
    log = (out / "worker.log").read_text()
    assert "wtal train deep_metric" in log
    assert "stopped after" in log

    again = resume_training(out, home=home)
    asked = again.request
    assert (asked["command"], asked["resume"], asked["validate"], "set" in asked) == ("train", True, "test", False)
    wait_for(lambda: step_of(out) > done + 2)
    steps = [m["step"] for m in run.metrics() if m["kind"] == "losses"]
    assert steps == list(range(1, len(steps) + 1))  # nothing twice, nothing missing
    assert Queue(home).of_result(out) == again
    Queue(home).stop(again)
    assert ended(again) == "stopped"


def test_a_finished_training_is_evaluated_and_says_how_far_it_is(home: Path, data: Path) -> None:
    out = home / "runs" / "short"
    job = start_training(request(data, out, changes={**TINY, "training.steps": 3}), home=home)
    assert ended(job) == "finished"
    assert job.status().exit_code == 0
    assert Run.open(out).evaluation_path.is_file()
    assert job.progress is not None
    assert job.progress.fraction == 1.0
    with pytest.raises(UsageError, match="holds a run already"):
        start_training(request(data, out), home=home)


def test_a_killed_training_is_shown_as_crashed_and_goes_on(home: Path, data: Path) -> None:
    out = home / "runs" / "victim"
    job = start_training(request(data, out, checkpoint_every=5), home=home)
    wait_for(lambda: (out / "checkpoints" / "last.pt").exists() and step_of(out) > 6)
    pid = job.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert ended(job) == "crashed"
    assert Run.open(out).status()["state"] == "crashed"  # at once, not after a silence
    assert any("100,000 steps" in line for line in log_tail(job.log))
    again = resume_training(out, home=home)
    wait_for(lambda: again.status().state == "running" and step_of(out) > 12)
    Queue(home).kill(again)
    assert ended(again) == "stopped"


def test_a_training_that_fails_says_why(home: Path, data: Path) -> None:
    job = start_training(request(data, home / "runs" / "bad", changes={"training.lr": -1}), home=home)
    assert ended(job) == "failed"
    assert "error: training.lr: is out of range" in job.status().message
    assert job.status().exit_code == 2


@pytest.mark.slow
def test_a_training_without_checkpoint_starts_again(home: Path, data: Path) -> None:
    out = home / "runs" / "early"
    job = start_training(request(data, out), home=home)
    wait_for(lambda: step_of(out) >= 3)
    os.kill(job.status().pid or 0, signal.SIGKILL)
    assert ended(job) == "crashed"
    with pytest.raises(UsageError, match="no checkpoint to go on from"):
        resume_training(out, home=home)
    config = Run.open(out).info.config
    (out / "checkpoints").mkdir(exist_ok=True)
    (out / "checkpoints" / "best.pt").write_bytes(b"a validation came before the first checkpoint")
    again = restart_training(out, home=home)
    wait_for(lambda: step_of(out) >= 2 and again.status().state == "running")
    assert Run.open(out).info.config == config
    with pytest.raises(UsageError, match="is being trained"):
        restart_training(out, home=home)
    stop_run(out, home=home)
    assert ended(again) == "stopped"
    with pytest.raises(UsageError, match="has a checkpoint"):
        restart_training(out, home=home)


def test_the_server_may_die_and_another_finds_the_training(home: Path, data: Path) -> None:
    """Another process starts the training and is killed with its whole session; so is the worker."""
    out = home / "runs" / "orphan"
    script = (
        "from wtal_core.jobs.trainings import start_training; from wtal_core.training.options import TrainRequest; "
        f"start_training(TrainRequest(method='deep_metric', data={str(data)!r}, out={str(out)!r}, device='cpu', "
        f"log_every=1, set={LONG!r}), home={str(home)!r}); print('started', flush=True); input()"
    )
    server = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    assert server.stdout is not None
    assert server.stdout.readline() == b"started\n"
    os.killpg(server.pid, signal.SIGKILL)
    server.communicate()

    queue = Queue(home)
    (job,) = queue.jobs()
    wait_for(lambda: step_of(out) >= 2)
    assert job.status().state == "running"
    parent = _parent(job.status().pid or 0)
    os.kill(parent, signal.SIGKILL)  # the worker dies too: its job goes on
    before = step_of(out)
    wait_for(lambda: step_of(out) > before)
    second = queue.submit({**METHODS, "as_json": True})
    time.sleep(1.0)
    assert second.status().state == "queued"  # the next worker waits for the job it found
    queue.stop(job)
    assert ended(job) == "stopped"
    assert ended(second) == "finished"


def _parent(pid: int) -> int:
    return int(subprocess.run(["ps", "-o", "ppid=", "-p", str(pid)], capture_output=True, check=True).stdout)


# -- the queue --------------------------------------------------------------------------------------------------------


def test_jobs_of_a_slot_run_in_order_and_queued_ones_can_be_cancelled(home: Path) -> None:
    queue = Queue(home)
    first = queue.submit(ENDLESS)
    second = queue.submit(METHODS, title="second")
    third = queue.submit(METHODS)
    other = queue.submit({**METHODS, "as_json": True}, slot="cuda:0")
    assert ended(other) == "finished"  # another device does not wait
    wait_for(lambda: first.status().state == "running")
    assert [j.id for j in queue.waiting("cpu")] == [second.id, third.id]
    queue.cancel(second)
    queue.cancel(first)  # runs: left alone
    assert second.status().state == "cancelled"
    assert first.status().state == "running"
    queue.stop(first)
    assert ended(first) == "stopped"
    assert ended(third) == "finished"
    assert second.status().state == "cancelled"
    assert not (second.folder / "process.json").exists()
    started = [j.status().started for j in (first, third)]
    assert started == sorted(started, key=lambda t: t or 0)
    assert [j.title for j in queue.jobs()][1] == "second"
    assert '"acmnet"' in (other.folder / "worker.log").read_text()


def test_jobs_run_where_the_file_system_has_neither_locks_nor_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As exFAT on an external disk and many network shares."""

    def refused(*_: Any) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr("wtal_core.jobs.queue.fcntl.flock", refused)
    monkeypatch.setattr("wtal_core.commands.run_job.os.link", refused)
    with queue_module.lock(tmp_path / "worker.lock") as free:
        assert free
    mine, name = tmp_path / "mine.json", tmp_path / "process.json"
    mine.write_text('{"pid": 7}')
    claim(mine, name)
    assert json.loads(name.read_text()) == {"pid": 7}
    with pytest.raises(FileExistsError):
        claim(mine, name)


def test_a_lock_that_is_held_is_not_free(tmp_path: Path) -> None:
    with queue_module.lock(tmp_path / "worker.lock") as mine, queue_module.lock(tmp_path / "worker.lock") as other:
        assert (mine, other) == (True, False)


@pytest.mark.slow
def test_a_job_that_does_not_leave_is_seen_off(home: Path) -> None:
    """A command may be done and hang on a thread or a pool of its own; the next job still gets its turn."""
    queue = Queue(home)
    hang = "import sys, threading, time\nif 'job' in sys.orig_argv:\n"
    hang += "    threading.Thread(target=time.sleep, args=(600,)).start()\n"
    (home / "sitecustomize.py").write_text(hang)
    os.environ["PYTHONPATH"] = str(home)
    try:
        folder = queue.folder / "20260101-000000-000000-aaaa"
        folder.mkdir(parents=True)
        job = Job(folder, METHODS, "hangs", "cpu", str(home), str(folder / "worker.log"))
        job.write()
        queue.start_worker("cpu")
        assert ended(job) == "finished"
        record = folder / "process.json"
        wait_for(lambda: liveness(json.loads(record.read_text())) is False, 20)
    finally:
        del os.environ["PYTHONPATH"]


def test_queued_jobs_wait_for_a_worker_after_a_restart(home: Path) -> None:
    queue = Queue(home)
    folder = queue.folder / "20260101-000000-000000-aaaa"
    folder.mkdir(parents=True)
    Job(folder, METHODS, "left", "cpu", str(home), str(folder / "worker.log")).write()
    (job,) = queue.jobs()
    assert job.status().state == "queued"
    queue.start_workers()
    assert ended(job) == "finished"
    queue.forget(job)
    assert queue.jobs() == []


def test_bad_arguments_and_missing_folders_are_failures_with_a_sentence(home: Path) -> None:
    queue = Queue(home)
    job = queue.submit({"command": "data doctor", "dataset": home / "nowhere"})
    assert ended(job) == "failed"
    assert job.status().message.startswith("error: ")
    assert "does not exist" in job.status().message
    gone = home / "gone"
    gone.mkdir()
    late = queue.submit(ENDLESS)
    stranded = queue.submit(METHODS, cwd=gone)
    gone.rmdir()
    queue.stop(late)
    assert ended(stranded) == "failed"
    assert "cannot be entered" in stranded.status().message


def test_a_job_of_another_machine_that_has_fallen_silent_has_crashed(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Queue, "start_worker", lambda self, slot: None)
    queue = Queue(home)
    job = queue.submit(ENDLESS, result="out")
    elsewhere = {**identity(), "host": "a container that was made anew", "process_start": "x:1"}
    write_json(job.folder / "process.json", {**elsewhere, "started": time.time()})
    assert job.status().state == "running"
    with pytest.raises(UsageError, match="is running already"):
        queue.submit(ENDLESS, result="out")
    for file in job.folder.iterdir():
        os.utime(file, (time.time() - 3600,) * 2)
    assert job.status().state == "crashed"
    assert queue.submit(ENDLESS, result="out").status().state == "queued"


def test_a_job_that_could_not_be_started_says_why(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Queue, "start_worker", lambda self, slot: None)
    (home / "a file").touch()
    job = Queue(home).submit(ENDLESS, log=home / "a file" / "worker.log")
    Supervisor(job).run()
    assert job.status().state == "failed"
    assert "a file" in job.status().message


def test_one_result_is_queued_once_however_many_ask(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Queue, "start_worker", lambda self, slot: None)
    of_result = Queue.of_result

    def slowly(self: Queue, path: Path) -> Job | None:
        found = of_result(self, path)
        time.sleep(0.05)
        return found

    monkeypatch.setattr(Queue, "of_result", slowly)

    def ask() -> None:
        with contextlib.suppress(UsageError):
            Queue(home).submit(ENDLESS, result="out")

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(Queue(home).jobs()) == 1


def test_a_full_disk_leaves_no_half_job(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open

    def full(self: Path, mode: str = "r", *rest: Any, **more: Any) -> Any:
        if "w" in mode:
            raise OSError(errno.ENOSPC, "No space left on device")
        return opened(self, mode, *rest, **more)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(DataError, match=r"job\.yaml: cannot be written: No space left"):
        Queue(home).submit(ENDLESS)
    assert not [path for path in Queue(home).folder.iterdir() if path.is_dir()]


def test_damaged_records_do_not_break_the_queue(home: Path) -> None:
    queue = Queue(home)
    for name, text in (("a", "{"), ("b", "[]"), ("c", "title: 1"), ("d", "{surprise: true}")):
        (queue.folder / name).mkdir(parents=True)
        (queue.folder / name / "job.yaml").write_text(text)
    (queue.folder / "e").mkdir()
    assert queue.jobs() == []
    assert list(queue.unreadable()) == ["a", "b", "c", "d", "e"]
    assert "unknown setting 'surprise'" in str(queue.unreadable()["d"])
    for name in ("../../etc", "nowhere"):
        with pytest.raises(UsageError, match="there is no job"):
            queue.job(name)
    with pytest.raises(DataError, match="settings are incomplete"):
        queue.job("b")
    job = queue.submit(METHODS)
    assert ended(job) == "finished"
    for text in ("", "{", "[]", '{"pid": "x", "started": "y"}', '{"pid": 1e300}'):
        (job.folder / "exit.json").unlink(missing_ok=True)
        (job.folder / "process.json").write_text(text)
        (job.folder / "progress.json").write_text(text)
        assert job.status().state in ("queued", "crashed")
        assert job.progress is None


def test_a_job_of_an_earlier_version_is_named_and_nothing_else_suffers(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those held shell words in a job.json."""
    from wtal_core.cli import main

    queue = Queue(home)
    for name in ("20250101-000000-000000-aaaa", "20250101-000000-000000-bbbb"):
        (queue.folder / name).mkdir(parents=True)
        words = {"kind": "train", "arguments": ["train", "acn"], "slot": "cpu", "cwd": "/", "log": "x", "title": "t"}
        write_json(queue.folder / name / "job.json", words)
    write_json(queue.folder / name / "exit.json", {"code": 0, "ended": 1.0})  # nobody waits for this one
    (error,) = queue.unreadable().values()
    assert "is a job of an earlier version" in str(error)
    assert "Queue its command again" in str(error)
    assert main(["jobs", "list"]) == 0
    assert "aaaa: is a job of an earlier version" in capsys.readouterr().err
    assert ended(queue.submit(METHODS)) == "finished"


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"command": "trian"}, "unknown command 'trian'"),
        ({"command": "methods", "methd": "acn"}, "Did you mean 'method'?"),
        ({"command": "bench evaluate", "detections": "many"}, "Evaluate.detections: has the wrong type"),
        ({"command": "train", "method": "acn"}, "settings are incomplete (expected data, out"),
    ],
)
def test_a_request_that_cannot_be_carried_out_fails_with_a_sentence(
    home: Path, request_: dict[str, Any], words: str
) -> None:
    """As when somebody edited job.yaml."""
    job = Queue(home).submit(request_)
    assert ended(job) == "failed"
    assert words in job.status().message


def test_a_run_whose_process_is_gone_has_crashed(home: Path, data: Path) -> None:
    out = home / "runs" / "short"
    assert ended(start_training(request(data, out, changes={**TINY, "training.steps": 1}), home=home)) == "finished"
    run = Run.open(out)
    record = {**identity(), "state": "running", "heartbeat": time.time()}
    write_json(out / "status.json", record)
    assert run.status()["state"] == "running"
    write_json(out / "status.json", {**record, "process_start": "before the number was given to pytest"})
    assert run.status()["state"] == "crashed"
    write_json(out / "status.json", {**record, "host": "elsewhere"})
    assert run.status()["state"] == "running"
    write_json(out / "status.json", {**record, "host": "elsewhere", "heartbeat": "never"})
    assert run.status()["state"] == "crashed"


def test_log_tail_is_bounded_and_understands_progress_bars(tmp_path: Path) -> None:
    assert log_tail(tmp_path / "none") == []
    log = tmp_path / "log"
    log.write_bytes(b"x" * 200_000 + b"\n\nfirst\n10%\r20%\r30%\n\xff\xfelast\n")
    assert log_tail(log, 3) == ["first", "30%", "\ufffd\ufffdlast"]
    assert log_tail(log, 1, most_bytes=3) == ["st"]


def test_the_queue_from_the_command_line(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from wtal_core.cli import main

    monkeypatch.chdir(home)
    assert main(["jobs", "list"]) == 0
    assert "no jobs" in capsys.readouterr().out
    assert main(["jobs", "add", "--slot", "cpu", "--", "methods", "cmcs", "--json"]) == 0
    assert "wtal methods cmcs --json" in capsys.readouterr().out
    (job,) = Queue(home).jobs()
    assert job.request == {"command": "methods", "method": "cmcs", "as_json": True}
    assert ended(job) == "finished"
    assert main(["jobs", "stop", job.id]) == 0
    assert "has ended: finished" in capsys.readouterr().out
    assert main(["jobs", "log", job.id, "--lines", "1"]) == 0
    assert capsys.readouterr().out == "]\n"
    assert main(["jobs", "list", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["state"], row["command"]) == ("finished", "wtal methods cmcs --json")
    assert main(["jobs", "stop", "nonsense"]) == 2
    assert main(["jobs", "add", "--slot", "../x", "--", "methods"]) == 2
    for words in (["methds"], ["methods", "--frob"], ["train", "acn"], ["train", "acn", "--data", "d", "--out", "o",
                  "--set", "x"]):  # fmt: skip
        assert main(["jobs", "add", "--", *words]) == 2, words  # at once, not when its turn comes
    assert Queue(home).jobs() == [job]
    assert main(["jobs", "add", "--", "train", "acn", "--data", "nowhere", "--out", "runs/x", "--set", "lr=1"]) == 0
    made = Queue(home).jobs()[-1]
    assert made.request == {"command": "train", "method": "acn", "data": "nowhere", "out": "runs/x", "set": {"lr": 1}}
    assert (made.title, made.target) == ("train acn: x", Path("runs/x").resolve())
    assert Path(made.log) == Path("runs/x/worker.log").resolve()
