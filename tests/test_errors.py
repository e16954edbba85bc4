"""Errors: how they read, and that every one of the project says what to do next."""

from __future__ import annotations

import ast
import pickle
import re
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.conftest import REPOSITORY
from wtal_core.errors import DataError, UsageError, WtalError, and_more, counted, shortened, unknown_name

CONSTRUCTORS = {"DataError", "UsageError", "WtalError", "MissingDependency"}
FILES = sorted([REPOSITORY / "app.py", *REPOSITORY.glob("wtal_core/**/*.py"), *REPOSITORY.glob("pages/**/*.py")])


def constructions(source: str) -> Iterator[tuple[int, ast.expr | None]]:
    """Yield `(line, its next step)` of every error that a module makes."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name in CONSTRUCTORS:
                yield node.lineno, next((k.value for k in node.keywords if k.arg == "next_step"), None)


def steps() -> Iterator[tuple[str, ast.expr | None]]:
    for file in FILES:
        for line, step in constructions(file.read_text(encoding="utf-8")):
            yield f"{file.relative_to(REPOSITORY)}:{line}", step


def branches(step: ast.expr | None) -> list[ast.expr]:
    """Return what a next step can be: the expression, or both sides of a conditional one."""
    if isinstance(step, ast.IfExp):
        return [*branches(step.body), *branches(step.orelse)]
    return [] if step is None else [step]


def test_every_error_says_what_to_do_next() -> None:
    found = list(steps())
    assert len(found) > 300
    silent = [place for place, step in found if step is None]
    assert not silent, "no next_step"
    empty = [place for place, step in found for text in branches(step) if getattr(text, "value", "said") in (None, "")]
    assert not empty, "a next_step that is not always there"


def test_only_commands_speak_of_their_options() -> None:
    """Errors and docstrings outside the command line name arguments; `commands.arguments.with_options` adds options."""
    option = re.compile(r"(?<![\w-])--[a-z]")
    core = REPOSITORY / "wtal_core"
    files = [f for f in core.rglob("*.py") if f.relative_to(core).parts[0] not in ("commands", "cli.py")]
    found = [
        f"{file.relative_to(REPOSITORY)}:{node.lineno}: {node.value}"
        for file in files
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and option.search(node.value)
    ]
    assert not found
    assert len(files) > 100
    assert option.search("by --any-features")


def test_steps_are_sentences_of_their_own() -> None:
    texts = [
        (place, str(text.value)) for place, step in steps() for text in branches(step) if isinstance(text, ast.Constant)
    ]
    for place, text in texts:
        assert text[0].isupper() or text.startswith(("'", "pip install ", "wtal ")), f"{place}: {text}"
        assert not text.endswith((".", "!")), f"{place}: {text}"
        assert len(text.split()) > 1, f"{place}: {text}"
        assert len(text) < 140, f"{place} is long: {text}"
    text, times = Counter(text for _, text in texts).most_common(1)[0]
    assert times <= 12, f"{text!r} is said {times} times: it cannot be specific everywhere"


@pytest.mark.parametrize(
    ("source", "missing"),
    [
        ("raise DataError('x')", True),
        ("raise errors.UsageError('x', where=1)", True),
        ("raise DataError('x', **details)", True),
        ("raise DataError('x', next_step='Do it')", False),
        ("raise ValueError('x')", None),
    ],
)
def test_the_check_sees_errors(source: str, missing: bool | None) -> None:
    found = [step is None for _, step in constructions(source)]
    assert found == ([] if missing is None else [missing])


def test_text() -> None:
    error = DataError("is damaged", expected="a", got="b", where="f.h5", next_step="Copy it again.")
    assert str(error) == "f.h5: is damaged (expected a, got b). Copy it again."
    assert str(UsageError("unknown x", next_step="Did you mean 'y'?")) == "unknown x. Did you mean 'y'?"
    assert isinstance(error, ValueError)
    again = pickle.loads(pickle.dumps(error))  # out of a worker process
    assert (str(again), type(again), again.exit_code) == (str(error), DataError, 1)


@pytest.mark.parametrize(
    ("name", "known", "otherwise", "step"),
    [
        ("hamnt", ["hamnet", "cmcs"], None, "Did you mean 'hamnet'?"),
        ("zebra", ["hamnet", "cmcs"], None, "Choose one of these"),
        ("zebra", ["hamnet", "cmcs"], "Rename it", "Rename it"),
        ("hamnt", ["hamnet", "cmcs"], "Rename it", "Did you mean 'hamnet'?"),
        ("zebra", [], None, "Leave it out"),
    ],
)
def test_unknown_names(name: str, known: list[str], otherwise: str | None, step: str) -> None:
    error = unknown_name("method", name, known, otherwise=otherwise)
    assert isinstance(error, UsageError)
    assert error.next_step == step
    assert isinstance(unknown_name("method", name, known, usage=False), DataError)


def test_long_lists_are_cut() -> None:
    text = str(unknown_name("video", "v" * 500, [f"video_{i:04d}" for i in range(1000)]))
    assert "... (1000 in all)" in text
    assert len(text) < 600


def test_numbers_and_their_nouns() -> None:
    assert [counted(n, "video") for n in (0, 1, 2300)] == ["0 videos", "1 video", "2,300 videos"]
    assert counted(2, "class", "classes") == "2 classes"
    assert [and_more(n) for n in (1, 2, 3001)] == ["", " and 1 more", " and 3,000 more"]
    assert shortened("abcdef", 5) == "ab..."
    assert issubclass(WtalError, Exception)
