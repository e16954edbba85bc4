"""Only `methods/`, `papers/` and `demo/` know methods by name; everything else knows what a method says of itself.

What is executed or shown counts: identifiers, imported modules, texts, and in `commands/` docstrings too, for they are
the help. Prose for readers of the code (other docstrings, comments) may cite the method that a rule comes from.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from wtal_core.methods.registry import list_methods, outline, target_of

ROOT = Path(__file__).resolve().parent.parent
FREE = ("methods", "papers", "demo")

#: Files that may name a method, and why.
ALLOWED = {
    "wtal_core/commands/demo.py": "the demo's own command: its runs are the five methods",
    "wtal_core/data/explain/arrays.py": "recognises a feature format, which is called after the code that writes it",
    "wtal_core/data/explain/weights.py": "recognises the weights that authors published by their keys",
    "wtal_core/data/features/cmcs.py": "a feature format, which is called after the code that writes it",
    "wtal_core/data/features/opening.py": "a feature format, which is called after the code that writes it",
}


def spellings() -> list[str]:
    """Names, classes and titles of the methods of this project."""
    found = []
    for name in list_methods():
        found += [name, target_of(name).partition(":")[2], outline(name).title.partition(" (")[0]]
    return found


_PARTS = sorted({"[-_ ]?".join(re.split(r"[-_ ]", word)) for word in spellings()}, key=len, reverse=True)
NAME = re.compile(rf"(?<![A-Za-z])(?i:{'|'.join(_PARTS)})(?![a-z])")


def texts(file: Path) -> Iterator[tuple[int, str]]:
    """Yield `(line, text)` of what a file executes or shows."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    shown = "commands" in file.parts
    prose: set[ast.AST] = set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        for child in body if isinstance(body, list) else ():
            is_text = isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)
            if is_text and not (shown and not isinstance(node, ast.Module)):
                prose.add(child.value)
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        if node in prose:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield line, node.value
        for field in ("id", "attr", "arg", "name", "module", "asname"):
            if isinstance(value := getattr(node, field, None), str):
                yield line, value


def _files() -> list[Path]:
    core = ROOT / "wtal_core"
    places = [ROOT / "app.py", *(ROOT / "pages").rglob("*.py"), *core.rglob("*.py"), *core.rglob("*.pyi")]
    return sorted(p for p in places if not any(p.is_relative_to(core / room) for room in FREE))


@pytest.mark.parametrize("file", _files(), ids=lambda file: str(file.relative_to(ROOT)))
def test_no_method_is_known_by_name(file: Path) -> None:
    found = [f"line {line}: {text[:80]!r}" for line, text in texts(file) if NAME.search(text)]
    if str(file.relative_to(ROOT)) in ALLOWED:
        assert found, f"{file} names no method any more: take it off the list"
        return
    assert not found, f"{file}: {found}"


def test_the_search_finds_every_way_to_write_a_name() -> None:
    for text in ("hamnet", "HAM-Net", "HAMNet", "wtal_core.methods.acn", "deep_metric", "deep metric learning",
                 "is_cmcs_file", "CmcsFiles", "ACM-Net's"):  # fmt: skip
        assert NAME.search(text), text
    for text in ("vacancy", "mac number", "metric", "cmd", "acne"):
        assert not NAME.search(text), text
