"""`wtal compare`: runs and detection files side by side, beside what the papers printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from wtal_core.commands.output import percent, print_json, print_notes, print_table, refuse_overwriting
from wtal_core.errors import UsageError
from wtal_core.files import write_json, write_text

if TYPE_CHECKING:
    from wtal_core.evaluation import Comparison, GroundTruthIndex
    from wtal_core.runs.find import Source

__all__ = ["Compare"]


@dataclass(frozen=True)
class Compare:
    """Score runs and detection files on the same ground truth; the first is what the others are compared with."""

    detections: tyro.conf.Positional[tuple[str, ...]]
    """Run folders that hold detections, or detection files (ActivityNet results JSON, THUMOS14 text, CSV), each PATH
    or NAME=PATH."""
    annotations: Path | None = None
    """Ground truth: ActivityNet JSON, THUMOS14 text folder, or W-TALC npy folder."""
    data: Path | None = None
    """Data set folder (its test split counts). Default: the data set the first run was trained on."""
    protocol: tuple[str, ...] = ("activitynet",)
    """Protocols: activitynet, thumos14, wtalc, wtalc-original. The bootstrap uses the first."""
    tiou: str = "0.1:0.7"
    """tIoU thresholds: a preset (0.1:0.7, 0.1:0.5, 0.3:0.7, 0.5:0.95, 0.1:0.9), first:last:step, or numbers."""
    subset: tuple[str, ...] = ()
    """Evaluate only these subsets, e.g. test."""
    only_subset_videos: bool = False
    """Leave out detections in videos outside the subset, instead of counting them as false positives as the official
    evaluators do."""
    shared_classes: bool = False
    """Leave out detections of classes that the annotations do not have, as where they hold a part of a data set."""
    resamples: int = 1000
    """Resamples of the paired bootstrap over videos; 0 leaves it out."""
    confidence: float = 0.95
    """Coverage of the bootstrap's intervals."""
    seed: int = 0
    """Seed of the bootstrap."""
    slices: tuple[Literal["length", "coverage", "instances", "tag"], ...] = ()
    """Also show parts of the split: mAP_N (DETAD) by length, coverage or number of instances, mAP of tagged videos."""
    per_class: bool = False
    """Also print the AP of every class."""
    published_on: str | None = None
    """Data set whose published numbers are shown, e.g. thumos14; "none" shows none. Default: the data set's name."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print JSON instead of tables (AP in [0, 1], per class)."""
    out: Path | None = None
    """Also write the JSON to this file."""
    table: Path | None = None
    """Also write the table of mAP to this file: .tex (booktabs) or .csv."""

    def run(self) -> int:
        """Compare and print."""
        from wtal_core.evaluation import compare_detections, parse_tiou
        from wtal_core.papers import dataset_name
        from wtal_core.runs.find import open_sources, open_truth
        from wtal_core.runs.scores import seed_groups

        self._check()
        levels = parse_tiou(self.tiou)
        sources = open_sources(self.detections)
        truth = open_truth(
            self.annotations,
            self.data,
            sources=sources,
            subset=self.subset,
            only_subset_videos=self.only_subset_videos,
        )
        if self.shared_classes:
            sources = [replace(s, detections=s.detections.for_labels(truth.index.classes)) for s in sources]
        tables = {source.name: source.detections for source in sources}
        found = compare_detections(tables, truth.index, protocols=self.protocol, tiou=levels)
        bootstrap = self._bootstrap(sources, truth.index, found)
        groups = seed_groups({source.name: source.run for source in sources if source.run is not None})
        published_on = self.published_on or truth.name
        report: dict[str, Any] = {
            "ground_truth": truth.where,
            "tiou": levels,
            "sets": [{"name": s.name, "path": s.path, "evaluations": _evaluations(found, s.name)} for s in sources],
            "bootstrap": {
                name: {
                    "first": sources[0].name,
                    "protocol": found.protocols[0],
                    "rows": table.reset_index().to_dict("records"),
                }
                for name, table in bootstrap.items()
            },
            "seeds": [_seeds(found, title, names) for title, names in groups.items()],
            "slices": _slices(self.slices, sources, truth.index, found),
            "published": _published(published_on, same=dataset_name(truth.name)),
        }
        self._write(found, report, published_on)
        if self.as_json:
            print_json(report)
        else:
            self._print(found, report, bootstrap)
        return 0

    def _check(self) -> None:
        """Refuse wrong arguments before anything is read."""
        from wtal_core.evaluation import get_protocol
        from wtal_core.runs.find import named_path

        if not self.detections:
            raise UsageError(
                "nothing to compare is named", expected="run folders or detection files", next_step="Name at least one"
            )
        if self.resamples < 0:
            raise UsageError(
                "--resamples is negative",
                expected="a number >= 0",
                got=str(self.resamples),
                next_step="Give 0 to leave the intervals out",
            )
        if self.table is not None and self.table.suffix.lower() not in (".tex", ".csv"):
            raise UsageError(
                "the format of the table is not known",
                expected="a file that ends in .tex or .csv",
                got=str(self.table),
                where="--table",
                next_step="Give the file one of these endings",
            )
        paths = [named_path(text)[1] for text in self.detections]
        for target, option in ((self.out, "--out"), (self.table, "--table")):
            refuse_overwriting(target, self.annotations, self.data, *paths, option=option)
        for name in self.protocol:
            get_protocol(name)

    def _bootstrap(self, sources: Sequence[Source], truth: GroundTruthIndex, found: Comparison) -> dict[str, Any]:
        """Return `{name: table}` of every set against the first."""
        from wtal_core.evaluation import paired_bootstrap

        return {
            source.name: paired_bootstrap(
                sources[0].detections,
                source.detections,
                truth,
                protocol=found.protocols[0],
                tiou=found.tiou,
                resamples=self.resamples,
                confidence=self.confidence,
                seed=self.seed,
            )
            for source in (sources[1:] if self.resamples else ())
        }

    def _write(self, found: Comparison, report: dict[str, Any], published_on: str) -> None:
        from wtal_core.papers import published_results
        from wtal_core.papers.tables import comparison_rows, csv_table, latex_table

        if self.out is not None:
            write_json(self.out, report)
        if self.table is not None:
            written = latex_table if self.table.suffix.lower() == ".tex" else csv_table
            printed = list(published_results(published_on)) if report["published"] else []
            write_text(self.table, written(*comparison_rows(found, printed)))

    def _print(self, found: Comparison, report: dict[str, Any], bootstrap: dict[str, Any]) -> None:
        _print_table(found, report)
        several = len(found.protocols) > 1
        print_notes(
            [
                (f"{name}, {protocol}" if several else name, found.evaluations[name, protocol].notes)
                for protocol in found.protocols
                for name in found.names
            ]
        )
        if len(found.names) > 1:
            _print_differences(found, bootstrap, self.confidence)
        for part in report["slices"]:
            _print_slices(part, found.names)
        for protocol in found.protocols if self.per_class else ():
            classes = found.ap(protocol)
            print()
            print_table(
                [f"mean AP %, {protocol}", *found.names],
                [(label, *map(percent, row)) for label, row in zip(classes.index, classes.to_numpy(), strict=True)],
            )


