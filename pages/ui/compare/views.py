"""The views of the compare page: each answers one question about the sets of detections that are compared."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import streamlit as st

from pages.ui import detection_sets, loaders, theme
from pages.ui.detection_sets import SetRef, SplitRef
from pages.ui.errors import show_error
from wtal_core.analysis.failures import FailureNotes, tagged_videos
from wtal_core.errors import WtalError, counted
from wtal_core.evaluation import CHARACTERISTICS, Comparison, precision_recall, score_histogram, slice_by_instances
from wtal_core.figures import plots
from wtal_core.papers import Paper, PublishedRow, PublishedTable
from wtal_core.papers.tables import ComparisonRow, comparison_rows, csv_table, latex_table
from wtal_core.runs.scores import seed_groups

__all__ = ["CSS", "Question", "classes", "curves", "mean_ap", "scores", "seeds", "significance", "slices"]

_FIRST = '<th>mAP % at tIoU</th><th class="left">protocol</th>'
_CONTROLS = (1.2, 1.6, 3)
_TAG = "tag"

CSS = """
<style>
.cmp { width:100%; border-collapse:collapse; font-size:.86rem; font-variant-numeric:tabular-nums; }
.cmp th { font-weight:600; text-align:right; padding:.32rem .5rem; white-space:nowrap;
  border-bottom:1px solid color-mix(in srgb, currentColor 28%, transparent); }
.cmp td { text-align:right; padding:.3rem .5rem; white-space:nowrap; }
.cmp th:first-child, .cmp td:first-child { text-align:left; }
.cmp th.left, .cmp td.left { text-align:left; }
.cmp tr.block td { border-top:1px solid color-mix(in srgb, currentColor 18%, transparent); }
.cmp tr.printed td { opacity:.78; font-style:italic; }
.cmp b { font-weight:700; }
.cmp .mark { display:inline-block; width:.65rem; height:.65rem; border-radius:2px; margin-right:.45rem; }
.cmp small { opacity:.85; font-style:normal; }
.cmp-wrap { overflow-x:auto; }
</style>
"""


@dataclass(frozen=True)
class Question:
    """What is compared, and how.

    Args:
        sets: the sets, in the order of their colours.
        split: on which ground truth.
        protocol: the protocol of the views that show one.
        levels: tIoU thresholds.
    """

    sets: tuple[SetRef, ...]
    split: SplitRef
    protocol: str
    levels: tuple[float, ...]

    @property
    def names(self) -> list[str]:
        """Names of the sets."""
        return [ref.name for ref in self.sets]


# -- pieces ---------------------------------------------------------------------------------------------------------


def _chart(figure: object, name: str) -> None:
    st.plotly_chart(figure, theme=None, config=plots.plotly_config(name), key=f"fig.{name}")  # type: ignore[arg-type]


def _table(head: str, body: str) -> None:
    st.html(
        f'<div class="cmp-wrap"><table class="cmp"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _marked(name: str, names: Sequence[str]) -> str:
    """Return a set's name with its colour before it."""
    colour = plots.series_look(detection_sets.plot_theme(), names.index(name))["colour"]
    return f'<span class="mark" style="background:{colour}"></span>{escape(name)}'


def _level(levels: Sequence[float], key: str) -> float:
    """Pick one threshold."""
    middle = levels.index(0.5) if 0.5 in levels else len(levels) // 2
    return float(st.selectbox("tIoU", levels, index=middle, format_func=lambda t: f"{t:g}", key=f"{key}.{levels}"))


def _level_and(question: Question, key: str, label: str, options: Sequence[Any], **more: Any) -> tuple[float, Any]:
    """Pick one threshold and one of some options, side by side."""
    row = st.columns(_CONTROLS, vertical_alignment="bottom")
    with row[0]:
        level = _level(question.levels, f"{key}_level")
    with row[1]:
        return level, st.selectbox(label, options, key=f"{key}_class", **more)


# -- mAP ------------------------------------------------------------------------------------------------------------


def _map_table(columns: Sequence[str], rows: Sequence[ComparisonRow], names: Sequence[str]) -> None:
    body = []
    before: str | None = None
    for row in rows:
        block = row.protocol if not row.printed else "printed"
        kinds = " ".join(["block"] * (block != before) + ["printed"] * bool(row.printed))
        before = block
        name = f"{escape(row.name)} <small>{escape(row.printed)}</small>" if row.printed else _marked(row.name, names)
        cells = "".join(
            f"<td>{'<b>' if best else ''}{'–' if v is None else f'{v:.1f}'}{'</b>' if best else ''}</td>"
            for v, best in zip(row.values, row.best, strict=True)
        )
        start = f'<tr class="{kinds}"><td>{name}</td><td class="left">'
        body.append(f"{start}{escape(row.protocol or 'not said')}</td>{cells}</tr>")
    _table(_FIRST + "".join(f"<th>{escape(c)}</th>" for c in columns), "".join(body))


