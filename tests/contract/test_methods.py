"""What every registered method must do: the checks that `wtal methods check` runs on anybody's.

The registry is the parametrisation: a new method is tested by being listed.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from wtal_core.errors import DataError, UsageError
from wtal_core.methods import Batch, create_method, list_methods, method_class
from wtal_core.snippet_grid import SnippetGrid
from wtal_core.training.checks import CHECKS, DIM, Check, Subject, batch_of, features_of

METHODS = list_methods()


@pytest.fixture(scope="module", params=METHODS)
def subject(request: pytest.FixtureRequest) -> Subject:
    return Subject(request.param)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_contract(subject: Subject, check: Check) -> None:
    check(subject)


def test_published_methods_name_what_they_have(subject: Subject) -> None:
    assert "thumos14" in subject.cls.presets
    assert subject.cls.title != subject.cls.name
    assert subject.cls.quick
    assert subject.cls.views


def test_wrong_features_are_refused(subject: Subject) -> None:
    method = subject.method()
    for wrong in (np.zeros((0, DIM)), np.zeros((5, DIM + 1)), np.zeros(DIM), np.full((5, DIM), np.nan)):
        with pytest.raises(DataError):
            method.activations(wrong)
    with pytest.raises(DataError, match="snippet grid disagree"):
        method.activations(features_of(5), grid=SnippetGrid.preset("i3d-25fps-16", 6))


def test_unknown_settings_name_the_nearest(subject: Subject) -> None:
    name = subject.cls.name
    with pytest.raises(UsageError, match="Did you mean"):
        create_method(name, num_classes=2, **{"training.stepz": 3})
    with pytest.raises(UsageError, match="unknown preset"):
        create_method(name, num_classes=2, preset="thumos15")


def test_a_batch_equals_its_parts(subject: Subject) -> None:
    """Terms are means over videos (some over groups that share a class), CMCS's total is their sum."""
    name, method = subject.cls.name, subject.method().eval()
    whole, size = batch_of(labels=[[0]] * 4 + [[1]] * 4), {"co2net": 2, "deep_metric": 4, "delu": 2}.get(name, 1)
    lengths = whole.lengths.tolist()
    parts = []
    for i in range(0, len(lengths), size):
        rows, longest = slice(i, i + size), max(lengths[i : i + size])
        part = Batch.of(
            whole.features[rows, :longest], whole.labels[rows], whole.mask[rows, :longest], videos=whole.videos[rows]
        )
        parts.append(part)
    for stage in method.stages():
        together = method.losses(whole, stage=stage.name)
        alone = [method.losses(part, stage=stage.name) for part in parts]
        for term, value in together.items():
            if term in ("oic", "coherence_term"):  # for display: means over the proposals kept, not over videos
                continue
            each = torch.stack([losses[term] for losses in alone])
            expected = each.sum() if (name, term) == ("cmcs", "total") else each.mean()
            torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-5, msg=lambda m, k=term: f"{k}: {m}")


def test_the_registry_is_complete() -> None:
    assert METHODS == ["acmnet", "acn", "cmcs", "co2net", "cola", "deep_metric", "delu", "hamnet"]
    assert all(method_class(name).name == name for name in METHODS)
    with pytest.raises(UsageError, match="Did you mean 'hamnet'"):
        create_method("hamnett", num_classes=2)
