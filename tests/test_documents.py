"""YAML and JSON of other people cost no more than their size, and come back as plain values or as a sentence."""

from __future__ import annotations

import json
import math
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from wtal_core import documents
from wtal_core.documents import (
    MOST_LEVELS,
    MOST_YAML_VALUES,
    JsonCursor,
    json_errors,
    parse_json,
    parse_yaml,
    to_yaml,
)
from wtal_core.errors import DataError
from wtal_core.files import read_json, read_text, read_yaml, sized


@pytest.fixture(params=["libyaml", "pyyaml"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both parsers: libyaml is not everywhere."""
    if request.param == "libyaml" and not yaml.__with_libyaml__:
        pytest.skip("PyYAML was built without libyaml")
    monkeypatch.setattr(documents, "_PARSER", yaml.CSafeLoader if request.param == "libyaml" else yaml.SafeLoader)


def laughs(levels: int, width: int = 10) -> str:
    """Return a list that aliases make `width ** levels` values of."""
    parts = ["&a0 [" + ",".join("x" * width) + "]"]
    parts += [f"&a{i} [" + ",".join([f"*a{i - 1}"] * width) + "]" for i in range(1, levels)]
    return "[" + ", ".join(parts) + "]"


# -- YAML -------------------------------------------------------------------------------------------------------------

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=20,
)


@given(value=plain, flow=st.sampled_from([True, False, None]))
def test_what_is_written_comes_back(value: Any, flow: bool | None) -> None:
    assert parse_yaml(to_yaml(value, flow=flow)) == value


@given(value=plain)
def test_pyyaml_reads_the_same(value: Any) -> None:
    text = yaml.safe_dump(value, allow_unicode=True)
    assert parse_yaml(text) == yaml.safe_load(text)


def test_a_list_that_is_held_twice_is_written_twice() -> None:
    once = [1, 2]
    assert parse_yaml(to_yaml({"a": once, "b": once})) == {"a": [1, 2], "b": [1, 2]}


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None), ("a: 2020-01-01", {"a": "2020-01-01"}), ("a: 2020-99-99", {"a": "2020-99-99"}),
        ("2020-01-01: a", {"2020-01-01": "a"}), ("a: 2026-11-21T08:54:05+0000", {"a": "2026-11-21T08:54:05+0000"}),
        ("[yes, ~, 1_000, 0x1f, 1:30, 1e3, 1.e+3, .inf]", [True, None, 1000, 31, 90, "1e3", 1000.0, math.inf]),
        ("['3', \"no\"]", ["3", "no"]),
        ("9223372036854775807", 2**63 - 1), ("9223372036854775808", "9223372036854775808"), ("9" * 5000, "9" * 5000),
        ("0x" + "f" * 60, "0x" + "f" * 60), ("0x_", "0x_"), (":".join("1" * 30), ":".join("1" * 30)),
        ("<<: {a: 1}", {"<<": {"a": 1}}), ("!!str 3", "3"), ("!!float 3", 3.0), ("=", "="),
        ("{1: a, ~: b}", {1: "a", None: "b"}),
    ],
)  # fmt: skip
def test_scalars(text: str, value: Any) -> None:
    assert parse_yaml(text) == value
    assert type(parse_yaml(text)) is type(value)


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: &x 2", r"line 2, column 4: it uses anchors \(&x\).*Write the values out"),
        ("[a, *x]", r"line 1, column 5: it uses aliases \(\*x\)"),
        ("&x {a: 1}", "it uses anchors"),
        ("- &x [1]", "it uses anchors"),
        ("!!python/object/apply:os.system [ls]", "the tag '.*os.system' is not read"),
        ("!!binary aGk=", "the tag"),
        ("!!set {a, b}", "the tag"),
        ("!mine 3", "the tag '!mine' is not read"),
        ("!!int three", "'three' is not what its tag says"),
        ("a: 1\na: 2", "line 2, column 1: the key 'a' is listed twice"),
        ("? [a]\n: b", "a key is not a text"),
        ("--- 1\n--- 2", "several documents"),
        ("[" * 100 + "]" * 100, f"nested more than {MOST_LEVELS} levels"),
        ("- " * 100 + "x", f"nested more than {MOST_LEVELS} levels"),
        ("[" + "1," * (MOST_YAML_VALUES + 1) + "]", f"more than {MOST_YAML_VALUES:,} values"),
        ("a: b: c", "is not valid YAML at line 1, column 5"),
        ("[", "is not valid YAML at line"),
        ("a\x01b", "is not valid YAML"),
        ("x" * (2**20 + 1), "is too long to be read as YAML"),
    ],
)
def test_what_is_refused(text: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        parse_yaml(text, "a.yaml")


@pytest.mark.parametrize("text", [laughs(4), laughs(30), f"a: {laughs(20)}", f"*a: 1\n? {laughs(20)}\n: 2"])
def test_aliases_cost_nothing(text: str) -> None:
    began = time.perf_counter()
    with pytest.raises(DataError, match="it uses a"):
        parse_yaml(text)
    assert time.perf_counter() - began < 0.5


def test_no_yaml_is_read_otherwise() -> None:
    """Every YAML goes through the reader that is bounded, and every one written through the writer of no aliases."""
    root = Path(__file__).resolve().parent.parent
    for file in [*(root / "wtal_core").rglob("*.py"), *(root / "pages").rglob("*.py"), root / "app.py"]:
        if file.name != "documents.py":
            assert "import yaml" not in file.read_text(encoding="utf-8"), file


# -- JSON -------------------------------------------------------------------------------------------------------------


@given(value=plain, indent=st.sampled_from([None, 2]), ascii_only=st.booleans())
def test_json_is_read_as_python_reads_it(value: Any, indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert parse_json(text) == json.loads(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[9223372036854775807, -9223372036854775808]", [2**63 - 1, -(2**63)]),
        ("[9223372036854775808]", [2.0**63]),
        ("[-" + "9" * 30 + "]", [-1e30]),
        ("[" + "9" * 400 + "]", [math.inf]),
        ("[-" + "9" * 100_000 + "]", [-math.inf]),
        ("[1" + "0" * 5000 + "]", [math.inf]),
    ],
)
def test_whole_numbers_beyond_64_bits_are_floats(text: str, value: list[Any]) -> None:
    assert parse_json(text) == value
    assert [type(v) for v in parse_json(text)] == [type(v) for v in value]


@pytest.mark.parametrize(
    "text",
    [
        "[" * (MOST_LEVELS + 1) + "]" * (MOST_LEVELS + 1),
        '{"a":' * (MOST_LEVELS + 1) + "1" + "}" * (MOST_LEVELS + 1),
        '["]]]]", "\\"]]", "\\\\", ' + '[{"a": ' * 40 + "1" + "}]" * 40 + "]",  # closing brackets in texts hide nothing
        "[" * 100_000,
        "[" * 100_000 + "]" * 100_000,
    ],
)
def test_deep_json_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="is nested too deeply"):
        parse_json(text)


@pytest.mark.parametrize(
    "text",
    [
        "[" * MOST_LEVELS + "]" * MOST_LEVELS,
        json.dumps(["[[[[" * 100, "{" * 500, 'a "quote" [', "\\", "\\\\["]),  # opening brackets in texts are none
        json.dumps({"[" * 90 + str(i): ["{"] for i in range(50)}),
    ],
)
def test_json_of_that_depth_is_read(text: str) -> None:
    assert parse_json(text) == json.loads(text)


def test_many_keys_with_one_listed_twice_are_told_quickly() -> None:
    text = "{" + ",".join(f'"k{i}": 0' for i in range(50_000)) + ', "k49999": 1}'
    began = time.perf_counter()
    with pytest.raises(DataError, match="the key 'k49999' is listed twice"):
        parse_json(text, unique_keys=True)
    assert time.perf_counter() - began < 2


# -- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "darwin", reason="not every file system there has sparse files")
def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    for name, size, read in (("a.json", 2**42, read_json), ("a.txt", 2**42, read_text), ("a.yaml", 2**26, read_yaml)):
        with (tmp_path / name).open("wb") as file:
            file.truncate(size)
        tracemalloc.start()
        try:
            with pytest.raises(DataError, match=r"is too large to be read as text \((4 TiB|64 MiB)\)"):
                read(tmp_path / name)
            assert tracemalloc.get_traced_memory()[1] < 2**20
        finally:
            tracemalloc.stop()


def test_sizes_are_said_for_people() -> None:
    assert [sized(n) for n in (0, 1, 1023, 1024, 1536, 10**6, 2**43 - 1, 2**80)] == [
        "0 bytes", "1 bytes", "1023 bytes", "1 KiB", "1.5 KiB", "977 KiB", "8 TiB", "1048576 EiB",
    ]  # fmt: skip


def moved_over(text: str) -> dict[str, Any]:
    with json_errors("here", "a thing"):
        at = JsonCursor(text, "here", "a thing")
        found = {key: at.value() for key in at.entries()}
        at.finish()
    return found


@given(content=st.dictionaries(st.text(max_size=3), st.lists(st.dictionaries(st.text(max_size=3), plain, max_size=3))))
def test_a_cursor_moves_over_what_parse_json_reads(content: dict[str, Any]) -> None:
    for text in (json.dumps(content), json.dumps(content, indent=1, ensure_ascii=False) + " \n"):
        assert moved_over(text) == parse_json(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"a": [{"k": 1, "k": 2}]}',
        '{"a": [{"k": {"x": 1, "x": 2}}]}',
        '{"a": [], "a": []}',
        '{"a": [{"k: :": 1}, {"k": 1, "k": 1}]}',
        '{"a": ' + "[" * 70 + "]" * 70 + "}",
        '{"a": [{"k": ' + '{"k":' * 70 + "1" + "}" * 70 + "}]}",
        '{"a": ' + "[" * 100_000,
        '{"a": [1, 2}',
        '{"a": 1,}',
        '{"a": 1 "b": 2}',
        '{"a": 1} x',
        "{a: 1}",
        '{"a"}',
        "{",
        "",
    ],
)
def test_a_cursor_refuses_what_parse_json_refuses(text: str) -> None:
    with pytest.raises(DataError) as expected:
        parse_json(text, "here", "a thing", unique_keys=True)
    with pytest.raises(DataError) as got:
        moved_over(text)
    assert str(got.value) == str(expected.value)
