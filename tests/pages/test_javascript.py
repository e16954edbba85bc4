"""Joining ES modules into the one text that Streamlit takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pages.ui import timeline
from pages.ui.javascript import join

MAIN = 'import { shown } from "./other.js";\n\nexport default function () { return shown; }\n'


def write(folder: Path, **modules: str) -> Path:
    """Write modules; return the file of `main`."""
    for name, text in modules.items():
        (folder / f"{name}.js").write_text(text, encoding="utf-8")
    return folder / "main.js"


def test_a_module_stands_once_before_all_that_import_it(tmp_path: Path) -> None:
    text = join(
        write(
            tmp_path,
            main='import { a } from "./left.js";\nimport { b } from "./right.js";\nexport default function () {}\n',
            left='import { one } from "./base.js";\nexport const a = one;\n',
            right='import { one } from "./base.js";\nexport function b() { return one; }\n',
            base="const own = 1;\nexport const one = own;\nexport async function two() {}\nexport class Three {}\n",
        )
    )
    order = [text.index(part) for part in ("const $base", "const $left", "const $right", "export default function")]
    assert order == sorted(order)
    assert text.count("const $base") == 1
    assert "return { one, two, Three };" in text
    assert "const { one } = $base;" in text
    assert re.findall(r"^\s*(?:import|export)\b.*", text, re.M) == ["export default function () {}"]


def test_comments_that_begin_a_line_are_left_out(tmp_path: Path) -> None:
    other = '// import { x } from "./gone.js";\n/**\n * export\n */\n  /** one line */\n'
    other += 'export const shown = "// kept"; // too\n'
    text = join(write(tmp_path, main=MAIN, other=other))
    assert 'const shown = "// kept"; // too' in text
    assert "gone" not in text
    assert "one line" not in text


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ("const shown = 1;\n", "other.js does not export shown"),
        ("export const first = 1, shown = 2;\n", "other.js does not export shown"),
        ("const shown = 1;\nexport { shown };\n", r"other.js: cannot be joined: export \{ shown \};"),
        ("export let shown = 1;\n", "other.js: cannot be joined: export let shown = 1;"),
        ('import "./main.js";\nexport const shown = 1;\n', 'other.js: cannot be joined: import "./main.js";'),
        ('import * as all from "./main.js";\nexport const shown = 1;\n', r"cannot be joined: import \* as all"),
        ('import { one as shown } from "./base.js";\n', "base.js does not export one as shown"),
        ('import { a } from "./main.js";\n', "main.js: imports itself by way of main.js, other.js"),
        ("export default function () {}\n", r"other.js: cannot be joined: export default function \(\) \{\}"),
    ],
)
def test_what_it_does_not_understand_is_refused(tmp_path: Path, other: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        join(write(tmp_path, main=MAIN, other=other, base="export const one = 1;\n"))


def test_an_entry_without_a_default_function_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"main\.js: no `export default function \(`"):
        join(write(tmp_path, main="export const a = 1;\n"))


def test_a_missing_module_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"other\.js"):
        join(write(tmp_path, main=MAIN))


FOLDER = Path(timeline.__file__).parent
SCRIPTS = sorted(FOLDER.glob("*.js"))


def test_all_modules_of_the_timeline_are_part_of_its_text() -> None:
    text = join(FOLDER / "component.js")
    inside = {"component", *re.findall(r"^const \$(\w+) = \(", text, re.M)}
    assert inside == {file.stem for file in SCRIPTS} - {"arrays"}, "arrays.js is a component of its own"


@pytest.mark.parametrize("file", SCRIPTS, ids=lambda f: f.name)
def test_modules_are_short_and_say_what_they_are(file: Path) -> None:
    lines = file.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("// "), "its first line says what it is"
    assert len(lines) <= 380
    assert max(map(len, lines)) <= 120
