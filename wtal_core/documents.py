"""Read YAML and JSON of other people: plain values, in bounded size, depth and number.

Both formats let a small text stand for much: YAML's aliases make two kilobytes into more values than any memory holds,
either nests as deep as one likes, and a whole number may have a million digits. What is read here cannot do that:

* YAML has no anchors, aliases, merges or tags of its own, no key twice in a mapping, and one document; dates are text,
  and so are whole numbers beyond 64 bits.
* JSON's whole numbers beyond 64 bits become floating-point numbers, as other languages read them (infinite beyond
  their range). NaN and infinities are read, as Python and the tools of this field write them.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any

import yaml
from yaml.constructor import SafeConstructor

from wtal_core.errors import DataError, counted, shortened

__all__ = [
    "MOST_LEVELS",
    "MOST_YAML_CHARACTERS",
    "MOST_YAML_VALUES",
    "JsonCursor",
    "bounded_integer",
    "json_errors",
    "parse_json",
    "parse_yaml",
    "to_yaml",
]

#: Containers within containers.
MOST_LEVELS = 64
MOST_YAML_CHARACTERS = 2**20
MOST_YAML_VALUES = 50_000

_LONGEST_NUMBER = 64  # characters; a longer plain scalar of YAML is text
_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is 20 times as fast, where it is there
_RESOLVERS: dict[str, list[tuple[str, re.Pattern[str]]]] = yaml.SafeLoader.yaml_implicit_resolvers
_CORE = "tag:yaml.org,2002:"
_MAPPING, _SEQUENCE, _TEXT = f"{_CORE}map", f"{_CORE}seq", f"{_CORE}str"


def _fits(value: int) -> bool:
    return -(2**63) <= value < 2**63


def bounded_integer(value: int) -> int | float:
    """Return a whole number as it is, or as the nearest float where it needs more than 64 bits."""
    if _fits(value):
        return value
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


# -- YAML -----------------------------------------------------------------------------------------------------------


class _Refused(Exception):
    """The text is YAML of a kind that is not read; the text says which."""

    def __init__(self, problem: str, mark: Any) -> None:
        super().__init__(problem)
        self.mark = mark


def _scalar_readers() -> dict[str, Any]:
    constructor: Any = SafeConstructor()
    return {
        f"{_CORE}null": constructor.construct_yaml_null,
        f"{_CORE}bool": constructor.construct_yaml_bool,
        f"{_CORE}int": constructor.construct_yaml_int,
        f"{_CORE}float": constructor.construct_yaml_float,
    }


_SCALARS = _scalar_readers()


def _scalar(event: yaml.ScalarEvent) -> Any:
    text = str(event.value)
    stated = event.tag not in (None, "!")
    tag = str(event.tag) if stated else _TEXT
    if not stated and event.implicit[0] and len(text) <= _LONGEST_NUMBER:  # a plain scalar, not a quoted one
        for candidate, pattern in _RESOLVERS.get(text[:1], []):
            if pattern.match(text):
                tag = candidate
                break
    if tag == _TEXT:
        return text
    read = _SCALARS.get(tag)
    if read is None:
        if stated:
            raise _Refused(f"the tag {shortened(tag)!r} is not read", event.start_mark)
        return text  # a date, or one of YAML's marks such as <<
    try:
        value = read(yaml.ScalarNode(tag, text))
    except (ValueError, LookupError) as error:
        if stated:
            raise _Refused(f"{shortened(text)!r} is not what its tag says", event.start_mark) from error
        return text  # 0x_ looks like a number, and is none
    return text if isinstance(value, int) and not _fits(value) else value


def _build(events: Iterator[Any]) -> Any:
    """Return the value of the first document, None where there is none."""
    documents: list[Any] = []
    # Each open container with the key that waits for its value; the outermost one collects documents.
    open_: list[tuple[Any, list[Any]]] = [(documents, [])]
    values = 0
    for event in events:
        if getattr(event, "anchor", None) is not None:
            alias = isinstance(event, yaml.AliasEvent)
            raise _Refused(f"it uses {'aliases (*' if alias else 'anchors (&'}{event.anchor})", event.start_mark)
        if isinstance(event, yaml.ScalarEvent):
            value = _scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent):
            mapping = isinstance(event, yaml.MappingStartEvent)
            if event.tag not in (None, "!", _MAPPING if mapping else _SEQUENCE):
                raise _Refused(f"the tag {shortened(str(event.tag))!r} is not read", event.start_mark)
            if len(open_) > MOST_LEVELS:
                raise _Refused(f"it is nested more than {MOST_LEVELS} levels deep", event.start_mark)
            value = {} if mapping else []
        elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
            open_.pop()
            continue
        else:
            if isinstance(event, yaml.DocumentStartEvent) and documents:
                raise _Refused("it holds several documents", event.start_mark)
            continue
        values += 1
        if values > MOST_YAML_VALUES:
            raise _Refused(f"it holds more than {MOST_YAML_VALUES:,} values", event.start_mark)
        container, waiting = open_[-1]
        if isinstance(container, list):
            container.append(value)
        elif not waiting:
            if not isinstance(value, Hashable):
                raise _Refused("a key is not a text", event.start_mark)
            if value in container:
                raise _Refused(f"the key {shortened(repr(value))} is listed twice", event.start_mark)
            waiting.append(value)
        else:
            container[waiting.pop()] = value
        if isinstance(value, list | dict):
            open_.append((value, []))
    return documents[0] if documents else None


def parse_yaml(text: str, where: object = "YAML", what: str | None = None) -> Any:
    """Read one YAML document as plain values: None, bool, int, float, str, list, dict.

    Args:
        text: at most `MOST_YAML_CHARACTERS`, `MOST_YAML_VALUES` and `MOST_LEVELS`.
        where: file or argument, for messages.
        what: what it should be, for messages.

    Raises:
        DataError: it is no YAML, more than that, or uses anchors, aliases, tags or a key twice; with line and column.
    """
    if len(text) > MOST_YAML_CHARACTERS:
        raise DataError(
            "is too long to be read as YAML",
            expected=f"at most {counted(MOST_YAML_CHARACTERS, 'character')}",
            got=counted(len(text), "character"),
            where=where,
            next_step="Check that it is the right file",
        )
    try:
        return _build(yaml.parse(text, Loader=_PARSER))
    except (_Refused, yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "mark", None)
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        reason = getattr(error, "problem", None) or str(error).partition("\n")[0]
        raise DataError(
            f"cannot be read{place}: {reason}"
            if isinstance(error, _Refused)
            else f"is not valid YAML{place}: {reason}",
            expected=what,
            where=where,
            next_step="Write the values out: anchors, aliases and tags are not read"
            if isinstance(error, _Refused) and ("uses" in reason or "tag" in reason)
            else "Correct this place; texts with ':' or '#' need quotes",
        ) from error


class _Writer(yaml.SafeDumper):
    """Writes a value that is listed twice twice: aliases are not read."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def to_yaml(value: Any, *, flow: bool | None = False, width: float = 120) -> str:
    """Return plain values as the YAML that `parse_yaml` reads.

    Args:
        value: None, numbers, texts, lists and dicts of them.
        flow: everything in brackets on one line (True), nothing (False), or the innermost containers (None).
        width: characters of a line.
    """
    text: str = yaml.dump(
        value, Dumper=_Writer, sort_keys=False, allow_unicode=True, width=width, default_flow_style=flow
    )
    return text


