from __future__ import annotations

import numpy as np
import pytest

from wtal_core.errors import UsageError
from wtal_core.evaluation import PROTOCOLS, GroundTruthIndex, bootstrap_map, evaluate, get_protocol, paired_bootstrap
from wtal_core.evaluation.benchmark import random_case
from wtal_core.evaluation.bootstrap import resampled_average_precision
from wtal_core.evaluation.matching import match
from wtal_core.records import Annotations, Detections, Segments, VideoInfo

LEVELS = (0.3, 0.5, 0.7)


def repeated(table, copies):
    """Return the rows of every video as often as it is drawn, copies of a video under names that sort together."""
    parts = []
    for video, count in copies.items():
        rows = table.for_video(video)
        columns = {name: getattr(rows, name) for name in rows._columns if name != "video"}
        parts += [type(table)(video=[f"{video}#{k}"] * len(rows), **columns) for k in range(count) if len(rows)]
    return type(table).concat(parts)


def copied(table, truth, drawn):
    """Return detections and annotations in which every video stands as often as it is drawn."""
    annotated = Annotations(
        classes=truth.classes,
        videos={f"{v}#{k}": VideoInfo() for v, count in drawn.items() for k in range(count)},
        instances=repeated(truth.instances, drawn),
        ambiguous=repeated(truth.ambiguous, drawn),
    )
    return repeated(table, drawn), annotated


@pytest.mark.parametrize("protocol", list(PROTOCOLS))
def test_weights_are_copies_of_videos(protocol):
    """The weighted AP is that of a data set in which the drawn videos really stand several times."""
    detections, truth = random_case(600, 20, 3, seed=5)
    copies = np.random.default_rng(0).multinomial(20, np.full(20, 1 / 20), size=4).T
    assert copies.max() >= 3
    index = GroundTruthIndex(truth)
    matching = match(detections, index, get_protocol(protocol), LEVELS)
    ap = resampled_average_precision(matching, copies)
    for b in range(4):
        drawn = dict(zip(index.videos, copies[:, b].tolist(), strict=True))
        expected = evaluate(*copied(detections, truth, drawn), protocol=protocol, tiou=LEVELS).ap
        np.testing.assert_allclose(ap[:, :, b], expected.to_numpy().T, atol=1e-12)


@pytest.mark.parametrize("protocol", list(PROTOCOLS))
def test_estimate_is_the_evaluation(protocol):
    detections, truth = random_case(1500, 40, 4, seed=2)
    detections = Detections.concat(
        [detections, Detections(["elsewhere"] * 3, truth.classes[0], [0.0] * 3, [1.0] * 3, [9.0, 0.0, -9.0])]
    )
    result = bootstrap_map(detections, truth, protocol=protocol, tiou=LEVELS, resamples=200)
    evaluation = evaluate(detections, truth, protocol=protocol, tiou=LEVELS)
    assert result.index.tolist() == [*LEVELS, "average"]
    np.testing.assert_allclose(result["map"], [*evaluation.mean_ap.values(), evaluation.average], atol=1e-12)
    assert (result["low"] <= result["map"]).all()
    assert (result["map"] <= result["high"]).all()
    assert (result["sd"] > 0).all()


def test_same_seed_same_result_whatever_the_parts(monkeypatch):
    detections, truth = random_case(300, 15, 2, seed=2)
    whole = bootstrap_map(detections, truth, resamples=50, seed=3)
    monkeypatch.setattr("wtal_core.evaluation.bootstrap.CHUNK_NUMBERS", 2000)
    assert bootstrap_map(detections, truth, resamples=50, seed=3).equals(whole)
    assert not bootstrap_map(detections, truth, resamples=50, seed=4).equals(whole)


def test_paired_bootstrap_tells_better_from_equal():
    detections, truth = random_case(2000, 60, 3, seed=1)
    rng = np.random.default_rng(0)

    def with_scores(score):
        return Detections(detections.video, detections.label, detections.start, detections.end, score)

    noisy = with_scores(detections.score + rng.normal(0, 3, len(detections)))
    worse = paired_bootstrap(detections, noisy, truth, tiou=LEVELS, resamples=300)
    assert (worse["difference"] < 0).all()
    assert (worse["high"] < 0).all()
    assert (worse["p_value"] < 0.03).all()
    assert worse.loc["average", "p_value"] == pytest.approx(2 / 301)
    np.testing.assert_allclose(worse["difference"], worse["second"] - worse["first"])
    same = paired_bootstrap(detections, detections, truth, tiou=LEVELS, resamples=50)
    assert same["difference"].tolist() == [0.0] * 4
    assert same["p_value"].tolist() == [1.0] * 4
    jittered = with_scores(detections.score + rng.normal(0, 0.02, len(detections)))
    assert paired_bootstrap(detections, jittered, truth, tiou=0.5, resamples=300).loc["average", "p_value"] > 0.05


