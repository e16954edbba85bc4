"""Browser code of several ES modules as the one text that a Streamlit component takes.

Streamlit makes a Blob of a component's text, and in a Blob `import ... from "./model.js"` leads nowhere. A route that
served the modules would have to be found below any base path and on any deep link, would need a way past the browser's
cache after an update, and would be one more thing that is served. So the modules are joined here, when the component
is registered: each becomes a function that is called once and returns what it exports. What it does not export stays
its own, as in the browser, so names cannot collide. Tests import the same files as they are.
"""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["join"]

_IMPORT = re.compile(r'^import \{ ([\w, ]+) \} from "\./([\w.]+)";$', re.M)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class) (\w+)|const (\w+) =)", re.M)
_DEFAULT = re.compile(r"^export default (?=function \()", re.M)
_OTHER = re.compile(r"^\s*(?:import|export)\b.*", re.M)
_COMMENT = re.compile(r"^ *(?://.*|/\*\*(?s:.*?)\*/)\n", re.M)


def join(entry: Path) -> str:
    """Return a module and all it imports, each before those that import it, as one module.

    Understood are `import { a, b } from "./other.js";` on one line, `export` before `function`, `class` and a single
    `const`, and the entry's `export default function (`. Comments that begin a line are left out: Streamlit sends the
    text with every change of the component's data.

    Raises:
        ValueError: a module imports or exports in another way, imports what is not exported, or imports itself.
        OSError: a module cannot be read.
    """
    done: dict[str, tuple[str, list[str]]] = {}
    _add(entry, done, ())
    return "\n".join(text for text, _ in done.values())


def _add(path: Path, done: dict[str, tuple[str, list[str]]], above: tuple[str, ...]) -> None:
    """Put a module into `done`, behind what it imports: its text, and the names it exports."""
    if path.name in above:
        raise ValueError(f"{path}: imports itself by way of {', '.join(above)}")
    if path.name in done:
        return
    source = _COMMENT.sub("", path.read_text(encoding="utf-8"))
    for names, file in _IMPORT.findall(source):
        _add(path.parent / file, done, (*above, path.name))
        if missing := set(names.split(", ")) - set(done[file][1]):
            raise ValueError(f"{path}: {file} does not export {', '.join(sorted(missing))}")
    exported = [a or b for a, b in _EXPORT.findall(source)]
    text = _IMPORT.sub(lambda found: f"const {{ {found[1]} }} = {_name(found[2])};", source)
    text = _EXPORT.sub("", text)
    rest, defaults = (text, 1) if above else _DEFAULT.subn("", text)
    if other := _OTHER.search(rest):
        raise ValueError(f"{path}: cannot be joined: {other[0].strip()}")
    if not defaults:
        raise ValueError(f"{path}: no `export default function (`")
    if above:
        text = f"const {_name(path.name)} = (() => {{\n{text}return {{ {', '.join(exported)} }};\n}})();"
    done[path.name] = (text, exported)


def _name(file: str) -> str:
    return "$" + file.removesuffix(".js").replace(".", "_")
