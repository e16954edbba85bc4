"""The notebooks of the documentation run as they stand, and show pictures."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path

import pytest
from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


def code(notebook: Path) -> list[str]:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda n: n.stem)
def test_the_cells_run(notebook: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[object] = []
    display = types.ModuleType("IPython.display")
    display.display = shown.append  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    monkeypatch.chdir(ROOT)
    names: dict[str, object] = {}
    for cell in code(notebook):
        *body, last = cell.rstrip().split("\n")
        try:
            value = compile(last, str(notebook), "eval")
        except SyntaxError:  # the last line ends a block
            exec(compile(cell, str(notebook), "exec"), names)
            continue
        exec(compile("\n".join(body), str(notebook), "exec"), names)
        shown.append(eval(value, names))
    assert any(isinstance(thing, Figure) for thing in shown)


def test_they_were_executed() -> None:
    assert NOTEBOOKS
    for notebook in NOTEBOOKS:
        cells = [c for c in json.loads(notebook.read_text(encoding="utf-8"))["cells"] if c["cell_type"] == "code"]
        assert [c["execution_count"] for c in cells] == list(range(1, len(cells) + 1))
        assert any("image/png" in output.get("data", {}) for c in cells for output in c["outputs"])
        assert not any(output["output_type"] == "error" for c in cells for output in c["outputs"])
