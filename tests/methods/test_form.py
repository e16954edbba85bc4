"""Settings as a form shows them: every one in a group, as text and back, refused with a sentence."""

from __future__ import annotations

import pytest

from wtal_core.errors import UsageError
from wtal_core.methods import list_methods, method_class
from wtal_core.methods.form import GROUPS, config_of, parse_text, setting_groups, to_text, try_change
from wtal_core.settings import options, override

EVERY = [(m, p) for m in list_methods() for p in method_class(m).presets]


@pytest.mark.parametrize(("method", "preset"), EVERY)
def test_every_setting_is_in_one_group_and_survives_being_typed(method: str, preset: str) -> None:
    config = config_of(method, preset)
    groups = setting_groups(config)
    grouped = [option.key for found in groups.values() for option in found]
    assert sorted(grouped) == sorted(option.key for option in options(config))
    assert list(groups) == [name for name in GROUPS if name in groups]
    assert all(option.meaning for option in options(config))
    typed = {o.key: parse_text(o, to_text(o.value)) for o in options(config) if not isinstance(o.value, bool)}
    again = override(config, typed)
    for option in options(again):
        before = next(o.value for o in options(config) if o.key == option.key)
        assert option.value == pytest.approx(before) if not isinstance(before, str) else option.value == before


def test_loss_weights_stand_with_the_losses() -> None:
    keys = [option.key for option in setting_groups(config_of("hamnet", "thumos14"))["losses"]]
    assert keys[:6] == ["bcl_weight", "sal_weight", "ssal_weight", "hal_weight", "sparse_weight", "guide_weight"]


def test_what_is_refused_is_said() -> None:
    config = config_of("acmnet", "thumos14")
    found = {option.key: option for option in options(config)}
    assert try_change(config, "dropout", 0.5) == ""
    assert try_change(config, "dropout", 2) == "2 is out of range; expected 0 <= value <= 0.99."
    assert "wrong type" in try_change(config, "training.steps", 2.5)
    assert "unknown value" in try_change(config, "training.sampling", "al")
    assert parse_text(found["localization.cas_thresholds"], "[0.1, .2;0.3]") == (0.1, 0.2, 0.3)
    assert parse_text(found["localization.cas_thresholds"], "") == ()
    assert parse_text(found["training.lr"], " 1e-4 ") == 1e-4
    for text in ("fast", "1 2", "{"):
        with pytest.raises(UsageError):
            parse_text(found["training.lr"], text)
    assert try_change(config, "training.lr", parse_text(found["training.lr"], "[1]"))
    with pytest.raises(UsageError, match="thumos14"):
        config_of("acmnet", "thumos")
