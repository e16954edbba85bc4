"""What would stop a training after it was started, said before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from wtal_core.data.dataset import Dataset
from wtal_core.methods import Method, Recipe

__all__ = ["Obstacle", "preflight"]


@dataclass(frozen=True)
class Obstacle:
    """Why a training would fail.

    Args:
        message: what is the matter, one sentence.
        remedy: changes of settings that go around it, {} where there are none.
        remedy_name: what the remedy does, for a button.
    """

    message: str
    remedy: Mapping[str, Any] = field(default_factory=dict)
    remedy_name: str = ""


def preflight(
    dataset: Dataset, method: type[Method], config: Any, *, split: str = "train", features: str | None = None
) -> list[Obstacle]:
    """Return what would stop a training of `config` on a data set, [] where nothing is known to.

    Raises:
        DataError: the data set cannot be read.
    """
    found = []
    if not dataset.feature_names:
        found.append(Obstacle("The data set has no features yet: extract or import them on the Data page."))
    if split not in dataset.splits:
        names = ", ".join(dataset.splits) or "none"
        found.append(Obstacle(f"The data set has no split “{split}” to train on (it has: {names})."))
    elif not dataset.videos(split):
        found.append(Obstacle(f"The split “{split}” has no videos."))
    recipes = [item.name for item in fields(config) if isinstance(getattr(config, item.name), Recipe)]
    wanting = [name for name in recipes if getattr(config, name).hard_negatives]
    static = dataset.annotations.tracks.get("static")
    if wanting and (static is None or not len(static)):
        found.append(
            Obstacle(
                "This preset trains on static clips of the videos as background, and the data set has none. "
                "Mine them on the Data page, or train without them.",
                {f"{name}.hard_negatives": False for name in wanting},
                "Train without static clips",
            )
        )
    if dataset.feature_names:
        with dataset.store(features) as store:
            refusal = method.accepts(config, store)
        if refusal is not None:
            have = f": {refusal.got}" if refusal.got else ""
            message = f"{refusal.message[:1].upper()}{refusal.message[1:]}{have}."
            found.append(Obstacle(message, refusal.remedy, refusal.remedy_name))
    return found
