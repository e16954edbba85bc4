"""By what rules a run's activations are localized: those of its method, or the generic ones where that is not known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wtal_core import settings
from wtal_core.localization import GenericLocalization, Proposals
from wtal_core.localization.generic import propose
from wtal_core.methods import method_class
from wtal_core.records import Activations, Detections

if TYPE_CHECKING:
    from wtal_core.runs.folder import Run

__all__ = ["Localizer", "localizer_of"]


@dataclass(frozen=True)
class Localizer:
    """Rules and settings that turn activations into detections; no model is needed.

    Args:
        propose: `({video: activations}, settings) -> proposals`, see `Method.propose`.
        settings: the run's own settings.
        generic: whether the rules are those for any activations.
    """

    propose: Callable[[Mapping[str, Activations], Any], Proposals]
    settings: Any
    generic: bool = False

    def detections(self, activations: Mapping[str, Activations], changed: Any = None) -> Detections:
        """Return the detections of many videos under the run's settings, or under changed ones."""
        if not activations:
            return Detections.empty()
        proposals = self.propose(activations, self.settings if changed is None else changed)
        kept = proposals.select(proposals.suppressed_by < 0)
        return kept.to_detections(list(activations), next(iter(activations.values())).classes)


def localizer_of(run: Run) -> Localizer:
    """Return the rules of a run.

    Raises:
        DataError: its settings are damaged.
    """
    if run.method_known:
        return Localizer(method_class(run.info.method).propose, run.config().localization)
    own = run.info.config.get("localization") or {}
    where = run.folder / "run.yaml"
    return Localizer(propose, settings.build(GenericLocalization, own, where), generic=True)
