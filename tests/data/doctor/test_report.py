"""Diagnoses that are written and read back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from wtal_core.data.doctor import Diagnosis, Finding, read_diagnosis
from wtal_core.errors import DataError


def test_an_examination_is_read_back_from_a_log(tmp_path: Path) -> None:
    findings = (Finding("error", "splits", "v0", "is wrong"), Finding("note", "values", "v1", "is odd", "Look"))
    diagnosis = Diagnosis.of(reversed(findings), {"videos": 2})
    assert diagnosis.findings == findings
    log = tmp_path / "worker.log"
    old, new = {"findings": [], "examined": {"videos": 0}}, diagnosis.to_dict()
    log.write_text(f"# wtal data doctor\n{json.dumps(old, indent=1)}\n# again\n{json.dumps(new, indent=1)}\n")
    assert read_diagnosis(log) == diagnosis
    for text in ("# nothing\n", "# wtal\n{\n", '# wtal\n{\n "findings": [1]\n}\n'):
        log.write_text(text)
        with pytest.raises(DataError, match="examination"):
            read_diagnosis(log)