# -- JSON -----------------------------------------------------------------------------------------------------------

_NO_BRACKETS = bytes(set(range(256)) - set(b'[]{}"'))
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_STRING = re.compile(rb'"[^"]*"')
_SPACE = re.compile(r"[ \t\n\r]*")


def _nests_too_deep(text: str) -> bool:
    """Return whether JSON nests more than `MOST_LEVELS` deep, told from its brackets in a fraction of reading it."""
    content = text.encode("utf-8", "surrogatepass")
    if b"\\" in content:
        content = content.replace(b"\\\\", b"").replace(b'\\"', b"")
    brackets = content.translate(_ONE_KIND, _NO_BRACKETS).replace(b'""', b"")
    if b'"' in brackets:  # texts that hold brackets
        brackets = _STRING.sub(b"", brackets)
    for _ in range(MOST_LEVELS):
        inner = len(brackets)
        brackets = brackets.replace(b"[]", b"")  # the innermost ones
        if len(brackets) == inner:
            return False  # all closed, or unbalanced: no JSON, which its parser says with the place
    return bool(brackets)


def _integer(text: str) -> int | float:
    # Python refuses more than 4,300 digits; a float of any length is read in linear time.
    return int(text) if len(text) <= 18 else bounded_integer(int(text)) if len(text) <= 400 else float(text)


