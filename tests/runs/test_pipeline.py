"""What follows a training: inference that was interrupted, and what it leaves."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from tests.planted import World
from wtal_core.methods.base import Method
from wtal_core.runs.folder import Run
from wtal_core.runs.pipeline import infer, stored_activations


def test_an_interrupted_inference_is_not_mixed_with_one_of_other_weights(
    acmnet: Run, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run.open(shutil.copytree(acmnet.folder, tmp_path / "run"))
    videos = world.videos("test")
    whole = stored_activations(run)
    content = run.load_checkpoint("last")
    torch.manual_seed(1)
    weights = {name: value + 0.1 * torch.randn(value.shape) for name, value in content["model"].items()}
    run.save_checkpoint("best", {"model": weights})

    def interrupted(self: Method, *given: object, video: str = "", **more: object) -> None:
        if video == videos[2]:
            raise KeyboardInterrupt
        return asked(self, *given, video=video, **more)  # type: ignore[arg-type, return-value]

    asked = Method.activations
    with monkeypatch.context() as patched:
        patched.setattr(type(run.new_method()), "activations", interrupted)
        with pytest.raises(KeyboardInterrupt):
            infer(run, world.store, videos, checkpoint="best", any_features=True, quiet=True)
    assert infer(run, world.store, videos, any_features=True, quiet=True).skipped == 0
    again = stored_activations(run)
    assert all((again[video].cas == whole[video].cas).all() for video in videos)
