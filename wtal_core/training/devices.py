"""Which devices there are, by the names that people know."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from wtal_core.training.loop import choose_device, device_name

__all__ = ["Device", "list_devices"]


@dataclass(frozen=True, slots=True)
class Device:
    """A device to compute on.

    Args:
        id: what `--device` takes: cpu, cuda:0, mps.
        name: what people call it.
    """

    id: str
    name: str


def list_devices() -> tuple[Device, ...]:
    """Return the devices of this machine, the one that "auto" takes first."""
    found = [f"cuda:{i}" for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    found += ["mps"] if torch.backends.mps.is_available() else []
    return tuple(Device(name, device_name(choose_device(name))) for name in [*found, "cpu"])
