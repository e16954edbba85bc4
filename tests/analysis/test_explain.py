"""Verdicts and explanations of detections."""

from __future__ import annotations

import pytest
import torch

from wtal_core.analysis.explain import Near, explain, judge
from wtal_core.analysis.live import LiveSplit, localize_video
from wtal_core.methods import create_method, method_class
from wtal_core.records import Annotations, Detections, Segments, VideoInfo
from wtal_core.runs.localizer import Localizer
from wtal_core.settings import override
from wtal_core.training.planted import CLASSES, World


def _case() -> tuple[Annotations, Detections]:
    infos = {"a": VideoInfo(subset="test", duration=60), "b": VideoInfo(subset="test", duration=60)}
    truth = Segments(["a", "a", "b"], ["Dive", "Jump", "Dive"], [10, 30, 5], [20, 40, 9])
    rows = Detections(
        "a", ["Dive", "Dive", "Dive", "Jump"], [10, 11, 31, 50], [19, 20, 40, 55], [0.9, 0.8, 0.7, 0.6], ""
    )
    return Annotations(classes=CLASSES, videos=infos, instances=truth), rows


def test_verdicts_know_doubles_wrong_classes_and_misses() -> None:
    annotations, rows = _case()
    verdicts = judge(rows, annotations, "a", tiou=0.5)
    assert verdicts.outcome == ("tp", "fp", "fp", "fp")
    assert verdicts.missed.label.tolist() == ["Jump"]
    assert verdicts.near[0] == Near("Dive", 10, 20, pytest.approx(0.9))
    assert verdicts.near[1] is not None
    assert verdicts.near[1].label == "Dive"
    assert verdicts.near[2] == Near("Jump", 30, 40, pytest.approx(0.9))
    assert verdicts.near[3] is None


def test_a_video_without_truth_has_false_positives_only() -> None:
    annotations, rows = _case()
    alone = annotations.only(["a"])
    bare = Annotations(classes=CLASSES, videos=alone.videos, instances=Segments.empty())
    verdicts = judge(rows, bare, "a")
    assert set(verdicts.outcome) == {"fp"}
    assert len(verdicts.missed) == 0


def test_explanations_name_suppressed_rivals(world: World, split: LiveSplit) -> None:
    video = next(iter(split.activations))
    acts = split.activations[video]
    result = localize_video(split.localizer, video, acts, split.settings({"class_threshold": 0.0}))
    explained = explain(result, acts, judge(result.detections, world.annotations, video))
    assert [e.score for e in explained] == sorted((e.score for e in explained), reverse=True)
    suppressed = int((result.proposals.suppressed_by >= 0).sum())
    assert suppressed > 0
    assert sum(e.num_rivals for e in explained) == suppressed
    with_rivals = next(e for e in explained if e.num_rivals)
    assert all(r.score <= with_rivals.score for r in with_rivals.rivals)


def test_soft_suppression_says_what_lowered_a_score(world: World) -> None:
    video = world.videos("test")[0]
    torch.manual_seed(1)
    method = create_method("hamnet", classes=CLASSES, feature_dim=world.store.dim, attention_filters=8).eval()
    acts = method.activations(world.store.read(video).data, grid=world.store.grid(video))
    settings = override(method.config.localization, {"class_threshold": 0.0})
    localizer = Localizer(method_class("hamnet").propose, settings)
    result = localize_video(localizer, video, acts, settings)
    hard = localize_video(localizer, video, acts, override(settings, {"suppression": "none"}))
    explained = explain(result, acts, judge(result.detections, world.annotations, video), most=10_000)
    assert all(e.soft for e in explained)
    lowered = [e for e in explained if e.lowered_by is not None]
    assert lowered
    before = {
        (e.label, e.start, e.end, e.threshold): e.score
        for e in explain(hard, acts, judge(hard.detections, world.annotations, video), most=10_000)
    }
    for e in explained:
        assert e.raw_score == pytest.approx(before[e.label, e.start, e.end, e.threshold])
    assert all(abs(e.score) < abs(e.raw_score) for e in lowered)
    assert sum(e.num_rivals for e in explained) == len(lowered)
