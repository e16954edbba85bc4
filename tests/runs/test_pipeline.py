"""What follows a training: inference that was interrupted, and what it leaves."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from wtal_core.methods.base import Method
from wtal_core.records import Activations, Detections
from wtal_core.runs import pipeline
from wtal_core.runs.folder import Run
from wtal_core.runs.localizer import Localizer
from wtal_core.runs.pipeline import infer, localize, stored_activations
from wtal_core.training.planted import World


@pytest.mark.parametrize("go_on", [True, False], ids=["keep", "afresh"])
def test_an_interrupted_inference_is_not_mixed_with_one_of_other_weights(
    acmnet: Run, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, go_on: bool
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
    kept = stored_activations(run)
    assert all((kept[video].cas == whole[video].cas).all() for video in videos)  # until the new ones are complete
    if go_on:
        assert infer(run, world.store, videos, any_features=True, keep=True, quiet=True).computed == 0  # of "last"
        done = infer(run, world.store, videos, checkpoint="best", any_features=True, keep=True, quiet=True)
        assert done.skipped == 2
        assert not any((stored_activations(run)[video].cas == whole[video].cas).all() for video in videos)
    else:
        assert infer(run, world.store, videos, any_features=True, quiet=True).skipped == 0
        again = stored_activations(run)
        assert all((again[video].cas == whole[video].cas).all() for video in videos)
    assert not [path.name for path in run.folder.iterdir() if path.name.startswith(".")]


def test_localizing_part_by_part_is_localizing_all(acmnet: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = localize(acmnet, activations=stored_activations(acmnet), store=False)
    held: list[int] = []
    asked = Localizer.detections

    def counted(self: Localizer, activations: Mapping[str, Activations], changed: object = None) -> Detections:
        held.append(len(activations))
        return asked(self, activations, changed)

    monkeypatch.setattr(Localizer, "detections", counted)
    monkeypatch.setattr(pipeline, "_VIDEOS_AT_ONCE", 2)
    assert localize(acmnet, store=False).by_video() == whole.by_video()
    assert max(held) == 2
    assert sum(held) == len(stored_activations(acmnet))
