"""The methods there are: those of this package, those of installed packages, and any class by its path.

A package of somebody else's offers methods by the entry point group `wtal.methods`::

    [project.entry-points."wtal.methods"]
    mine = "my_package.mine:Mine"

Any other class is named by its path, `my_package.mine:Mine`. Nothing here imports a method before it is asked for.
"""

from __future__ import annotations

import importlib
import sys
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wtal_core import settings
from wtal_core.errors import UsageError, unknown_name

if TYPE_CHECKING:
    from wtal_core.methods.base import Method

__all__ = ["GROUP", "create_method", "is_method", "list_methods", "method_class", "method_targets", "name_of"]

#: Entry point group of methods in other packages.
GROUP = "wtal.methods"

_OWN = {
    "acmnet": "wtal_core.methods.acmnet:ACMNet",
    "acn": "wtal_core.methods.acn:ACN",
    "cmcs": "wtal_core.methods.cmcs:CMCS",
    "deep_metric": "wtal_core.methods.deep_metric:DeepMetric",
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


def method_class(name: str) -> type[Method]:
    """Return the class of a method.

    Args:
        name: one of `list_methods()`, or the path of a class, `module:Class`. Modules of the current folder are found.

    Raises:
        UsageError: there is no such method (the nearest names are given), or the path leads to no method.
    """
    targets = method_targets()
    target = name if ":" in name else targets.get(name)
    if target is None:
        raise unknown_name("method", name, list(targets))
    return _load(target)


def _load(target: str) -> type[Method]:
    from wtal_core.methods.base import Method

    module_name, _, attribute = target.partition(":")

    def refuse(problem: str, got: str, step: str) -> UsageError:
        return UsageError(problem, expected="module:Class, a subclass of Method", got=got, where=target, next_step=step)

    if not attribute or not all(part.isidentifier() for part in (*module_name.split("."), *attribute.split("."))):
        raise refuse("is not the path of a class", repr(target), "Write e.g. my_package.mine:Mine")
    here = str(Path.cwd())
    added = here not in sys.path
    if added:
        sys.path.append(here)
    try:
        found: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except ModuleNotFoundError as error:
        raise refuse(
            "the module of this method is not there",
            str(error),
            "Install the package, or name the method from the folder that holds it",
        ) from error
    except AttributeError as error:
        raise refuse("the module has no such class", str(error), "Check the name behind the colon") from error
    except Exception as error:  # what somebody's module raises when it is imported
        raise refuse(
            "the module of this method cannot be imported", f"{type(error).__name__}: {error}", "Correct the module"
        ) from error
    finally:
        if added and here in sys.path:
            sys.path.remove(here)
    if not (isinstance(found, type) and issubclass(found, Method)):
        raise refuse("is not a method", type(found).__name__, "Derive the class from wtal_core.methods.Method")
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
