"""The table of measures over several seeds, and what of the papers' claims shows in it."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Final

import numpy as np

from wtal_core.data import read_detections
from wtal_core.data.dataset import Dataset
from wtal_core.demo.builder import train_runs
from wtal_core.demo.measures import Measures, measure, mining_quality
from wtal_core.demo.recipes import VARIANTS
from wtal_core.errors import DataError, UsageError
from wtal_core.files import read_json, read_text, write_json, write_text
from wtal_core.runs.folder import Run

__all__ = ["BEGIN", "CLAIMS", "END", "Claim", "Report", "make_report", "to_markdown", "write_into"]

#: Markers between which the README holds the report.
BEGIN: Final = "<!-- demo report: written by `wtal demo report`, do not edit -->"
END: Final = "<!-- end of demo report -->"

Table = Mapping[str, Sequence[Measures]]


@dataclass(frozen=True)
class Claim:
    """What a paper says a part of its method does, as a difference that can be measured.

    Args:
        text: the claim.
        full, without: names of the two runs.
        measure: field of `Measures` on which they are compared.
        better: +1 where the full method should have more of it, -1 where less.
    """

    text: str
    full: str
    without: str
    measure: str
    better: int


_BRANCHES: Final = ("cmcs", "cmcs-one-branch")
_NEGATIVES: Final = ("cmcs", "cmcs-no-hard-negatives")
_METRIC: Final = ("deep_metric", "deep_metric-no-metric")
_COHERENCE: Final = ("acn", "acn-oic-only")
_DROPPING: Final = ("hamnet", "hamnet-no-dropping")
_CONTEXT: Final = ("acmnet", "acmnet-no-context")

CLAIMS: Final = (
    Claim("CMCS: several branches find more of each instance", *_BRANCHES, "completeness", 1),
    Claim("CMCS: several branches localize better", *_BRANCHES, "average_map", 1),
    Claim("CMCS: hard negatives keep detections off motionless context", *_NEGATIVES, "static_context", -1),
    Claim("CMCS: hard negatives keep detections off all context", *_NEGATIVES, "on_context", -1),
    Claim("CMCS: hard negatives avoid false alarms on fakes", *_NEGATIVES, "false_alarms", -1),
    Claim("CMCS: hard negatives localize better", *_NEGATIVES, "average_map", 1),
    Claim("Deep metric: the metric loss localizes better", *_METRIC, "average_map", 1),
    Claim("ACN: the coherence term localizes better", *_COHERENCE, "average_map", 1),
    Claim("HAM-Net: dropping finds more of each instance", *_DROPPING, "completeness", 1),
    Claim("HAM-Net: dropping localizes better", *_DROPPING, "average_map", 1),
    Claim("ACM-Net: the context branch keeps detections off the context", *_CONTEXT, "on_context", -1),
    Claim("ACM-Net: the context branch avoids false alarms on fakes", *_CONTEXT, "false_alarms", -1),
    Claim("ACM-Net: the context branch localizes better", *_CONTEXT, "average_map", 1),
)

_COLUMNS: Final = (
    ("average_map", "average mAP"),
    ("completeness", "completeness"),
    ("action_time", "action found"),
    ("on_context", "on context"),
    ("static_context", "static context"),
    ("on_fake", "on fakes"),
    ("false_alarms", "false alarms"),
)
_WORDS: Final = {
    "average_map": "average mAP",
    "completeness": "completeness",
    "on_context": "time on context",
    "static_context": "motionless context reported",
    "false_alarms": "fakes reported",
}

#: Student's t, 97.5 % quantile, by degrees of freedom from 1; and what it tends to.
_T: Final = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
_NORMAL: Final = 1.959964


@dataclass(frozen=True)
class Report:
    """Measures of every variant and seed.

    Args:
        dataset: name of the world.
        seeds: of the trainings.
        table: variant -> measures, one for each seed.
        mining: share of the training videos' static time that mining finds, and share of its finds that is static.
    """

    dataset: str
    seeds: tuple[int, ...]
    table: Table
    mining: tuple[float, float] = (math.nan, math.nan)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            "dataset": self.dataset,
            "seeds": list(self.seeds),
            "table": {name: [m.to_dict() for m in rows] for name, rows in self.table.items()},
            "mining": {"found": self.mining[0], "true": self.mining[1]},
            "claims": [verdict(claim, self.table) for claim in CLAIMS if _has(claim, self.table)],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Report:
        """Rebuild a report from `to_dict`."""
        table = {
            name: [Measures(**{k: math.nan if v is None else v for k, v in row.items()}) for row in rows]
            for name, rows in values["table"].items()
        }
        mining = [math.nan if values["mining"][key] is None else values["mining"][key] for key in ("found", "true")]
        return cls(values["dataset"], tuple(values["seeds"]), table, (mining[0], mining[1]))


def make_report(
    data: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    seeds: Sequence[int] = (0, 1, 2),
    variants: Sequence[str] = tuple(VARIANTS),
    workers: int = 0,
    quiet: bool = False,
) -> Report:
    """Train every variant with every seed and measure it; features are read, not made.

    The data set's own runs are taken for their seed. Interrupted, the same call goes on with what is missing.

    Args:
        data: data set folder of a demo world, with its runs.
        out: folder for the further runs and `report.json`.
        seeds: of the trainings; at least one.
        variants: which ones.
        workers: processes; 0: as many as there are cores.
        quiet: no progress bar.

    Raises:
        UsageError: no seeds, or one twice.
        DataError: the data set is not a demo world.
    """
    seeds = tuple(seeds)
    if not seeds or len(set(seeds)) != len(seeds) or min(seeds) < 0:
        raise UsageError(
            "not a list of seeds",
            expected="different numbers from 0",
            got=str(list(seeds)),
            next_step="Name each seed once",
        )
    root, target = Path(data), Path(out)
    dataset = Dataset.open(root)
    state = read_json(root / "build.json", "the state of a demo world (build.json)")
    small = bool(state.get("world", {}).get("small")) if isinstance(state, dict) else False
    own = {(n, s): root / "runs" / n for n in variants for s in seeds if _has_seed(root / "runs" / n, s)}
    further = {(n, s): target / f"seed{s}" / n for s in seeds for n in variants if (n, s) not in own}
    train_runs(root, further, small=small, workers=workers, quiet=quiet)
    jobs = {**own, **further}
    table = {
        name: [measure(read_detections(Run.open(jobs[name, s]).detections_path), dataset.annotations) for s in seeds]
        for name in variants
    }
    report = Report(dataset.name, seeds, table, mining_quality(dataset.annotations))
    write_json(target / "report.json", report.to_dict())
    return report


def _has_seed(folder: Path, seed: int) -> bool:
    try:
        run = Run.open(folder)
        return run.info.seed == seed and run.detections_path.is_file()
    except DataError:
        return False


def _quantile(freedom: int) -> float:
    """Return Student's t, 97.5 % quantile, for degrees of freedom >= 1.

    Beyond the table, three terms of its expansion about the normal quantile (Abramowitz & Stegun 26.7.5).
    """
    if freedom <= len(_T):
        return _T[freedom - 1]
    z = _NORMAL
    terms = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96, (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + sum(term / float(freedom) ** power for power, term in enumerate(terms, start=1))


def _has(claim: Claim, table: Table) -> bool:
    return claim.full in table and claim.without in table


def verdict(claim: Claim, table: Table) -> dict[str, Any]:
    """Compare the two runs of a claim, seed by seed.

    Returns:
        text, measure, mean of either, mean and sample standard deviation of the gain (the difference in the claimed
        direction), half the width of the mean gain's 95 % confidence interval (Student's t; infinite for one seed), and
        "finding": "shows" where the interval lies above zero, "the opposite shows" where below, else "does not show".
        Where one of the runs has nothing to measure, nothing shows.
    """
    with_it = [getattr(m, claim.measure) for m in table[claim.full]]
    without = [getattr(m, claim.measure) for m in table[claim.without]]
    gains = claim.better * np.subtract(with_it, without)
    freedom = gains.size - 1
    mean, spread = float(gains.mean()), float(gains.std(ddof=1)) if freedom else math.nan
    margin = _quantile(freedom) * spread / math.sqrt(gains.size) if freedom else math.inf
    return {
        "text": claim.text,
        "measure": claim.measure,
        "full": claim.full,
        "without": claim.without,
        "mean_full": fmean(with_it),
        "mean_without": fmean(without),
        "gain": mean,
        "spread": spread,
        "margin": margin,
        "finding": "shows" if mean > margin else "the opposite shows" if mean < -margin else "does not show",
    }


def to_markdown(report: Report) -> str:
    """Return the report as Markdown: a table of mean ± standard deviation in per cent, then the claims."""
    several = len(report.seeds) > 1

    def cell(values: Sequence[float]) -> str:
        finite = [100 * v for v in values if math.isfinite(v)]
        if not finite:
            return "none"
        spread = f" ± {stdev(finite):.1f}" if len(finite) > 1 else ""
        return f"{fmean(finite):.1f}{spread}"

    lines = [
        f"`{report.dataset}`, test split, {len(report.seeds)} training seeds ({', '.join(map(str, report.seeds))}); "
        f"{'mean ± standard deviation, ' if several else ''}per cent.",
        "",
        "| run | " + " | ".join(title for _, title in _COLUMNS) + " |",
        "|---|" + "---:|" * len(_COLUMNS),
    ]
    for name, rows in report.table.items():
        cells = (cell([getattr(m, key) for m in rows]) for key, _ in _COLUMNS)
        lines.append(
            f"| {'' if name not in VARIANTS or not VARIANTS[name].full else '&nbsp;&nbsp;'}`{name}` | "
            + " | ".join(cells)
            + " |"
        )
    lines += [
        "",
        "Average mAP: tIoU 0.1 to 0.7. Completeness: share of an instance's phases that its best detection covers. The "
        "rest is measured with as many detections of each class, best first, as cover half of its action time: what "
        "they do cover of it (less where a class never gets there), shares of the detected time on context and on "
        "fakes, share of the motionless context and of the fakes that they report. See `wtal_core/demo/measures.py`.",
        "",
    ]
    found = [verdict(claim, report.table) for claim in CLAIMS if _has(claim, report.table)]
    if found and several:
        lines += [
            "What the papers claim, on this world: mean difference ± its 95 % confidence interval over "
            f"{len(report.seeds)} seeds, points; what lies within is no difference.",
            "",
            "| claim | measured | with | without | difference | |",
            "|---|---|---:|---:|---:|---|",
            *map(_row, found),
            "",
        ]
    if all(map(math.isfinite, report.mining)):
        share, precision = (f"{100 * value:.0f} %" for value in report.mining)
        lines += [
            f"Mining static clips by optical flow finds {share} of the training videos' static time; {precision} of "
            "what it finds is static. Trainings use the truth.",
            "",
        ]
    return "\n".join(lines)


def _row(v: Mapping[str, Any]) -> str:
    """Return a verdict as a row of the table of claims."""
    if not math.isfinite(v["gain"]):
        return f"| {v['text']} | {_WORDS[v['measure']]} | | | | cannot be measured |"
    with_it, without = 100 * v["mean_full"], 100 * v["mean_without"]
    finding = f"**{v['finding']}**" if v["finding"] == "shows" else v["finding"]
    return (
        f"| {v['text']} | {_WORDS[v['measure']]} | {with_it:.1f} | {without:.1f} "
        f"| {with_it - without:+.1f} ± {100 * v['margin']:.1f} | {finding} |"
    )


def write_into(path: str | os.PathLike[str], text: str) -> None:
    """Replace what a Markdown file holds between the report's markers.

    Raises:
        DataError: the file has no such markers.
    """
    content = read_text(path)
    head, begin, rest = content.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise DataError(
            "has no place for the report", expected=f"the lines {BEGIN} and {END}", where=path, next_step="Add them"
        )
    write_text(path, f"{head}{BEGIN}\n{text.strip()}\n{END}{tail}")
