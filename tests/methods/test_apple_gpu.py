"""Every method on a pretended Apple GPU: no float64 there, and no mixing with tensors that are on the CPU.

The tensors lie on the CPU; a mode over all of torch's functions remembers which of them would be on the GPU, says so
where `device` is asked for, and refuses what such a GPU refuses. What only its kernels know is not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from wtal_core.methods import Batch, Method, Recipe, Visit, create_method, list_methods
from wtal_core.training.corpus import Corpus
from wtal_core.training.planted import CLASSES, make_world

MPS, CPU = torch.device("mps"), torch.device("cpu")
D = 32
SMALL: dict[str, dict[str, Any]] = {
    "acmnet": {"training.snippets": 20}, "acn": {"hidden": 4, "anchors": (1, 2, 4)}, "cmcs": {"filters": 8},
    "cola": {"width": 16, "training.snippets": 20}, "co2net": {"attention_filters": 8, "training.snippets": 20},
    "delu": {"attention_filters": 8, "training.snippets": 20},
    "deep_metric": {}, "hamnet": {"attention_filters": 8},
}  # fmt: skip
ELSEWHERE = ("cpu", "to", "copy_", "type_as", "load_state_dict")


class PretendedGPU(TorchFunctionMode):
    """Remembers which tensors are on the GPU, and refuses what cannot be done with them."""

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(function, "__name__", "")
        tensors = list(_tensors((args, kwargs)))
        there = [t for t in tensors if _marked(t)]
        if name == "__get__" and getattr(function, "__self__", None) is Tensor.device:
            return MPS if there else function(*args, **kwargs)
        if name in ("numpy", "__array__") and there:
            raise TypeError("can't convert mps:0 device type tensor to numpy")
        if name in ("cpu", "to"):
            return self._move(function, name, args, kwargs)
        wanted = kwargs.get("device")
        if wanted is not None and torch.device(wanted).type == "mps":
            kwargs["device"] = CPU
            return _mark(function(*args, **kwargs))
        if name not in ELSEWHERE and there:
            self._refuse_mixing(name, args, tensors)
        result = function(*args, **kwargs)
        on_cpu = wanted is not None and torch.device(wanted).type == "cpu"
        return _mark(result) if there and not on_cpu else result

    @staticmethod
    def _move(function: Callable[..., Any], name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        tensor, *rest = args
        devices = [torch.device(r) for r in (*rest, kwargs.get("device")) if isinstance(r, torch.device | str)]
        others = [r for r in rest if isinstance(r, Tensor)]
        target = "cpu" if name == "cpu" else devices[0].type if devices else None
        gpu = _marked(tensor) if target is None else target == "mps"
        gpu = _marked(others[0]) if others else gpu
        rest = [r for r in rest if not isinstance(r, torch.device | str)]
        kwargs.pop("device", None)
        with torch._C.DisableTorchFunction():
            result: Tensor = tensor.to(*rest, **kwargs) if rest or kwargs else tensor
            result = result.view_as(result)  # another object than the one that stays where it is
        if gpu and kwargs.get("non_blocking"):
            raise AssertionError("a copy that is not waited for may read memory that is free again")
        if gpu and not _marked(tensor) and tensor.dtype == torch.float64:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64")
        return _mark(result) if gpu else result

    @staticmethod
    def _refuse_mixing(name: str, args: tuple[Any, ...], tensors: list[Tensor]) -> None:
        home = [t for t in tensors if not _marked(t) and t.ndim > 0]
        if name in ("__getitem__", "__setitem__") and _marked(args[0]):
            home = [t for t in _tensors(args[2:]) if not _marked(t) and t.ndim > 0 and list(_tensors(args[1]))]
        if home:
            raise RuntimeError(f"{name}: Expected all tensors to be on the same device, but found mps:0 and cpu")


def _marked(tensor: Tensor) -> bool:
    return bool(tensor.__dict__.get("on_gpu", False))


def _mark(value: Any) -> Any:
    for tensor in _tensors(value):
        if tensor.dtype == torch.float64:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64")
        tensor.__dict__["on_gpu"] = True
    return value


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _tensors(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _tensors(inner)


def on_gpu(method: Method) -> Method:
    for tensor in (*method.parameters(), *method.buffers()):
        _mark(tensor)
    return method


def batch(dim: int = D) -> Batch:
    generator = torch.Generator().manual_seed(1)
    lengths = torch.tensor([12, 9, 5, 12])
    features = torch.rand(4, 12, dim, generator=generator)
    mask = torch.arange(12)[None] < lengths[:, None]
    labels = torch.eye(3)[torch.tensor([0, 0, 1, 1])]
    return Batch.of(features * mask[..., None], labels, mask=mask, videos=("a", "b", "c", "d"))


@pytest.fixture
def gpu() -> Iterator[None]:
    with PretendedGPU():
        yield


def test_the_pretended_gpu_refuses_what_a_real_one_refuses(gpu: None) -> None:
    there = torch.ones(3).to("mps")
    assert there.device == (there + 1).device == MPS
    assert there.cpu().device == there.to("cpu").device == CPU
    assert (there.sum() * torch.tensor(2.0)).item() == 6.0
    refused: list[Callable[[], Any]] = [
        lambda: there.double(), lambda: there.to(torch.float64), lambda: torch.ones(3, dtype=torch.float64).to("mps"),
        lambda: there + torch.ones(3), lambda: there.numpy(), lambda: torch.cat([there, torch.ones(1)]),
        lambda: torch.zeros(2, dtype=torch.float64, device="mps"), lambda: there.cumsum(0, dtype=torch.float64),
        lambda: torch.ones(3)[there.long()],
    ]  # fmt: skip
    for act in refused:
        with pytest.raises((TypeError, RuntimeError)):
            act()


@pytest.mark.parametrize("name", list_methods())
def test_training_and_inference_stay_within_what_the_gpu_can(name: str) -> None:
    torch.manual_seed(0)
    method = create_method(name, classes=CLASSES, feature_dim=D, **SMALL[name])
    features = np.random.default_rng(0).random((40, D))  # float64, as numpy makes them
    expected = method.activations(features, video="v")
    with PretendedGPU():
        on_gpu(method)
        assert method.device == MPS
        for stage in method.stages():
            whole = [Batch.of(torch.rand(1, n, D), torch.zeros(1, len(CLASSES))).to(MPS) for n in (9, 20)]
            with torch.no_grad():
                method.prepare(stage.name, whole)
            moved = batch().to(MPS)
            method.train()
            losses = method.losses(moved, stage=stage.name)
            assert all(np.isfinite(float(value.detach())) for value in losses.values())
            assert losses["total"].device == MPS
        found = method.activations(features, video="v")
    method.losses(batch())["total"].backward()
    assert found.cas.shape == expected.cas.shape
    assert isinstance(found.cas, np.ndarray)
    if name != "acn":  # its constants were learnt in between
        np.testing.assert_allclose(found.cas, expected.cas, atol=1e-5)


@pytest.mark.parametrize("residence", ["device", "host", "disk"])
def test_batches_come_to_the_gpu_from_wherever_features_are(residence: str, gpu: None) -> None:
    world = make_world(num_train=6, num_test=2)
    corpus = Corpus.load(
        world.store, world.annotations, world.videos("training"), device="mps", residence=residence, quiet=True
    )
    assert corpus.where == {"device": "mps", "host": "cpu", "disk": "disk"}[residence]
    visit = Visit(np.array([0, 3]), np.array([-1, 1]), np.ones(2, dtype=np.float32))
    method = create_method("hamnet", classes=CLASSES, feature_dim=world.store.dim)
    for rule, snippets in (("all", 0), ("cells", 12)):
        found = corpus.batch(visit, method, Recipe(sampling=rule, snippets=snippets), np.random.default_rng(0))
        parts = (found.features, found.labels, found.mask, found.weights, found.background, found.positions)
        assert {str(part.device) for part in parts} == {"mps"}
    assert {str(video.features.device) for video in corpus.whole_videos()} == {"mps"}
