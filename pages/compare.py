"""Compare: is it better?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from html import escape

import streamlit as st

from pages.ui import library, pickers, results, theme
from pages.ui.errors import guard, show_error
from pages.ui.results import SetRef
from pages.ui.state import selection
from wtal_core.errors import UsageError, WtalError
from wtal_core.evaluation import (
    PROTOCOLS,
    TIOU_PRESETS,
    Comparison,
    list_protocols,
    parse_tiou,
    precision_recall,
    score_histogram,
)
from wtal_core.figures import plots
from wtal_core.papers import Paper, PublishedRow, PublishedTable, dataset_name, published_results
from wtal_core.papers.tables import ComparisonRow, comparison_rows, csv_table, latex_table
from wtal_core.runs.sources import seed_groups

VIEWS = ("mAP", "Classes", "Precision-recall", "Scores", "Significance")
NOTHING = "none"
_FIRST = '<th>mAP % at tIoU</th><th class="left">protocol</th>'

_CSS = """
<style>
.cmp { width:100%; border-collapse:collapse; font-size:.86rem; font-variant-numeric:tabular-nums; }
.cmp th { font-weight:600; text-align:right; padding:.32rem .5rem; white-space:nowrap;
  border-bottom:1px solid color-mix(in srgb, currentColor 28%, transparent); }
