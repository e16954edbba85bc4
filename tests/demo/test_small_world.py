"""`wtal demo build --small`, whole, against what it gave when the shipped world was made.

`small_world.json` is written by `python -m tests.demo.test_small_world FOLDER` from a folder that was built.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wtal_core.cli import main
from wtal_core.data.dataset import Dataset
from wtal_core.demo.recipes import VARIANTS
from wtal_core.files import write_json
from wtal_core.runs.folder import Run
from wtal_core.runs.registry import stored_evaluations

REFERENCE = Path(__file__).with_name("small_world.json")


def summary(folder: Path) -> dict[str, Any]:
    """Say in a few numbers what a built world is."""
    dataset = Dataset.open(folder)
    truth = dataset.annotations
    # Everything but the mined clips: those depend on the optical flow's build.
    rows = {
        name: table for name, table in {"instances": truth.instances, **truth.tracks}.items() if "mined" not in name
    }
    text = json.dumps(
        {n: [list(r) for r in zip(t.video, t.label, t.start, t.end, strict=True)] for n, t in sorted(rows.items())}
    )
    with dataset.features() as store:
        features = {
            v: [round(float(x), 4) for x in (store.read(v).data[:, :128].mean(), store.read(v).data[:, 128:].mean())]
            for v in store.videos
        }
    runs = {}
    for name in VARIANTS:
        run = Run.open(folder / "runs" / name)
        logged = [m["losses"]["total"] for m in run.metrics() if m["kind"] == "losses"]
        runs[name] = {
            "first": round(logged[0], 5),
            "last": round(logged[-1], 5),
            "average": round(stored_evaluations(run)[0]["average"], 4),
        }
    return {"annotations": hashlib.sha256(text.encode()).hexdigest(), "features": features, "runs": runs}


@pytest.mark.timeout(900)
def test_small_world_comes_again(tmp_path: Path) -> None:
    """The whole pipeline on 18 short videos: about 75 s on two cores."""
    folder = tmp_path / "small"
    assert main(["demo", "build", "--out", str(folder), "--seed", "0", "--small", "--quiet"]) == 0
    made, known = summary(folder), json.loads(REFERENCE.read_text())
    assert made["annotations"] == known["annotations"]
    assert made["features"].keys() == known["features"].keys()
    for video, values in known["features"].items():
        np.testing.assert_allclose(made["features"][video], values, rtol=0.01, atol=1e-3, err_msg=video)
    for name, values in known["runs"].items():
        # Same seeds and batches; other builds of PyTorch sum in another order, which a training slowly amplifies.
        assert made["runs"][name]["first"] == pytest.approx(values["first"], rel=0.02), name
        assert made["runs"][name]["last"] == pytest.approx(values["last"], rel=0.2, abs=0.05), name
        assert made["runs"][name]["average"] == pytest.approx(values["average"], abs=0.15), name


if __name__ == "__main__":
    write_json(REFERENCE, summary(Path(sys.argv[1])))