def mean_ap(
    found: Comparison,
    printed: Sequence[tuple[Paper, PublishedTable, PublishedRow]],
    printed_on: str,
    dataset: str,
    same: bool,
) -> None:
    """Show mAP per threshold under every protocol, beside what papers printed (on `printed_on`)."""
    columns, rows = comparison_rows(found, printed)
    _map_table(columns, rows, found.names)
    if printed and not same:
        st.warning(
            f"The printed numbers (italic) are on {printed_on}; yours are on {dataset}. They say what the papers "
            "reached, not what these runs should reach.",
            icon=":material/info:",
        )
    notes = {note for evaluation in found.evaluations.values() for note in evaluation.notes}
    with st.container(horizontal=True, gap="small"):
        st.download_button("LaTeX", latex_table(columns, rows), "comparison.tex", icon=":material/download:")
        st.download_button("CSV", csv_table(columns, rows), "comparison.csv", "text/csv", icon=":material/download:")
        if notes:
            with st.popover(counted(len(notes), "note"), icon=":material/notes:"):
                for note in sorted(notes):
                    st.markdown(f"- {note}")
    for protocol in found.protocols:
        st.subheader(f"mAP over tIoU, {protocol}")
        lines = {name: found.mean_ap(name, protocol) for name in found.names}
        others = {
            f"{paper.label}{f' {row.feature}' if row.feature else ''}": {
                t: v for t, v in table.mean_ap(row).items() if t in found.tiou
            }
            for paper, table, row in printed
            if paper.protocol in (protocol, None)
        }
        _chart(plots.mean_ap_figure(lines, others, detection_sets.plot_theme()), f"map-{protocol}")


def seeds(found: Comparison, runs: Sequence[str]) -> None:
    """Show mean and standard deviation of the runs that differ by their seed alone, where there are any."""
    named = {loaders.run_name(run): run for run in runs}
    groups = seed_groups({name: loaders.load_run(run) for name, run in named.items() if name in found.names})
    if not groups:
        return
    st.subheader("Seeds: mean ± standard deviation")
    body = ""
    for title, names in groups.items():
        for protocol in found.protocols:
            levels, average = found.over_seeds(names, protocol)
            cells = "".join(f"<td>{_spread(*values)}</td>" for values in (*levels.values(), average))
            body += f'<tr><td>{escape(title)}</td><td class="left">{escape(protocol)}</td>{cells}</tr>'
    _table(_FIRST + "".join(f"<th>{t:g}</th>" for t in found.tiou) + "<th>average</th>", body)


def _spread(mean: float, deviation: float | None) -> str:
    return f"{theme.percent(mean)} ± {theme.percent(deviation)}"


# -- other views ----------------------------------------------------------------------------------------------------


def classes(found: Comparison, question: Question) -> None:
    """Show the AP of every class."""
    row = st.columns(_CONTROLS, vertical_alignment="bottom")
    with row[0]:
        level = st.selectbox(
            "tIoU",
            [None, *found.tiou],
            format_func=lambda t: "mean over all" if t is None else f"{t:g}",
            key=f"class_level.{found.tiou}",
        )
    pairs = [(found.names[0], other) for other in found.names[1:]]
    order = None
    if pairs:
        with row[1]:
            order = st.selectbox(
                "Order by difference",
                pairs,
                format_func=lambda pair: f"{pair[1]} − {pair[0]}",
                key=f"class_order.{found.names}",
            )
    table = found.ap(question.protocol, level)
    if order is None:
        table = table.sort_values(found.names[0], ascending=False, kind="stable")
    else:
        differences = found.class_differences(*order, question.protocol, level)
        table, gain = table.loc[differences.index], differences["difference"]
        with row[2]:
            st.markdown(
                f"**{order[1]}** is better on **{int((gain > 0).sum())}** of {len(gain)} classes, worse on "
                f"**{int((gain < 0).sum())}**; mean difference **{theme.delta(float(gain.mean()))}**."
            )
    _chart(plots.class_figure(table, detection_sets.plot_theme()), "classes")
    with st.expander("As a table"):
        one_decimal = {name: st.column_config.NumberColumn(format="%.1f") for name in table.columns}
        st.dataframe(100 * table, height=420, placeholder="–", column_config=one_decimal)


def curves(question: Question) -> None:
    """Show precision over recall."""
    truth = question.split.truth()
    level, label = _level_and(question, "pr", "Class", ["mean over classes", *truth.classes])
    wanted = [label] if label in truth.classes else []
    drawn = {}
    for ref in question.sets:
        found = precision_recall(
            detection_sets.load_set(ref), truth, protocol=question.protocol, tiou=level, labels=wanted
        )
        if wanted and len(found) < 2:
            st.info(f"{label} has no instance in the {question.split.name} split.", icon=":material/info:")
            return
        drawn[ref.name] = found[1] if wanted else found[0]
    _chart(plots.precision_recall_figure(drawn, detection_sets.plot_theme()), "pr")
    st.caption(
        "Thin steps: the precision envelope, the area under which is the interpolated AP."
        if wanted
        else "Mean over the classes of the precision envelope at each recall."
    )


