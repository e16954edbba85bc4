"""`wtal methods`: list and describe them, write the file of a new one, check anybody's."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import tyro

from wtal_core.commands.output import print_json, print_table
from wtal_core.errors import UsageError
from wtal_core.files import write_text

__all__ = ["CheckMethod", "Methods", "NewMethod"]


@dataclass(frozen=True)
class Methods:
    """List the methods, or every setting of one method with its meaning, value and paper value.

    The list is those of this package and those of installed packages (entry points of the group wtal.methods). Any
    other class is named by its path, module:Class, wherever a command or a page takes a method. Also: wtal methods new,
    which writes one to begin from, and wtal methods check.
    """

    method: tyro.conf.Positional[str | None] = None
    """Method to describe: a name of the list, or module:Class."""
    preset: str | None = None
    """Preset whose values are shown. Default: the method's first."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print JSON."""

    def run(self) -> int:
        """Describe."""
        from wtal_core import settings
        from wtal_core.methods.registry import list_methods, method_class, outline

        if self.method is None:
            rows = [vars(outline(name)) for name in list_methods()]
            if self.as_json:
                print_json(rows)
            else:
                table = [(row["name"], row["title"], ", ".join(row["presets"])) for row in rows]
                print_table(["method", "published as", "presets"], table)
            return 0
        config = method_class(self.method).preset_config(self.preset)
        shown = ("key", "value", "meaning", "paper", "unit", "choices")
        fields = [{name: getattr(option, name) for name in shown} for option in settings.options(config)]
        if self.as_json:
            print_json(fields)
        else:
            print_table(
                ["setting (--set key=value)", "value", "paper", "meaning"],
                [(f["key"], f["value"], f["paper"], f["meaning"]) for f in fields],
            )
        return 0


@dataclass(frozen=True)
class CheckMethod:
    """Run the contract checks on a method: its own package need not know of this one's tests.

    Shapes, padding, gradients, one-snippet videos, save and load, determinism, an exact resume, rows for every track,
    and learning a small planted world with the method's `quick` settings. Exit code 1 if a check fails.
    """

    method: tyro.conf.Positional[str]
    """A name of `wtal methods`, or module:Class."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print JSON."""

    def run(self) -> int:
        """Check."""
        from wtal_core.methods.registry import target_of

        target_of(self.method)
        from wtal_core.training.checks import CHECKS, run_checks

        meaning = {check.__name__: (check.__doc__ or "").strip() for check in CHECKS}
        outcomes = []
        for outcome in run_checks(self.method):
            outcomes.append(outcome)
            if not self.as_json:
                said = outcome.message or meaning[outcome.check]
                print(f"{outcome.state:<7}  {outcome.check:<14} {outcome.seconds:5.1f} s  {said}", flush=True)
        failed = sum(outcome.state == "failed" for outcome in outcomes)
        if self.as_json:
            print_json({"method": self.method, "checks": [vars(outcome) for outcome in outcomes]})
        else:
            print(
                f"{failed} of {len(outcomes)} checks failed" if failed else "every check that can be made here passed"
            )
        return 1 if failed else 0


@dataclass(frozen=True)
class NewMethod:
    """Write a working method of about 100 lines to begin from, and its tests.

    The file is a small attention-and-classifier method: a config, a network, losses, activations. It trains as it is.
    """

    name: tyro.conf.Positional[str]
    """What the method is called, e.g. my_method: makes my_method.py with the class MyMethod, and test_my_method.py."""
    out: Path = Path()
    """Folder to write to."""

    def run(self) -> int:
        """Write."""
        module = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", self.name).lower()
        cls = "".join(part[:1].upper() + part[1:] for part in module.split("_"))
        if not re.fullmatch(r"[a-z][a-z0-9_]*", module) or keyword.iskeyword(module):
            raise UsageError(
                "cannot be the name of a module",
                expected="a word of letters, digits and _, e.g. my_method",
                got=repr(self.name),
                next_step="Choose another name",
            )
        source = (files("wtal_core.methods") / "template.py").read_text(encoding="utf-8")
        texts = {
            self.out / f"{module}.py": source.replace("NewMethod", cls).replace("new_method", module),
            self.out / f"test_{module}.py": _TESTS.format(module=module, cls=cls),
        }
        there = next((path for path in texts if path.exists()), None)
        if there is not None:
            raise UsageError("is there already", where=there, next_step="Choose another name, or another --out")
        for path, text in texts.items():
            write_text(path, text)
        print(f"{' and '.join(map(str, texts))} written. Next, in that folder:")
        print(f"  wtal methods check {module}:{cls}")
        print(f"  wtal train {module}:{cls} --data DATASET --out runs/{module}")
        return 0


_TESTS = '''"""Contract tests of {cls}, those that wtal's own methods pass. Run: python -m pytest test_{module}.py"""

import pytest
from wtal_core.training.checks import CHECKS, Subject

from {module} import {cls}


@pytest.fixture(scope="module")
def subject():
    return Subject({cls})


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_contract(check, subject):
    check(subject)
'''
