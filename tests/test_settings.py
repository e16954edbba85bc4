"""Settings: strict keys, checked values, plain values in and out, dotted overrides, assignments of the command line."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, Literal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from wtal_core.errors import DataError, UsageError, WtalError
from wtal_core.settings import build, check, differences, option, options, override, parse_assignments, to_dict


@dataclass(frozen=True)
class Inner:
    threshold: float = option(0.1, "class threshold", paper="0.1", low=0, high=1)
    thresholds: tuple[float, ...] = option((0.1, 0.2), "CAS thresholds", low=0, high=1)
    kind: str = option("soft", "suppression", choices=("hard", "soft"))
    both: int = option(1, "a name that both have", low=0)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Other:
    both: int = option(2, "a name that both have")
    seconds: float = option(0.5, "length", unit="seconds", low=0)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Outer:
    steps: int = option(10, "training steps", low=1)
    rate: float = option(1e-4, "learning rate")
    seed: int | None = option(None, "seed; None: from the clock")
    mode: Literal["a", "b"] = option("a", "mode")
    verbose: bool = option(False, "say more")
    pair: tuple[int, int] = option((1, 2), "two numbers")
    inner: Inner = option(meaning="nested", factory=Inner)
    other: Other = option(meaning="nested too", factory=Other)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Needy:
    must: int = option(meaning="no default")


# -- values -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": 0}, r"Outer\.steps: is out of range \(expected 1 <= value, got 0\)"),
        ({"steps": 1.5}, r"Outer\.steps: has the wrong type \(expected int, got 1\.5\)"),
        ({"steps": True}, r"Outer\.steps: has the wrong type \(expected int, got True\)"),
        ({"steps": "ten"}, "has the wrong type"),
        ({"steps": None}, "has the wrong type"),
        ({"rate": "fast"}, r"Outer\.rate: has the wrong type \(expected float, got 'fast'\)"),
        ({"rate": math.nan}, "has the wrong type"),
        ({"rate": math.inf}, "has the wrong type"),
        ({"rate": False}, "has the wrong type"),
        ({"seed": "x"}, r"expected int \| None"),
        ({"mode": "c"}, r"Outer\.mode: has the wrong type \(expected Literal\['a', 'b'\]"),
        ({"verbose": 1}, "expected bool"),
        ({"pair": [1, 2, 3]}, "has the wrong type"),
        ({"pair": 3}, "has the wrong type"),
        ({"inner": 3}, r"Outer\.inner: has the wrong type"),
        ({"inner": {"threshold": 1.01}}, r"Inner\.threshold: is out of range \(expected 0 <= value <= 1, got 1\.01\)"),
        ({"inner": {"thresholds": [0.5, 2]}}, r"Inner\.thresholds: is out of range"),
        ({"inner": {"kind": "sotf"}}, r"Inner\.kind: unknown value 'sotf'.*Did you mean 'soft'"),
        ({"stepz": 3}, r"Outer: unknown setting 'stepz'.*Did you mean 'steps'"),
        ({"inner": {"treshold": 1}}, r"inner: unknown setting 'treshold'.*Did you mean 'threshold'"),
        ({3: 4}, "unknown setting '3'"),
    ],
)
def test_wrong_values_name_the_field_and_what_was_expected(values: dict[Any, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build(Outer, values)


@pytest.mark.parametrize(
    ("values", "key", "expected"),
    [
        ({"rate": 1}, "rate", 1.0),
        ({"rate": "1e-4"}, "rate", 1e-4),  # YAML 1.1 reads 1e-4 as text
        ({"inner": {"thresholds": [0, 1]}}, "inner.thresholds", (0.0, 1.0)),
        ({"inner": {"thresholds": 0.4}}, "inner.thresholds", (0.4,)),
        ({"inner": {"thresholds": []}}, "inner.thresholds", ()),
        ({"pair": [3, 4]}, "pair", (3, 4)),
        ({"seed": 7}, "seed", 7),
        ({"seed": None}, "seed", None),
    ],
)
def test_what_yaml_gives_becomes_what_the_field_holds(values: dict[str, Any], key: str, expected: Any) -> None:
    found = {o.key: o.value for o in options(build(Outer, values))}[key]
    assert found == expected
    assert type(found) is type(expected)


def test_a_missing_value_is_named() -> None:
    with pytest.raises(DataError, match=r"run\.yaml: settings are incomplete \(expected must, got nothing\)"):
        build(Needy, {}, where="run.yaml")


@given(
    steps=st.integers(1, 10**9),
    rate=st.floats(-1e6, 1e6),
    seed=st.none() | st.integers(),
    thresholds=st.lists(st.floats(0, 1), max_size=5),
    kind=st.sampled_from(["hard", "soft"]),
)
def test_settings_survive_yaml(steps: int, rate: float, seed: int | None, thresholds: list[float], kind: str) -> None:
    settings = Outer(steps, rate, seed, inner=Inner(thresholds=tuple(thresholds), kind=kind))
    text = yaml.safe_dump(to_dict(settings))
    assert build(Outer, yaml.safe_load(text)) == settings


# -- overrides ----------------------------------------------------------------------------------------------------


def test_overrides_by_dots_mappings_and_unique_names() -> None:
    base = Outer()
    assert override(base, {"inner.threshold": 0.3}).inner.threshold == 0.3
    assert override(base, {"inner": {"threshold": 0.3}}).inner.threshold == 0.3
    assert override(base, {"threshold": 0.3}).inner.threshold == 0.3  # only one nested settings object has it
    assert override(base, {"steps": 3, "seconds": 2}) == Outer(steps=3, other=Other(seconds=2.0))
    assert override(base, {"inner": Inner(both=5)}).inner.both == 5
    assert override(base, {}) == base
    assert base == Outer()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"both": 3}, r"^unknown setting 'both' .*Did you mean"),  # ambiguous: inner.both or other.both
        ({"inner.treshold": 3}, "inner: unknown setting 'treshold'.*Did you mean 'threshold'"),
        ({"iner.threshold": 3}, "unknown setting 'iner.threshold'.*Did you mean 'inner.threshold'"),
        ({"steps.x": 3}, "unknown setting 'steps.x'"),
        ({"threshold": 7}, r"^inner\.threshold: is out of range"),
        ({"": 7}, "unknown setting ''"),
    ],
)
def test_wrong_overrides_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        override(Outer(), changes)


@given(data=st.data())
def test_differences_are_what_was_overridden(data: st.DataObject) -> None:
    changes = data.draw(
        st.fixed_dictionaries(
            {},
            optional={
                "steps": st.integers(11, 99),
                "verbose": st.just(True),
                "inner.threshold": st.floats(0.2, 1),
                "other.seconds": st.floats(1, 9),
            },
        )
    )
    base = Outer()
    changed = override(base, changes)
    assert differences(changed, base) == changes
    assert override(base, differences(changed, base)) == changed


# -- assignments and documentation --------------------------------------------------------------------------------


def test_assignments_are_read_as_yaml() -> None:
    given_texts = ["a=1", "b.c=1e-4", "d=true", "e=[0.1, 0.2]", "f=null", "g=text=with=equals", " h = 2 ", "i="]
    assert parse_assignments(given_texts) == {
        "a": 1, "b.c": "1e-4", "d": True, "e": [0.1, 0.2], "f": None, "g": "text=with=equals", "h": 2, "i": None,
    }  # fmt: skip
    assert override(Outer(), parse_assignments(["rate=1e-4", "inner.thresholds=[0.5]"])).rate == 1e-4


@pytest.mark.parametrize("text", ["steps", "=3", " =3", "steps=[1", "steps={a", "steps=!!python/object:os.system {}"])
def test_what_is_no_assignment_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="settings: ") as caught:
        parse_assignments([text])
    assert repr(text) in str(caught.value)


def test_twice_the_same_key_is_refused() -> None:
    with pytest.raises(UsageError, match=r"settings: 'steps' is set twice"):
        parse_assignments(["steps=3", "steps=4"])


def test_every_leaf_is_documented() -> None:
    found = {o.key: o for o in options(Outer())}
    assert list(found) == [
        "steps", "rate", "seed", "mode", "verbose", "pair",
        "inner.threshold", "inner.thresholds", "inner.kind", "inner.both", "other.both", "other.seconds",
    ]  # fmt: skip
    assert (found["inner.threshold"].meaning, found["inner.threshold"].paper) == ("class threshold", "0.1")
    assert (found["inner.threshold"].low, found["inner.threshold"].high) == (0, 1)
    assert found["other.seconds"].unit == "seconds"
    assert found["inner.kind"].choices == ("hard", "soft")
    assert len(fields(Outer())) == 8


@given(text=st.text())
def test_no_text_breaks_the_parser(text: str) -> None:
    try:
        parsed = parse_assignments([text])
    except WtalError:
        return
    assert len(parsed) == 1
