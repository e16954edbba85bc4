"""The direction in which rooms may import each other, read from the source (see README, "How it is built")."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

CORE = Path(__file__).resolve().parent.parent / "wtal_core"

LEVEL = {
    "arrays": 0, "devices": 0, "documents": 0, "errors": 0, "files": 0, "intervals": 0, "processes": 0,
    "progress": 0, "records": 0, "settings": 0, "snippet_grid": 0, "summary": 0, "suppression": 0, "version": 0,
    "__init__": 0,
    "data": 1, "localization": 1, "evaluation": 1,
    "video": 2, "methods": 2,
    "training": 3, "runs": 3,
    "jobs": 4, "analysis": 4,
    "figures": 5, "workspace": 5,
    "papers": 6, "interchange": 6, "demo": 6,
    "commands": 7, "cli": 7, "__main__": 7,
}  # fmt: skip

#: Imports between rooms of the same level. The ground-floor modules may use each other.
SIDEWAYS = {("training", "runs"), ("cli", "commands"), ("commands", "cli"), ("__main__", "cli")}

#: Packages that only some rooms may import.
RESERVED = {"streamlit": set(), "plotly": {"figures"}, "matplotlib": {"figures"}}


def room_of(file: Path) -> str:
    return file.relative_to(CORE).parts[0].removesuffix(".py")


def imports(file: Path) -> list[tuple[str, bool]]:
    """Return `(dotted name, under TYPE_CHECKING)` of every import in a file, relative ones resolved."""
    found: list[tuple[str, bool]] = []
    package = ("wtal_core", *file.relative_to(CORE).parts[:-1])

    def visit(node: ast.AST, typing_only: bool) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            for child in node.body:
                visit(child, True)
            for child in node.orelse:
                visit(child, typing_only)
            return
        if isinstance(node, ast.Import):
            found.extend((alias.name, typing_only) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            found.extend((f"{module}.{alias.name}", typing_only) for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child, typing_only)

    source = file.read_text(encoding="utf-8")
    visit(ast.parse(source), False)
    if "import_module" in source:  # a module that is named by a text is imported all the same
        texts = [n.value for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Constant)]
        found += [(t, False) for t in texts if isinstance(t, str) and re.fullmatch(r"wtal_core\.\w+[\w.]*", t)]
    return found


FILES = sorted(CORE.rglob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(CORE)))
def test_imports_go_one_way(file: Path) -> None:
    room = room_of(file)
    assert room in LEVEL, f"{room} has no level: add it to LEVEL"
    for name, _ in imports(file):
        parts = name.split(".")
        if parts[0] in RESERVED:
            assert room in RESERVED[parts[0]], f"{file} imports {parts[0]}"
        if parts[0] != "wtal_core" or len(parts) < 2 or room == "__init__":
            continue
        target = parts[1]
        if target not in LEVEL:  # a name defined in wtal_core/__init__.py
            assert LEVEL[room] >= 4, f"{file}: import {target} from its home, not wtal_core"
            continue
        if target == room or LEVEL[target] < LEVEL[room] or LEVEL[room] == LEVEL[target] == 0:
            continue
        assert (room, target) in SIDEWAYS, f"{file} ({room}) must not import {name} ({target})"


def test_the_check_sees_imports() -> None:
    """The parser behind this test finds absolute, relative and nested imports."""
    names = {name for file in FILES for name, _ in imports(file)}
    assert any(name.startswith("wtal_core.errors.") for name in names)
    assert any(name.startswith("wtal_core.records.") for name in names)


def test_modules_named_by_texts_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`importlib` is no way around the direction."""
    room = tmp_path / "jobs"
    room.mkdir()
    (room / "detour.py").write_text("import importlib\n\nimportlib.import_module('wtal_core.cli').as_process()\n")
    monkeypatch.setattr("tests.test_imports.CORE", tmp_path)
    with pytest.raises(AssertionError, match=r"must not import wtal_core\.cli"):
        test_imports_go_one_way(room / "detour.py")