.cmp td { text-align:right; padding:.3rem .5rem; white-space:nowrap; }
.cmp th:first-child, .cmp td:first-child { text-align:left; }
.cmp th.left, .cmp td.left { text-align:left; }
.cmp tr.block td { border-top:1px solid color-mix(in srgb, currentColor 18%, transparent); }
.cmp tr.printed td { opacity:.68; font-style:italic; }
.cmp b { font-weight:700; }
.cmp .mark { display:inline-block; width:.65rem; height:.65rem; border-radius:2px; margin-right:.45rem; }
.cmp small { opacity:.75; font-style:normal; }
.cmp-wrap { overflow-x:auto; }
</style>
"""


def main() -> None:
    """Draw the page."""
    st.html(_CSS)
    columns = st.columns([1.3, 3.2, 1.1, 1.2], gap="small", vertical_alignment="bottom")
    with columns[0]:
        entry = pickers.pick_dataset()
    if entry is None:
        st.info(
            "**There is no data set in this workspace yet.** Bring one in on the Data page, or make the demo world "
            "with `wtal demo`. Sets of detections are compared on a data set's ground truth.",
            icon=":material/folder_open:",
        )
        return
    with guard():
        dataset = library.load_dataset(entry.id)
        split = library.test_split(dataset)
        truth = library.ground_truth(entry.id, split)
    with columns[1]:
        runs = _pick_sets(entry.id)
    with columns[2]:
        st.selectbox("tIoU", list(TIOU_PRESETS), key="levels", bind="query-params")
    with columns[3], st.popover("Detection files", icon=":material/upload_file:", width="stretch"):
        imported = _imported()
    levels = parse_tiou(st.session_state["levels"])
    sets = _sets(runs, imported)
    if not sets:
        _teach(entry.id)
        return
    row = st.columns([2.6, 1.5, 3], gap="medium", vertical_alignment="bottom")
    with row[0]:
        protocols = st.pills(
            "Protocols",
            list_protocols(),
            selection_mode="multi",
            default=["activitynet"],
            key="protocols",
            bind="query-params",
            help="\n".join(f"- **{name}**: {PROTOCOLS[name].summary}" for name in list_protocols()),
        )
    with row[1]:
        same = dataset_name(dataset.name)
        options = [NOTHING, "THUMOS14", "ActivityNet1.2", "ActivityNet1.3"]
        printed_on = st.selectbox(
            "Printed numbers",
            options,
            index=options.index(same) if same else 0,
            key="printed",
            bind="query-params",
            help="What the five papers printed about their own methods.",
        )
    with row[2]:
        view = st.segmented_control(
            "View",
            VIEWS,
            default=VIEWS[0],
            required=True,
            key="view",
            bind="query-params",
            label_visibility="collapsed",
        )
    with guard():
        sets = _readable(sets)
        if not sets:
            return
        found = results.comparison(sets, entry.id, split, tuple(protocols or ["activitynet"]), levels)
    protocol = found.protocols[0]
    if len(found.protocols) > 1 and view != "mAP":
        protocol = st.segmented_control(
            "Protocol", found.protocols, default=protocol, required=True, key="compare_protocol"
        )
    with guard():
        if view == "mAP":
            printed = [] if printed_on == NOTHING else list(published_results(printed_on))
            _mean_ap(found, printed, printed_on, dataset.name, same == printed_on)
            _seeds(found, runs)
        elif view == "Classes":
            _classes(found, protocol)
        elif view == "Precision-recall":
            _curves(sets, truth.classes, entry.id, split, protocol, levels)
        elif view == "Scores":
            _scores(sets, truth.classes, entry.id, split, protocol, levels)
        else:
            _significance(sets, entry.id, split, protocol, levels)


# -- what is compared -----------------------------------------------------------------------------------------------


def _pick_sets(dataset_id: str) -> list[str]:
    known = library.runs(dataset_id)
    wanted = [run for run in selection().runs if run in known]
    default = wanted or [run for run, entry in known.items() if not entry.error][:4]
    return st.multiselect(
        "Runs",
        list(known),
        default=default,
        key="sets",
        bind="query-params",
        placeholder="Choose runs" if known else "No runs yet",
        help="The first one is what the others are compared with.",
    )


def _imported() -> list[SetRef]:
    """Show the ways to bring in detections of other systems, and return those that were brought in."""
    st.markdown("Detections of any system: ActivityNet results JSON, THUMOS14 text, or CSV.")
    text = st.text_area(
        "Paths on this machine, one a line",
        key="files",
        bind="query-params",
        placeholder="/data/results/other_system.json",
        height=90,
    )
    uploads = st.file_uploader("Or upload", accept_multiple_files=True, type=["json", "txt", "csv"], key="uploads")
    lines = dict.fromkeys(line.strip() for line in (text or "").splitlines())
    found = [results.file_set(line) for line in lines if line]
    for upload in uploads or []:
        try:
            found.append(results.upload_set(upload.name, upload.getvalue()))
        except WtalError as error:
            show_error(error)
    if found:
        st.caption(f"{len(found)} beside the runs.")
    return found


def _sets(runs: Sequence[str], imported: Sequence[SetRef]) -> tuple[SetRef, ...]:
    """Return all sets with names that differ."""
    sets: list[SetRef] = []
    for run in runs:
        try:
            sets.append(results.run_set(run))
        except WtalError as error:
            show_error(error)
    for ref in imported:
        name, number = ref.name, 2
        while any(s.name == name for s in sets):
            name, number = f"{ref.name} ({number})", number + 1
        sets.append(replace(ref, name=name))
    return tuple(sets)


def _readable(sets: Sequence[SetRef]) -> tuple[SetRef, ...]:
    """Return the sets that can be read; say what is wrong with the others."""
    good: list[SetRef] = []
    for ref in sets:
        try:
            if not len(results.load_set(ref)):
                raise UsageError("holds no detections", where=ref.name)
            good.append(ref)
        except WtalError as error:
            show_error(error)
    return tuple(good)


def _teach(dataset_id: str) -> None:
    known = library.runs(dataset_id)
    if known:
        st.info(
            "**Choose runs or bring in detection files** to put them side by side.", icon=":material/compare_arrows:"
        )
        return
    st.info(
        "**No run of this data set yet.** Train one on the Train page, or bring in the detections of another system by "
        "*Detection files*: ActivityNet results JSON, THUMOS14 text or CSV.",
        icon=":material/compare_arrows:",
    )


# -- views ----------------------------------------------------------------------------------------------------------


def _chart(figure: object, name: str) -> None:
    st.plotly_chart(figure, theme=None, config=plots.plotly_config(name), key=f"fig.{name}")  # type: ignore[arg-type]


def _table_html(columns: Sequence[str], rows: Sequence[ComparisonRow], names: Sequence[str]) -> str:
    look = results.plot_theme()
    head = "".join(f"<th>{escape(c)}</th>" for c in columns)
    body = []
    before: str | None = None
    for row in rows:
        block = row.protocol if not row.printed else "printed"
        classes = " ".join(["block"] * (block != before) + ["printed"] * bool(row.printed))
        before = block
        mark = ""
        if not row.printed:
            colour = plots.series_look(look, list(names).index(row.name))["colour"]
            mark = f'<span class="mark" style="background:{colour}"></span>'
        name = escape(row.name) + (f" <small>{escape(row.printed)}</small>" if row.printed else "")
        cells = "".join(
            f"<td>{'<b>' if best else ''}{'–' if v is None else f'{v:.1f}'}{'</b>' if best else ''}</td>"
            for v, best in zip(row.values, row.best, strict=True)
        )
        start = f'<tr class="{classes}"><td>{mark}{name}</td><td class="left">'
        body.append(f"{start}{escape(row.protocol or 'not said')}</td>{cells}</tr>")
    return (
        f'<div class="cmp-wrap"><table class="cmp"><thead><tr>{_FIRST}{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _mean_ap(
    found: Comparison,
    printed: Sequence[tuple[Paper, PublishedTable, PublishedRow]],
    printed_on: str,
    dataset: str,
    same: bool,
) -> None:
    columns, rows = comparison_rows(found, printed)
    st.html(_table_html(columns, rows, found.names))
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
            with st.popover(f"{len(notes)} notes", icon=":material/notes:"):
                for note in sorted(notes):
                    st.markdown(f"- {note}")
    for protocol in found.protocols:
        st.subheader(f"mAP over tIoU, {protocol}")
        lines = {name: found.mean_ap(name, protocol) for name in found.names}
        others = {
            f"{paper.name}{f' {row.feature}' if row.feature else ''}": {
                t: v for t, v in table.mean_ap(row).items() if t in found.tiou
            }
            for paper, table, row in printed
            if paper.protocol in (protocol, None)
        }
        _chart(plots.mean_ap_figure(lines, others, results.plot_theme()), f"map-{protocol}")


def _seeds(found: Comparison, runs: Sequence[str]) -> None:
    groups = seed_groups({run: library.load_run(run) for run in runs if run in found.names})
    if not groups:
        return
    st.subheader("Seeds: mean ± standard deviation")
    head = "".join(f"<th>{t:g}</th>" for t in found.tiou)
    body = ""
    for title, names in groups.items():
        for protocol in found.protocols:
            levels, average = found.over_seeds(names, protocol)
            cells = "".join(f"<td>{_spread(*levels[t])}</td>" for t in found.tiou) + f"<td>{_spread(*average)}</td>"
            body += f'<tr><td>{escape(title)}</td><td class="left">{escape(protocol)}</td>{cells}</tr>'
    st.html(
        f'<div class="cmp-wrap"><table class="cmp"><thead><tr>{_FIRST}{head}<th>average</th></tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _spread(mean: float, deviation: float) -> str:
    return f"{theme.percent(mean)} ± {theme.percent(deviation)}"


def _level(levels: Sequence[float], key: str) -> float:
    """Pick one threshold."""
    middle = levels.index(0.5) if 0.5 in levels else len(levels) // 2
    return float(st.selectbox("tIoU", levels, index=middle, format_func=lambda t: f"{t:g}", key=f"{key}.{levels}"))


def _classes(found: Comparison, protocol: str) -> None:
    row = st.columns([1.2, 1.6, 3], vertical_alignment="bottom")
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
    table = found.ap(protocol, level)
    if order is None:
        table = table.sort_values(found.names[0], ascending=False, kind="stable")
    else:
        table = table.loc[found.class_differences(*order, protocol, level).index]
        gain = found.class_differences(*order, protocol, level)["difference"]
        with row[2]:
            st.markdown(
                f"**{order[1]}** is better on **{int((gain > 0).sum())}** of {len(gain)} classes, worse on "
                f"**{int((gain < 0).sum())}**; mean difference **{theme.delta(float(gain.mean()))}**."
            )
    _chart(plots.class_figure(table, results.plot_theme()), "classes")
    with st.expander("As a table"):
        st.dataframe((100 * table).round(1), height=420)


def _curves(
    sets: Sequence[SetRef], classes: Sequence[str], dataset_id: str, split: str, protocol: str, levels: Sequence[float]
) -> None:
    truth = library.ground_truth(dataset_id, split)
    row = st.columns([1.2, 1.6, 3], vertical_alignment="bottom")
    with row[0]:
        level = _level(levels, "pr_level")
    with row[1]:
        label = st.selectbox("Class", ["mean over classes", *classes], key="pr_class")
    wanted = [label] if label in classes else []
    curves = {}
    for ref in sets:
        found = precision_recall(results.load_set(ref), truth, protocol=protocol, tiou=level, labels=wanted)
        if wanted and len(found) < 2:
            st.info(f"{label} has no instance in the {split} split.", icon=":material/info:")
            return
        curves[ref.name] = found[1] if wanted else found[0]
    _chart(plots.precision_recall_figure(curves, results.plot_theme()), "pr")
    st.caption(
        "Thin steps: the precision envelope, the area under which is the interpolated AP."
        if wanted
        else "Mean over the classes of the precision envelope at each recall."
    )


def _scores(
    sets: Sequence[SetRef], classes: Sequence[str], dataset_id: str, split: str, protocol: str, levels: Sequence[float]
) -> None:
    truth = library.ground_truth(dataset_id, split)
    row = st.columns([1.2, 1.6, 3], vertical_alignment="bottom")
    with row[0]:
        level = _level(levels, "score_level")
    with row[1]:
        label = st.selectbox("Class", ["all classes", *classes], key="score_class")
    for i in range(0, len(sets), 2):
        for column, ref in zip(st.columns(2, gap="medium"), sets[i : i + 2], strict=False):
            with column:
                st.subheader(ref.name)
                histogram = score_histogram(
                    results.load_set(ref),
                    truth,
                    protocol=protocol,
                    tiou=level,
                    label=label if label in classes else None,
                )
                _chart(plots.histogram_figure(histogram, results.plot_theme()), f"scores-{i}-{ref.name}")


def _significance(
    sets: Sequence[SetRef], dataset_id: str, split: str, protocol: str, levels: tuple[float, ...]
) -> None:
    if len(sets) < 2:
        st.info(
            "**One set alone has nothing to differ from.** Choose a second run, or bring in detections by "
            "*Detection files*.",
            icon=":material/compare_arrows:",
        )
        return
    row = st.columns([1.2, 1.2, 1, 2.4], vertical_alignment="bottom")
    with row[0]:
        names = [ref.name for ref in sets]
        first = sets[names.index(st.selectbox("Compared with", names, key=f"first.{names}"))]
    with row[1]:
        resamples = st.selectbox(
            "Resamples", [200, 1000, 5000], index=1, key="resamples", format_func=lambda n: f"{n:,}"
        )
    with row[2]:
        seed = int(st.number_input("Seed", 0, 2**31 - 1, 0, key="bootstrap_seed"))
    tables = {
        ref.name: results.bootstrap(first, ref, dataset_id, split, protocol, levels, resamples, seed)
        for ref in sets
        if ref != first
    }
    _chart(plots.interval_figure(tables, results.plot_theme(), first=first.name), "bootstrap")
    body = ""
    for name, table in tables.items():
        line = table.loc["average"]
        body += (
            f"<tr><td>{escape(name)} − {escape(first.name)}</td><td>{theme.percent(line['first'])}</td>"
            f"<td>{theme.percent(line['second'])}</td><td><b>{theme.delta(line['difference'])}</b></td>"
            f"<td>[{theme.delta(line['low'])}, {theme.delta(line['high'])}]</td><td>{line['p_value']:.3f}</td></tr>"
        )
    st.html(
        '<div class="cmp-wrap"><table class="cmp"><thead><tr><th>average mAP</th>'
        f"<th>{escape(first.name)}</th><th>the other</th><th>difference</th><th>95 % interval</th><th>p</th>"
        f"</tr></thead><tbody>{body}</tbody></table></div>"
    )
    st.caption(
        f"Paired bootstrap over videos, {protocol}: both sets are scored on the same {resamples:,} draws of the "
        "videos with replacement. The interval says where the difference would lie with other videos of the same kind; "
        "it does not cover other seeds."
    )


main()
