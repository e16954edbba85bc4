"""Names of devices, and which of them are there."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from wtal_core.devices import (
    check_device,
    choose_device,
    generator_state,
    list_devices,
    memory_bytes,
    reproducible,
    set_generator_state,
    synchronize,
)
from wtal_core.errors import UsageError


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda device=None: f"Imagined GPU {device.index}")
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)


@pytest.fixture
def apple(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)


@pytest.mark.parametrize("name", ["gpu", "", "cuda:", "cuda:x", "tpu7", "CPU", "cuda:-1"])
def test_what_is_no_device_is_refused(name: str) -> None:
    for refuse in (check_device, choose_device):
        with pytest.raises(UsageError, match=r"unknown device.*auto, cpu, cuda, cuda:N or mps"):
            refuse(name)


@pytest.mark.parametrize("name", ["cuda:2", "cuda:99", "cuda:00", "cuda:100000000000", "mps"])
def test_devices_that_are_not_there_are_refused(name: str, two_gpus: None) -> None:
    check_device(name)  # another machine may have it
    with pytest.raises(UsageError, match=r"not present.*auto or cuda:0 or cuda:1 or cpu"):
        choose_device(name)


def test_the_best_device_comes_first(two_gpus: None) -> None:
    assert choose_device() == torch.device("cuda")
    assert choose_device("cuda") == torch.device("cuda")
    assert choose_device("cuda:1") == torch.device("cuda", 1)
    assert choose_device("cpu") == torch.device("cpu")
    assert [d.id for d in list_devices()] == ["cuda:0", "cuda:1", "cpu"]
    assert list_devices()[1].name == "Imagined GPU 1 (cuda:1)"


def test_apple(apple: None) -> None:
    assert choose_device() == choose_device("mps") == torch.device("mps")
    assert [(d.id, d.name.split(",")[0]) for d in list_devices()] == [("mps", "Apple GPU (mps)"), ("cpu", "CPU")]
    with pytest.raises(UsageError, match="not present"):
        choose_device("cuda")


def test_waiting_for_the_right_device(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[str] = []
    monkeypatch.setattr("torch.cuda.synchronize", lambda device: waited.append(str(device)))
    monkeypatch.setattr("torch.mps.synchronize", lambda: waited.append("mps"))
    for name in ("cpu", "cuda:1", "mps"):
        synchronize(torch.device(name))
    assert waited == ["cuda:1", "mps"]


def test_generators_and_memory_are_those_of_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[object] = []
    state = torch.zeros(4, dtype=torch.uint8)
    monkeypatch.setattr("torch.cuda.get_rng_state", lambda device: state)
    monkeypatch.setattr("torch.mps.get_rng_state", lambda: state + 1)
    monkeypatch.setattr("torch.cuda.set_rng_state", lambda new, device: said.append((str(device), int(new[0]))))
    monkeypatch.setattr("torch.mps.set_rng_state", lambda new: said.append(("mps", int(new[0]))))
    monkeypatch.setattr("torch.cuda.max_memory_allocated", lambda device: 7)
    monkeypatch.setattr("torch.mps.driver_allocated_memory", lambda: 8)
    assert generator_state(torch.device("cpu")) is None
    for name in ("cuda:1", "mps"):
        found = generator_state(torch.device(name))
        assert found is not None
        set_generator_state(torch.device(name), found)
    assert said == [("cuda:1", 0), ("mps", 1)]
    assert [memory_bytes(torch.device(name)) for name in ("cpu", "cuda:1", "mps")] == [None, 7, 8]


def test_a_gpu_is_told_to_repeat_itself_and_told_off_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)

    def switches() -> tuple[object, ...]:
        fill = torch.utils.deterministic.fill_uninitialized_memory
        return torch.get_deterministic_debug_mode(), torch.backends.cudnn.deterministic, fill

    before = switches()
    with reproducible(torch.device("cpu")):
        assert switches() == before
        assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ
    with reproducible(torch.device("cuda")):
        assert switches() == (1, True, False)  # 1: warn of what cannot be repeated
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert switches() == before


def test_a_name_is_checked_without_torch() -> None:
    code = "import sys, wtal_core.devices as d; d.check_device('mps'); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
