"""A method of a package that is not of this project: what `pip install` leaves of one, in a folder of its own."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wtal_core.cli import main
from wtal_core.methods import registry

NAME = "probe_net"
#: Small enough for a few short videos; the planted world is learnt with it.
SETTINGS = ("hidden=32", "training.steps=60", "training.batch_size=8", "training.snippets=60", "training.lr=5e-3")


def install(site: Path) -> Path:
    """Write the package `probe` with the method of `wtal methods new`, and its metadata, into a folder of packages."""
    (site / "probe").mkdir(parents=True)
    (site / "probe" / "__init__.py").touch()
    assert main(["methods", "new", NAME, "--out", str(site / "probe")]) == 0
    info = site / "probe-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: probe\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[wtal.methods]\n{NAME} = probe.{NAME}:ProbeNet\n")
    return site


@contextmanager
def installed(site: Path) -> Iterator[None]:
    """Let Python find a folder of packages, in this process and in those that it starts."""
    before = os.environ.get("PYTHONPATH")
    sys.path.insert(0, str(site))
    os.environ["PYTHONPATH"] = os.pathsep.join([str(site), *([before] if before else [])])
    registry._installed.cache_clear()
    try:
        yield
    finally:
        sys.path.remove(str(site))
        os.environ.pop("PYTHONPATH") if before is None else os.environ.update(PYTHONPATH=before)
        registry._installed.cache_clear()
        for module in [name for name in sys.modules if name.partition(".")[0] == "probe"]:
            del sys.modules[module]
        shutil.rmtree(site / "probe" / "__pycache__", ignore_errors=True)
