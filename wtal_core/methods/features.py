"""What snippet features a method takes: RGB and optical flow are the halves of the channels, where it splits them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wtal_core import settings
from wtal_core.records import Provenance

__all__ = ["Refusal", "may_be_rgb_and_flow", "refused_streams", "splits_streams"]


@dataclass(frozen=True)
class Refusal:
    """Why a method does not take features.

    Args:
        message: what is the matter, one sentence.
        expected, got: what the method takes, and what these are.
        next_step: what to do.
        remedy: changes of settings that go around it, {} where there are none.
        remedy_name: what the remedy does, for a button.
    """

    message: str
    expected: str = ""
    got: str = ""
    next_step: str = "Choose other features, or another method"
    remedy: Mapping[str, Any] = field(default_factory=dict)
    remedy_name: str = ""


def splits_streams(config: Any) -> bool:
    """Return whether a method of this config takes halves of the channels for RGB and flow."""
    return bool(getattr(config, "splits_streams", False))


def may_be_rgb_and_flow(provenance: Provenance, dim: int) -> bool:
    """Return whether the halves of `dim` channels can be RGB and flow; features that name no streams are believed."""
    names, widths = [name for name, _ in provenance.modalities], [width for _, width in provenance.modalities]
    return dim % 2 == 0 and (not names or (widths == [dim // 2] * 2 and names != ["flow", "rgb"]))


def refused_streams(config: Any, provenance: Provenance, dim: int) -> Refusal | None:
    """Return why features are refused that are known not to be RGB and flow where the config splits them, else None.

    Args:
        config: of a method.
        provenance: what made the features; where it names no streams, they are taken as they are.
        dim: channels of the features.
    """
    if not splits_streams(config) or may_be_rgb_and_flow(provenance, dim):
        return None
    have = " + ".join(f"{name} ({width})" for name, width in provenance.modalities)
    whole = not splits_streams(settings.override(config, {"streams": "both"}))
    return Refusal(
        "the features are not RGB and flow of the same width, which this setting of the method takes apart",
        expected=f"RGB in the first half of {dim} channels, flow in the second",
        got=have or f"{dim} channels",
        next_step="Extract both (wtal extract, backbone i3d), or choose what takes channels as they come",
        remedy={"streams": "both"} if whole else {},
        remedy_name="Train on all channels" if whole else "",
    )