def _evaluations(found: Comparison, name: str) -> list[dict[str, Any]]:
    return [
        {**found.evaluations[name, protocol].to_dict(), "averages": found.averages(name, protocol)}
        for protocol in found.protocols
    ]


def _seeds(found: Comparison, title: str, names: list[str]) -> dict[str, Any]:
    by_protocol = {}
    for protocol in found.protocols:
        levels, average = found.over_seeds(names, protocol)
        by_protocol[protocol] = {
            "mean_ap": {f"{t:g}": {"mean": m, "std": s} for t, (m, s) in levels.items()},
            "average": {"mean": average[0], "std": average[1]},
        }
    return {"name": title, "sets": names, "protocols": by_protocol}


def _slices(by: Sequence[str], sources: Sequence[Source], truth: GroundTruthIndex, found: Comparison) -> list[Any]:
    """Return mAP on parts of the split under the first protocol, at tIoU 0.5 where that is among the thresholds."""
    from wtal_core.analysis.failures import FailureNotes, tagged_videos
    from wtal_core.evaluation import diagnose, slice_by_instances, slice_by_videos

    if not by:
        return []
    protocol, tiou = found.protocols[0], 0.5 if 0.5 in found.tiou else found.tiou[len(found.tiou) // 2]
    parts = []
    diagnoses = {
        s.name: diagnose(s.detections, truth, protocol=protocol, tiou=tiou) for s in sources if set(by) != {"tag"}
    }
    for name in by:
        if name == "tag":
            groups = tagged_videos(*(FailureNotes(source.path).all() for source in sources if source.run is not None))
            tables = {source.name: source.detections for source in sources}
            table, measure = slice_by_videos(tables, truth, groups, protocol=protocol, tiou=tiou), "mAP"
        else:
            table, measure = slice_by_instances(diagnoses, name), "mAP_N"
        rows = table.to_dict("records")
        parts.append({"by": name, "measure": measure, "protocol": protocol, "tiou": tiou, "rows": rows})
    return parts


def _print_slices(part: dict[str, Any], names: Sequence[str]) -> None:
    print(f"\n{part['measure']} % at tIoU {part['tiou']:g} by {part['by']}, {part['protocol']}")
    counts = [key for key in ("videos", "instances") if part["rows"] and key in part["rows"][0]]
    print_table(
        [part["by"], *counts, *names],
        [
            (row["slice"], *(f"{row[key]:,}" for key in counts), *(percent(row[name]) for name in names))
            for row in part["rows"]
        ],
    )


def _published(dataset: str, same: str | None) -> list[dict[str, Any]]:
    """Return what the papers printed on a data set; `same` is the papers' name of the one that is evaluated."""
    from wtal_core.papers import dataset_name, published_results

    if dataset_name(dataset) is None:
        return []
    return [
        {
            "paper": paper.name,
            "method": paper.method,
            "row": row.method,
            "table": table.name,
            "dataset": table.dataset,
            "protocol": paper.protocol,
            "features": row.feature,
            "mean_ap": {f"{t:g}": v for t, v in table.mean_ap(row).items()},
            "averages": table.averages(row),
            "same_dataset": table.dataset == same,
        }
        for paper, table, row in published_results(dataset)
    ]


def _print_table(found: Comparison, report: dict[str, Any]) -> None:
    from wtal_core.evaluation import in_percent

    levels = [f"{t:g}" for t in found.tiou]
    ranges = list(found.averages(found.names[0], found.protocols[0]))
    head = ["mAP % at tIoU", "protocol", *levels, *(f"avg {name}" for name in ranges)]
    rows: list[tuple[str, ...]] = [
        (
            name,
            protocol,
            *map(percent, found.mean_ap(name, protocol).values()),
            *map(percent, found.averages(name, protocol).values()),
        )
        for protocol in found.protocols
        for name in found.names
    ]
    rows += [
        (
            f"{p['paper']} as printed{' (' + p['features'] + ')' if p['features'] else ''}",
            p["protocol"] or "not said",
            *(percent(p["mean_ap"].get(t)) for t in levels),
            *(percent(p["averages"].get(name)) for name in ranges),
        )
        for p in report["published"]
    ]
    print_table(head, rows)
    if any(not p["same_dataset"] for p in report["published"]):
        dataset = report["published"][0]["dataset"]
        print(f"note: the printed numbers are on {dataset}: they compare only if this ground truth is that.")
    for group in report["seeds"]:
        print()
        print_table(
            [group["name"], *levels, "average"],
            [
                (protocol, *(in_percent(**values["mean_ap"][t]) for t in levels), in_percent(**values["average"]))
                for protocol, values in group["protocols"].items()
            ],
        )


def _print_differences(found: Comparison, bootstrap: dict[str, Any], confidence: float) -> None:
    first, protocol = found.names[0], found.protocols[0]
    for name in found.names[1:]:
        print()
        if name in bootstrap:
            rows = [
                (
                    f"{level:g}" if not isinstance(level, str) else level,
                    percent(row.first),
                    percent(row.second),
                    f"{100 * row.difference:+.1f}",
                    f"[{100 * row.low:+.1f}, {100 * row.high:+.1f}]",
                    f"{row.p_value:.3f}",
                )
                for level, row in zip(bootstrap[name].index, list[Any](bootstrap[name].itertuples()), strict=True)
            ]
            print_table(
                ["tIoU", first, name, "difference", f"{100 * confidence:g} % interval", "p"],
                rows,
                title=f"{name} against {first}: paired bootstrap over videos, {protocol}",
            )
        classes = found.class_differences(first, name, protocol)
        shown = classes if len(classes) <= 10 else classes.iloc[[*range(5), *range(len(classes) - 5, len(classes))]]
        print()
        print_table(
            ["largest differences, mean AP %", first, name, "difference"],
            [
                (label, percent(r.first), percent(r.second), f"{100 * r.difference:+.1f}")
                for label, r in zip(shown.index, list[Any](shown.itertuples()), strict=True)
            ],
        )