def test_p_values_are_those_of_the_definition():
    """Videos drawn, tables copied and evaluated one resample at a time, p counted by hand."""
    detections, truth = random_case(120, 8, 2, seed=5)
    other = detections[np.arange(120) % 4 > 0]
    resamples, seed = 30, 11
    found = paired_bootstrap(detections, other, truth, tiou=LEVELS, resamples=resamples, seed=seed)
    rng = np.random.default_rng(seed)
    videos = list(truth.videos)
    copies = rng.multinomial(len(videos), [1 / len(videos)] * len(videos), size=resamples)
    differences = []
    for number in copies:
        maps = []
        for table in (detections, other):
            drawn, annotated = copied(table, truth, dict(zip(videos, number.tolist(), strict=True)))
            maps.append(list(evaluate(drawn, annotated, tiou=LEVELS, matches=False).mean_ap.values()))
        differences.append(np.subtract(maps[1], maps[0]))
    spread = np.array(differences)
    spread = np.concatenate([spread, spread.mean(axis=1, keepdims=True)], axis=1)  # (B, S + 1)
    for column, (_, row) in enumerate(found.iterrows()):
        values = spread[:, column]
        tail = min((values <= 0).sum(), (values >= 0).sum())
        assert row["p_value"] == pytest.approx(min(1.0, 2 * (1 + tail) / (resamples + 1)))
        assert (row["low"], row["high"]) == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])))


def test_p_values_are_uniform_where_there_is_no_difference():
    """Two systems of the same quality on fresh videos each time: p < alpha happens about alpha of the time."""
    rng = np.random.default_rng(0)
    count, trials = 60, 150
    videos = [f"v{i:03d}" for i in range(count)]
    truth = Annotations(
        classes=("a",),
        videos={v: VideoInfo() for v in videos},
        instances=Segments(videos, "a", np.zeros(count), np.ones(count)),
    )
    index = GroundTruthIndex(truth)

    def system():
        start = np.where(rng.random(count) < 0.6, 0.0, 5.0)  # right in 60 % of the videos, whatever its scores say
        return Detections(videos, "a", start, start + 1, rng.random(count))

    p = np.array([
        paired_bootstrap(system(), system(), index, tiou=0.5, resamples=199, seed=t).loc["average", "p_value"]
        for t in range(trials)
    ])  # fmt: skip
    for alpha in (0.05, 0.1, 0.25, 0.5, 0.75):
        error = 3 * np.sqrt(alpha * (1 - alpha) / trials)  # three standard errors of a share
        assert np.mean(p <= alpha) == pytest.approx(alpha, abs=error + 0.02), alpha


def test_interval_covers_the_truth_of_a_known_case():
    """One detection a video, right in half of them: AP at equal scores is known, its spread is binomial."""
    videos = [f"v{i:03d}" for i in range(200)]
    truth = Annotations(
        classes=("a",),
        videos={v: VideoInfo() for v in videos},
        instances=Segments(videos, "a", np.zeros(200), np.ones(200)),
    )
    right = np.arange(200) % 2 == 0
    start = np.where(right, 0.0, 5.0)
    score = np.where(right, 1.0, 0.5) + np.arange(200) * 1e-4  # right ones first: AP = share of right videos
    result = bootstrap_map(Detections(videos, "a", start, start + 1, score), truth, tiou=0.5, resamples=2000)
    assert result.loc[0.5, "map"] == 0.5
    assert result.loc[0.5, "sd"] == pytest.approx(np.sqrt(0.25 / 200), rel=0.1)
    assert (result.loc[0.5, "low"], result.loc[0.5, "high"]) == pytest.approx((0.43, 0.57), abs=0.011)


def test_nothing_detected():
    _, truth = random_case(10, 5, 2)
    result = bootstrap_map(Detections.empty(), truth, resamples=5)
    assert (result[["map", "low", "high", "sd"]] == 0).all(axis=None)


@pytest.mark.parametrize("change", [{"resamples": 0}, {"confidence": 1.0}, {"confidence": 0.0}])
def test_bad_arguments(change):
    with pytest.raises(UsageError, match="bootstrap"):
        bootstrap_map(Detections.empty(), random_case(10, 5, 2)[1], **change)


def test_a_resample_without_instances_is_drawn_again():
    """One video of six is annotated: a third of all draws miss it, and no mAP is not a mAP of 0."""
    truth = Annotations(("a",), {str(i): VideoInfo() for i in range(6)}, Segments("0", "a", [0.0, 5.0], [4.0, 9.0]))
    both = Detections("0", "a", [0.0, 5.0], [4.0, 9.0], [1.0, 0.5])
    one = Detections("0", "a", [0.0], [4.0], [1.0])
    found = bootstrap_map(both, truth, tiou=0.5, resamples=200)
    assert found.loc["average", ["low", "high", "sd"]].tolist() == [1.0, 1.0, 0.0]
    paired = paired_bootstrap(both, one, truth, tiou=0.5, resamples=200)
    assert paired.loc["average", ["low", "high"]].tolist() == [-0.5, -0.5]
    assert paired.loc["average", "p_value"] == pytest.approx(2 / 201)