def scores(question: Question) -> None:
    """Show how the scores of true and false positives are spread."""
    truth = question.split.truth()
    level, label = _level_and(question, "score", "Class", ["all classes", *truth.classes])
    chosen = label if label in truth.classes else None
    for i in range(0, len(question.sets), 2):
        for column, ref in zip(st.columns(2, gap="medium"), question.sets[i : i + 2], strict=False):
            with column:
                st.subheader(ref.name)
                histogram = score_histogram(
                    detection_sets.load_set(ref), truth, protocol=question.protocol, tiou=level, label=chosen
                )
                _chart(plots.histogram_figure(histogram, detection_sets.plot_theme()), f"scores-{i}-{ref.name}")


def slices(question: Question, runs: Collection[str]) -> None:
    """Show mAP on the instances of one length, coverage or number, or on the videos whose failures carry a tag."""
    names = {**{key: f"{key}: {meaning}" for key, meaning in CHARACTERISTICS.items()}, _TAG: "tag of failures"}
    level, by = _level_and(question, "slice", "Sliced by", list(names), format_func=names.__getitem__)
    if by == _TAG:
        tagged = _tagged(runs)
        if not tagged:
            st.info(
                "**No failure of these runs has a tag yet.** Tag some on the Failures page; here mAP is then shown on "
                "the videos that have them.",
                icon=":material/sell:",
            )
            return
        table = detection_sets.video_slices(question.sets, question.split, tagged, question.protocol, level)
        what = f"mAP, {question.protocol}, on the videos in which a failure of one of these runs carries the tag."
    else:
        diagnoses = {
            s.name: detection_sets.diagnosis(s, question.split, question.protocol, level) for s in question.sets
        }
        table = slice_by_instances(diagnoses, by)
        what = (
            "mAP_N as in DETAD (Alwassel et al., ECCV 2018): only the instances of the slice count, every false "
            "positive stays, precision is normalised for the number of instances. It compares slices; it is not mAP."
        )
    _chart(plots.slice_figure(table, question.names, detection_sets.plot_theme()), f"slices-{by}")
    counts = [column for column in ("videos", "instances") if column in table]
    body = ""
    for _, row in table.iterrows():
        best = max(round(100 * row[name], 1) for name in question.names)
        cells = "".join(f"<td>{row[column]:,}</td>" for column in counts)
        for name in question.names:
            text = theme.percent(row[name])
            bold = len(question.names) > 1 and round(100 * row[name], 1) == best
            cells += f"<td>{f'<b>{text}</b>' if bold else text}</td>"
        body += f"<tr><td>{escape(str(row['slice']))}</td>{cells}</tr>"
    head = f"<th>{escape(by)}</th>" + "".join(f"<th>{column}</th>" for column in counts)
    _table(head + "".join(f"<th>{_marked(name, question.names)}</th>" for name in question.names), body)
    st.caption(what)


def _tagged(runs: Collection[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return `(tag, videos)` of the notes of all compared runs."""
    notes = []
    for run in runs:
        try:
            notes.append(FailureNotes(loaders.load_run(run).folder).all())
        except WtalError as error:
            show_error(error)
    return tuple(tagged_videos(*notes).items())


def significance(question: Question) -> None:
    """Show the paired bootstrap over videos of every set against one of them."""
    sets, names = question.sets, question.names
    if len(sets) < 2:
        st.info(
            "**One set alone has nothing to differ from.** Choose a second run, or bring in detections by "
            "*Detection files*.",
            icon=":material/compare_arrows:",
        )
        return
    row = st.columns([1.2, 1.2, 1, 2.4], vertical_alignment="bottom")
    with row[0]:
        first = sets[names.index(st.selectbox("Compared with", names, key=f"first.{names}"))]
    with row[1]:
        resamples = st.selectbox(
            "Resamples", [200, 1000, 5000], index=1, key="resamples", format_func=lambda n: f"{n:,}"
        )
    with row[2]:
        seed = int(st.number_input("Seed", 0, 2**31 - 1, 0, key="bootstrap_seed"))
    tables = {
        ref.name: detection_sets.bootstrap(
            first, ref, question.split, question.protocol, question.levels, resamples, seed
        )
        for ref in sets
        if ref != first
    }
    _chart(plots.interval_figure(tables, detection_sets.plot_theme(), first=first.name, names=names), "bootstrap")
    body = ""
    for name, table in tables.items():
        line = table.loc["average"]
        body += (
            f"<tr><td>{_marked(name, names)} − {escape(first.name)}</td><td>{theme.percent(line['first'])}</td>"
            f"<td>{theme.percent(line['second'])}</td><td><b>{theme.delta(line['difference'])}</b></td>"
            f"<td>[{theme.delta(line['low'])}, {theme.delta(line['high'])}]</td><td>{line['p_value']:.3f}</td></tr>"
        )
    head = f"<th>average mAP</th><th>{escape(first.name)}</th><th>the other</th>"
    _table(head + "<th>difference</th><th>95 % interval</th><th>p</th>", body)
    st.caption(
        f"Paired bootstrap over videos, {question.protocol}: both sets are scored on the same {resamples:,} draws of "
        "the videos with replacement. The interval says where the difference would lie with other videos of the same "
        "kind; it does not cover other seeds."
    )
