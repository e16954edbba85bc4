"""`wtal diagnose`: what kinds of failures there are, and what each costs in mAP."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from wtal_core.commands.output import percent, print_notes, print_table, refuse_overwriting
from wtal_core.errors import UsageError
from wtal_core.files import jsonable, write_text

if TYPE_CHECKING:
    import pandas as pd

    from wtal_core.evaluation import Diagnosis
    from wtal_core.runs.find import Truth

__all__ = ["Diagnose"]

_FAILURES_AT_ONCE = 20_000


@dataclass(frozen=True)
class Diagnose:
    """Say of every false positive and miss what kind of failure it is and what it costs in mAP; numbers are percent."""

    detections: tyro.conf.Positional[Path]
    """Run folder that holds detections, or a detection file (ActivityNet results JSON, THUMOS14 text, CSV)."""
    annotations: Path | None = None
    """Ground truth: ActivityNet JSON, THUMOS14 text folder, or W-TALC npy folder."""
    data: Path | None = None
    """Data set folder (its test split is diagnosed). Default: the data set the run was trained on."""
    protocol: str = "activitynet"
    """activitynet, thumos14, wtalc or wtalc-original."""
    tiou: float = 0.5
    """tIoU threshold the failures are failures at."""
    subset: tuple[str, ...] = ()
    """Diagnose only these subsets, e.g. test."""
    only_subset_videos: bool = False
    """Leave out detections in videos outside the subset, instead of counting them as false positives as the official
    evaluators do."""
    top: int | None = None
    """Number of single failures that are listed, by cost. Default: 15 below the tables, all with --json."""
    buckets: str | None = None
    """Sizes of lengths, coverages and numbers of instances: thumos14 or activitynet. Default: by typical length."""
    background_tiou: float = 0.1
    """tIoU from which on a detection means an instance."""
    share: float = 0.5
    """Part of a detection that has to lie on something (fake, context, instance) to be called that."""
    cover: float = 0.5
    """Part of an instance that a detection has to cover to have found it."""
    beside: float = 0.5
    """Distance to an instance, in lengths of that instance, that still counts as context."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print JSON instead of tables (mAP in [0, 1])."""
    out: Path | None = None
    """Also write the JSON, with every failure, to this file."""

    def run(self) -> int:
        """Diagnose and print."""
        from wtal_core.evaluation import DiagnosisSettings, diagnose, get_protocol, parse_tiou
        from wtal_core.runs.find import open_source, open_truth

        get_protocol(self.protocol)
        parse_tiou(self.tiou)
        if self.top is not None and self.top < 0:
            raise UsageError(
                "--top is negative",
                expected="a number >= 0",
                got=str(self.top),
                next_step="Give the number of failures to print; 0 prints none",
            )
        refuse_overwriting(self.out, self.annotations, self.data, self.detections)
        settings = DiagnosisSettings(self.background_tiou, self.share, self.cover, self.beside)
        source = open_source(self.detections)
        truth = open_truth(
            self.annotations,
            self.data,
            sources=[source],
            subset=self.subset,
            only_subset_videos=self.only_subset_videos,
        )
        found = diagnose(source.detections, truth.index, protocol=self.protocol, tiou=self.tiou, settings=settings)
        if self.out is not None or self.as_json:
            report = _report(found, truth, source.path, self.buckets)
            if self.out is not None:
                write_text(self.out, _json_parts(report, found.failures))
            if self.as_json:
                sys.stdout.writelines(_json_parts(report, found.failures.iloc[: self.top]))
                return 0
        _print(found, 15 if self.top is None else self.top, self.buckets)
        if found.notes:
            print()
            print_notes([(self.protocol, found.notes)])
        return 0


def _rows(table: pd.DataFrame, index: str | None = None) -> list[dict[str, Any]]:
    if index is not None:
        table = table.reset_index(names=index)
    return [{str(k): v for k, v in row.items()} for row in table.to_dict("records")]


def _json_parts(report: dict[str, Any], failures: pd.DataFrame) -> Iterator[str]:
    """Yield the text of a report with its failures, a part at a time: there may be millions."""
    head = json.dumps(jsonable(report), ensure_ascii=False, indent=1, allow_nan=False)
    yield head.removesuffix("\n}") + ',\n "failures": ['
    names = [str(name) for name in failures.columns]
    for first in range(0, len(failures), _FAILURES_AT_ONCE):
        part = failures.iloc[first : first + _FAILURES_AT_ONCE]
        columns = ([None if v != v else v for v in part[name].tolist()] for name in failures.columns)  # NaN: null
        rows = (dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True))
        yield ("," if first else "") + ",".join(
            "\n  " + json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows
        )
    yield "\n ]\n}\n"


def _report(found: Diagnosis, truth: Truth, path: Path, buckets: str | None) -> dict[str, Any]:
    from wtal_core.evaluation import false_positive_profile, missed_share, sensitivity

    return {
        "detections": path,
        "ground_truth": truth.where,
        "protocol": found.protocol,
        "tiou": found.tiou,
        "mean_ap": found.mean_ap,
        "instances": found.num_instances,
        "kinds": _rows(found.summary, "kind"),
        "totals": found.totals,
        "profile": _rows(false_positive_profile(found), "band"),
        "sensitivity": _rows(sensitivity(found, buckets)),
        "missed": _rows(missed_share(found, buckets)),
        "notes": found.notes,
    }


def _lines(table: pd.DataFrame) -> list[Any]:
    return list(table.itertuples())


def _print(found: Diagnosis, top: int, buckets: str | None) -> None:
    from wtal_core.evaluation import FALSE_POSITIVE_KINDS, false_positive_profile, missed_share, sensitivity

    false = int((~found.failures["miss"]).sum())
    print(
        f"mAP@{found.tiou:g} {percent(found.mean_ap)} ({found.protocol}): "
        f"{int((found.match >= 0).sum()):,} true positives, {false:,} false positives, "
        f"{len(found.failures) - false:,} of {found.num_instances:,} instances missed"
    )
    print()
    print_table(
        ["kind of failure", "number", "share %", "mAP if repaired", "meaning"],
        [
            (kind, f"{row.number:,}", percent(row.share), f"+{percent(row.cost)}", row.meaning)
            for kind, row in zip(found.summary.index, _lines(found.summary), strict=True)
        ],
    )
    print(
        f"without any false positive +{percent(found.totals['all false positives'])}, "
        f"with every instance found +{percent(found.totals['all misses'])}"
    )
    profile = false_positive_profile(found)
    if len(profile):
        kinds = ["true positive", *(k for k in FALSE_POSITIVE_KINDS if profile[k].any())]
        print()
        print_table(
            ["% of top predictions", *profile.index],
            [(kind, *map(percent, profile[kind])) for kind in kinds],
        )
    sizes, missed = sensitivity(found, buckets), missed_share(found, buckets)
    print()
    print_table(
        ["instances by", "size", "range", "number", "mAP_N", "missed %"],
        [
            (row.characteristic, row.bucket, row.range, f"{row.instances:,}", percent(row.map_n), percent(share))
            for row, share in zip(
                _lines(sizes), [found.failures["miss"].sum() / found.num_instances, *missed["share"]], strict=True
            )
        ],
    )
    if top and len(found.failures):
        print()
        print_table(
            ["costliest failures", "class", "video", "seconds", "score", "mAP"],
            [
                (
                    f.kind,
                    f.label,
                    f.video,
                    f"{f.start:.1f}-{f.end:.1f}",
                    "-" if f.miss else f"{f.score:.3g}",
                    f"-{percent(f.cost, 2)}",
                )
                for f in _lines(found.failures.head(top))
            ],
        )
