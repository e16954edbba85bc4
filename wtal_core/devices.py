"""Devices to compute on: their names, which of them this machine has, and waiting for one.

`torch` is imported by the functions that need it: a name can be checked without it.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wtal_core.errors import UsageError

if TYPE_CHECKING:
    import torch

__all__ = [
    "Device",
    "check_device",
    "choose_device",
    "device_name",
    "generator_state",
    "list_devices",
    "memory_bytes",
    "reproducible",
    "set_generator_state",
    "synchronize",
]


@dataclass(frozen=True, slots=True)
class Device:
    """A device to compute on.

    Args:
        id: what names it: cpu, cuda:0, mps.
        name: what people call it.
    """

    id: str
    name: str


def check_device(name: str) -> None:
    """Refuse what cannot name a device, wherever it may be.

    Raises:
        UsageError: it is none of auto, cpu, cuda, cuda:N and mps.
    """
    if re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", name) is None:
        raise UsageError(
            "unknown device",
            expected="auto, cpu, cuda, cuda:N or mps",
            got=repr(name),
            next_step="Leave the device at auto to take the best there is",
        )


def choose_device(name: str = "auto") -> torch.device:
    """Return the torch device of a name; "auto" prefers CUDA, then MPS.

    Raises:
        UsageError: the name is unknown or the device is not present.
    """
    import torch

    check_device(name)
    there = _present()
    if name == "auto":
        return torch.device(next(iter(there)).partition(":")[0])
    if name not in there and f"{name}:0" not in there:
        raise UsageError(
            "the device is not present on this machine",
            expected=" or ".join(["auto", *there]),
            got=repr(name),
            next_step="Use 'auto', which takes what is there",
            arguments=("device",),
        )
    return torch.device(name)


def list_devices() -> tuple[Device, ...]:
    """Return the devices of this machine, the one that "auto" takes first."""
    import torch

    return tuple(Device(name, device_name(torch.device(name))) for name in _present())


def device_name(device: torch.device) -> str:
    """Return a device as people know it."""
    import torch

    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)} ({device})"
    threads = torch.get_num_threads()
    cpu = f"CPU, {threads} thread{'s' if threads > 1 else ''}"
    return {"cpu": cpu, "mps": "Apple GPU (mps)"}.get(device.type, str(device))


def synchronize(device: torch.device) -> None:
    """Wait until a device has done what it was given; clocks are read after this."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def memory_bytes(device: torch.device) -> int | None:
    """Return the memory of a GPU: the most that was used (CUDA), or what is held now (Apple); None for a CPU."""
    import torch

    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return int(torch.mps.driver_allocated_memory()) if device.type == "mps" else None


def generator_state(device: torch.device) -> torch.Tensor | None:
    """Return the state of a GPU's random generator, on the CPU; None for the CPU, whose state `torch` keeps itself."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_rng_state(device)
    return torch.mps.get_rng_state() if device.type == "mps" else None


def set_generator_state(device: torch.device, state: torch.Tensor) -> None:
    """Give a GPU's random generator back a state of `generator_state`."""
    import torch

    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    elif device.type == "mps":
        torch.mps.set_rng_state(state)


@contextlib.contextmanager
def reproducible(device: torch.device) -> Iterator[None]:
    """Have a CUDA device add up in the same order every time, as CPUs do; then as before.

    PyTorch warns of an operation that has no such order.
    """
    import torch

    if device.type != "cuda":
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS is used for the first time
    before = torch.get_deterministic_debug_mode()
    memory: Any = torch.utils.deterministic
    convolutions, fill = torch.backends.cudnn.deterministic, memory.fill_uninitialized_memory
    torch.set_deterministic_debug_mode("warn")
    torch.backends.cudnn.deterministic = True
    memory.fill_uninitialized_memory = False  # which finds defects, and takes time
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(before)
        torch.backends.cudnn.deterministic = convolutions
        memory.fill_uninitialized_memory = fill


def _present() -> list[str]:
    """Return the names of the devices of this machine, the fastest first."""
    import torch

    graphics = [f"cuda:{i}" for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    return [*graphics, *(["mps"] if torch.backends.mps.is_available() else []), "cpu"]
