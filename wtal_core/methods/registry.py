"""The methods there are: those of this package, those of installed packages, and any class by its path.

A package of somebody else's offers methods by the entry point group `wtal.methods`::

    [project.entry-points."wtal.methods"]
    mine = "my_package.mine:Mine"

Any other class is named by its path, `my_package.mine:Mine`; modules are also looked for in the current folder and in
the workspace (`$WTAL_HOME`). Nothing here imports a method before it is asked for: what a list shows of one is read
from its source.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import os
import sys
from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import PathFinder
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wtal_core import settings
from wtal_core.errors import UsageError, unknown_name

if TYPE_CHECKING:
    from wtal_core.methods.base import Method

__all__ = [
    "GROUP",
    "Outline",
    "create_method",
    "is_method",
    "list_methods",
    "method_class",
    "method_targets",
    "name_of",
    "outline",
    "spelling",
    "target_of",
]

#: Entry point group of methods in other packages.
GROUP = "wtal.methods"

_OWN = {
    "acmnet": "wtal_core.methods.acmnet:ACMNet",
    "acn": "wtal_core.methods.acn:ACN",
    "cmcs": "wtal_core.methods.cmcs:CMCS",
    "co2net": "wtal_core.methods.co2net:CO2Net",
    "cola": "wtal_core.methods.cola:CoLA",
    "deep_metric": "wtal_core.methods.deep_metric:DeepMetric",
    "delu": "wtal_core.methods.delu:DELU",
    "hamnet": "wtal_core.methods.hamnet:HAMNet",
}


@lru_cache(maxsize=1)
def _installed() -> dict[str, str]:
    return {point.name: point.value for point in entry_points(group=GROUP)}


def method_targets() -> dict[str, str]:
    """Return `{name: "module:Class"}` of the methods that have a name: this package's, then installed ones."""
    return _OWN | {name: target for name, target in sorted(_installed().items()) if name not in _OWN}


def list_methods() -> list[str]:
    """Return the names of all methods, sorted."""
    return sorted(method_targets())


def spelling() -> str:
    """Return how a method is named, for help texts."""
    return f"{' | '.join(list_methods())}, or module:Class"


def is_method(name: str) -> bool:
    """Whether `method_class` finds a method of this name."""
    if ":" not in name:
        return name in method_targets()
    try:
        return bool(method_class(name))
    except UsageError:
        return False


def name_of(method: type[Method]) -> str:
    """Return what `method_class` finds a class by: its registered name, else its path."""
    target = f"{method.__module__}:{method.__qualname__}"
    return next((name for name, known in method_targets().items() if known == target), target)


def target_of(name: str) -> str:
    """Return the path `module:Class` of a method, without importing it.

    Args:
        name: one of `list_methods()`, or a path.

    Raises:
        UsageError: there is no such name (the nearest are given), or it is not a path.
    """
    targets = method_targets()
    if ":" not in name and name not in targets:
        raise unknown_name("method", name, list(targets))
    target = name if ":" in name else targets[name]
    module, _, attribute = target.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), *attribute.split("."))):
        raise _refusal(target, "is not the path of a class", repr(target), "Write e.g. my_package.mine:Mine")
    return target


def method_class(name: str) -> type[Method]:
    """Return the class of a method.

    Args:
        name: one of `list_methods()`, or the path of a class, `module:Class`.

    Raises:
        UsageError: there is no such method (the nearest names are given), or the path leads to no method.
    """
    from wtal_core.methods.base import Method

    target = target_of(name)
    module, _, attribute = target.partition(":")
    _look_around()
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except AttributeError as error:
        raise _refusal(target, "the module has no such class", str(error), "Check the name behind the colon") from error
    except Exception as error:  # what somebody's module raises when it is imported
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing and f"{module}.".startswith(f"{missing}."):
            step = "Install the package, or name the method from the folder that holds it"
            raise _refusal(target, "the module of this method is not there", str(error), step) from error
        got = f"{type(error).__name__}: {error}"
        raise _refusal(
            target, "the module of this method cannot be imported", got, "Correct the module, or install what it needs"
        ) from error
    if not (isinstance(found, type) and issubclass(found, Method)):
        step = "Derive the class from wtal_core.methods.Method"
        raise _refusal(target, "is not a method", type(found).__name__, step)
    return found


def _refusal(target: str, problem: str, got: str, step: str) -> UsageError:
    return UsageError(problem, expected="module:Class, a subclass of Method", got=got, where=target, next_step=step)


def _look_around() -> None:
    """Let modules of the current folder and of the workspace be found, after everything that is installed."""
    for folder in (str(Path.cwd()), os.environ.get("WTAL_HOME")):
        if folder and folder not in sys.path:
            sys.path.append(folder)


@dataclass(frozen=True)
class Outline:
    """What a list shows of a method.

    Args:
        name: what it is called by.
        title: as papers cite it; the name of its class where its source does not say.
        presets: names of its presets, () where its source does not say.
    """

    name: str
    title: str
    presets: tuple[str, ...]


def outline(name: str) -> Outline:
    """Return what a list shows of a method, read from its source: importing it costs seconds (PyTorch).

    Raises:
        UsageError: there is no such name.
    """
    module, _, attribute = target_of(name).partition(":")
    _look_around()
    values = _class_values(module, attribute)
    title, presets = values.get("title"), values.get("presets")
    keys = presets.keys if isinstance(presets, ast.Dict) else []
    return Outline(
        name,
        title.value if isinstance(title, ast.Constant) and isinstance(title.value, str) else attribute,
        tuple(str(key.value) for key in keys if isinstance(key, ast.Constant)),
    )


def _class_values(module: str, name: str) -> dict[str, ast.expr]:
    """Return what a class's body assigns to names, unevaluated; {} where its source cannot be read."""
    top, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
        for part in rest:
            spec = PathFinder.find_spec(part, spec.submodule_search_locations) if spec else None
        body = ast.parse(Path(str(spec.origin if spec else "")).read_bytes()).body
    except (OSError, SyntaxError, ValueError, ImportError):
        return {}
    found: dict[str, ast.expr] = {}
    for node in (n for c in body if isinstance(c, ast.ClassDef) and c.name == name for n in c.body):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id: node.value for target in targets if isinstance(target, ast.Name)}
    return found


def create_method(
    name: str,
    *,
    num_classes: int | None = None,
    feature_dim: int | None = None,
    preset: str | None = None,
    classes: tuple[str, ...] | None = None,
    **config: Any,
) -> Method:
    """Build a method with fresh weights.

    Args:
        name: one of `list_methods()`, or `module:Class`.
        num_classes: number of action classes C; may be left out when `classes` is given.
        feature_dim: channels D of the snippet features (all streams together); default 2048.
        preset: one of the method's presets: the values of its paper and official code for that data set; default its
            first.
        classes: class names in channel order.
        **config: settings that differ from the preset; keys of the method's config, nested ones dotted or as mappings.

    Raises:
        UsageError: unknown method, preset or setting (the nearest names are given), or a value out of range.
    """
    cls = method_class(name)
    resolved = settings.override(cls.preset_config(preset), config)
    if num_classes is None:
        if not classes:
            raise UsageError(
                "the number of classes is not known",
                expected="num_classes or classes",
                where=name,
                next_step="Give one of the two",
            )
        num_classes = len(classes)
    return cls(num_classes, 2048 if feature_dim is None else feature_dim, resolved, classes)
