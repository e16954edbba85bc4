from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from wtal_core.errors import UsageError
from wtal_core.evaluation.benchmark import peak_memory_bytes, random_case


def test_random_case_is_reproducible_and_of_the_asked_size():
    detections, truth = random_case(500, 30, 4, seed=7)
    again, _ = random_case(500, 30, 4, seed=7)
    assert detections == again
    assert (len(detections), len(truth.videos), len(truth.classes)) == (500, 30, 4)
    assert detections != random_case(500, 30, 4, seed=8)[0]
    with pytest.raises(UsageError):
        random_case(0, 1, 1)


def test_the_promised_case_is_small():
    """200,000 detections, 5,000 videos, 200 classes, 10 tIoU in a fresh process stay below 1 GB.

    `wtal bench evaluate` reports the time (about 0.3 s); a test would only measure how busy the machine is.
    """
    command = [sys.executable, "-m", "wtal_core.cli", "bench", "evaluate", "--repeats", "1", "--json"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    sizes = [report[key] for key in ("detections", "videos", "classes")]
    assert (sizes, len(report["tiou"])) == ([200_000, 5_000, 200], 10)
    assert [result["protocol"] for result in report["results"]] == ["activitynet", "thumos14", "wtalc"]
    for result in report["results"]:
        assert result["median_cpu_seconds"] > 0
        assert 0.05 < result["average_map"] < 0.9
    assert report["peak_memory_bytes"] is None or report["peak_memory_bytes"] < 1e9


def test_peak_memory():
    peak = peak_memory_bytes()
    assert peak is None or 10e6 < peak < 1e12