def parse_json(text: str, where: object = "JSON", what: str | None = None, *, unique_keys: bool = False) -> Any:
    """Read a JSON text.

    Args:
        text: nested at most `MOST_LEVELS` deep.
        where: file or argument, for messages.
        what: what it should be, for messages.
        unique_keys: refuse an object that lists a key twice (JSON itself would keep the last and lose the others).

    Raises:
        DataError: it is no JSON (with line and column), nested deeper, or lists a key twice.
    """

    with json_errors(where, what):
        if _nests_too_deep(text):
            raise RecursionError
        hook = _unique_pairs(where, what) if unique_keys else None
        return json.loads(text, object_pairs_hook=hook, parse_int=_integer)


def _unique_pairs(where: object, what: str | None) -> Callable[[list[tuple[str, Any]]], dict[str, Any]]:
    """Return what makes an object of JSON's pairs and refuses a key that is listed twice."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise _listed_twice(Counter(key for key, _ in pairs).most_common(1)[0][0], where, what)
        return found

    return once


def _listed_twice(key: str, where: object, what: str | None) -> DataError:
    return DataError(
        f"the key {shortened(key)!r} is listed twice in one object",
        expected=what,
        where=where,
        next_step="Keep one of the entries",
    )


@contextmanager
def json_errors(where: object, what: str | None) -> Iterator[None]:
    """Turn what JSON's parser raises into `DataError`."""
    try:
        yield
    except json.JSONDecodeError as error:
        raise DataError(
            f"is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}",
            expected=what,
            where=where,
            next_step="It may be truncated: copy or download it again",
        ) from error
    except RecursionError as error:
        raise DataError(
            "is nested too deeply to be read",
            expected=what or f"at most {MOST_LEVELS} levels",
            where=where,
            next_step="Check that it is the right file",
        ) from error


class JsonCursor:
    """A place in JSON text that is moved over one value at a time: no more than that value is held as objects.

    All checks of `parse_json(..., unique_keys=True)` hold for what is moved over. Use it within `json_errors`.

    Args:
        text: the text.
        where: file or argument, for messages.
        what: what it should be, for messages.
    """

    def __init__(self, text: str, where: object, what: str | None) -> None:
        self._text, self._where, self._what, self._at = text, where, what, 0
        self._quick = json.JSONDecoder(parse_int=_integer)
        self._strict = json.JSONDecoder(parse_int=_integer, object_pairs_hook=_unique_pairs(where, what))
        self._skip_space()

    def _skip_space(self) -> None:
        match = _SPACE.match(self._text, self._at)
        assert match is not None  # the pattern matches nothing too
        self._at = match.end()

    def _take(self, mark: str, problem: str) -> None:
        if not self.begins(mark):
            raise json.JSONDecodeError(problem, self._text, self._at)
        self._at += 1
        self._skip_space()

    def begins(self, mark: str) -> bool:
        """Return whether what follows begins with a mark."""
        return self._text.startswith(mark, self._at)

    def entries(self) -> Iterator[str]:
        """Move over an object and yield its keys; the value of each is to be taken before the next."""
        self._take("{", "Expecting value")
        seen: set[str] = set()
        while seen or not self.begins("}"):
            if not self.begins('"'):
                raise json.JSONDecodeError("Expecting property name enclosed in double quotes", self._text, self._at)
            key, self._at = self._quick.raw_decode(self._text, self._at)
            if key in seen:
                raise _listed_twice(key, self._where, self._what)
            seen.add(key)
            self._skip_space()
            self._take(":", "Expecting ':' delimiter")
            yield key
            if self.begins("}"):
                break
            self._take(",", "Expecting ',' delimiter")
        self._take("}", "Expecting ',' delimiter")

    def value(self) -> Any:
        """Move over a value and return it."""
        begin, count = self._at, self._text.count
        value, end = self._quick.raw_decode(self._text, begin)
        # Flat objects in a list need no further look: as many colons as keys (no key was lost because it came twice),
        # and no more brackets than theirs and one list in each.
        rows, keys = (len(value), sum(map(len, value))) if _is_table(value) else (0, 0)
        if count("[", begin, end) + count("{", begin, end) > 2 * rows + 1 and _nests_too_deep(self._text[begin:end]):
            raise RecursionError
        if count(":", begin, end) != keys:
            value, end = self._strict.raw_decode(self._text, begin)
        self._at = end
        self._skip_space()
        return value

    def finish(self) -> None:
        """Refuse what follows the last value."""
        if self._at != len(self._text):
            raise json.JSONDecodeError("Extra data", self._text, self._at)


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and set(map(type, value)) == {dict}
