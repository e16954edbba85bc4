"""Explore: what does the model see in this video?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import streamlit as st

from pages.ui import library, media, pickers, theme
from pages.ui.errors import guard
from pages.ui.live_controls import controls, fields_of, read_values
from pages.ui.state import select, selection
from pages.ui.timeline import pack, timeline
from wtal_core.data import Dataset
from wtal_core.errors import WtalError
from wtal_core.evaluation import TIOU_PRESETS, list_protocols
from wtal_core.methods import Method
from wtal_core.records import Activations, Annotations
from wtal_core.runs import live, tracks
from wtal_core.settings import parse_assignments

LETTERS = "ABCD"
KEY = "timeline"
CONTROLS = "controls"
LENS = "~gamma"
VERDICT_TIOU = TIOU_PRESETS["0.1:0.7"]


# -- cached ---------------------------------------------------------------------------------------------------------


@st.cache_resource(max_entries=8, show_spinner="Reading the run")
def _live_split(
    run_id: str, folder: str, dataset_id: str, split: str, protocol: str, stamps: tuple[int, ...], _stored: Any
) -> live.LiveSplit:
    return live.LiveSplit(
        library.load_run(run_id),
        library.load_activations(run_id),
        library.ground_truth(dataset_id, split),
        protocol=protocol,
        stored=_stored,
    )


def live_split(run_id: str, dataset_id: str, split: str, protocol: str) -> live.LiveSplit:
    """Return the run's post-processing on a split, ready to follow sliders."""
    run = library.load_run(run_id)
    paths = (run.activations_path, run.detections_path, run.folder / "localization.json")
    stored = library.load_detections(run_id) if run.detections_path.is_file() else None
    stamps = tuple(library.stamp(p) for p in paths)
    truth = library.load_dataset(dataset_id).folder
    stamps = (*stamps, library.stamp(truth / "dataset.yaml"))
    return _live_split(run_id, f"{run.folder}|{truth}", dataset_id, split, protocol, stamps, stored)


@st.cache_resource(max_entries=4, show_spinner="Loading the model")
def _method(folder: str, stamp: int, checkpoint: str, device: str, changes: tuple[tuple[str, Any], ...]) -> Method:
    from wtal_core.runs.folder import Run

    return live.load_method(Run.open(folder), checkpoint=checkpoint, device=device, changes=dict(changes))


@st.cache_resource(max_entries=24, show_spinner=False)
def _run_tracks(key: tuple[Any, ...], _acts: Activations, _before: Activations | None, **what: Any) -> list[Any]:
    return tracks.run_tracks(_acts, before=_before, **what)


# -- what the page knows --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class View:
    """What is looked at: everything the workbench needs, picked above it."""

    dataset_id: str
    dataset: Dataset
    annotations: Annotations
    split: str
    runs: tuple[str, ...]
    video: str
    label: str

    @property
    def subject(self) -> str:
        """What time and zoom belong to."""
        return f"{self.dataset_id}/{self.video}"


@dataclass
class Again:
    """What the model said when it was asked again, kept for the session.

    Args:
        run: id of the run.
        activations: by video.
        text: what was asked and how long it took.
        whole: whether the whole split was computed.
        number: changes with every computation.
    """

    run: str
    activations: Mapping[str, Activations]
    text: str
    whole: bool
    number: int


@dataclass
class Erased:
    """Snippets that are dropped from the model's input."""

    subject: str = ""
    spans: list[list[float]] = field(default_factory=list)


# -- the page -------------------------------------------------------------------------------------------------------


def main() -> None:
    """Draw the page."""
    st.html(_CSS)
    columns = st.columns([1.2, 2.2, 1.7, 1.3], gap="small")
    with columns[0]:
        entry = pickers.pick_dataset()
    if entry is None:
        st.info(
            "**There is no data set in this workspace yet.** Bring one in on the Data page, or make the demo world "
            "with `wtal demo`. A data set is a folder with `dataset.yaml`, annotations and features; videos are "
            "optional.",
            icon=":material/folder_open:",
        )
        return
    with guard():
        dataset = library.load_dataset(entry.id)
        annotations = library.load_annotations(entry.id)
        split = library.test_split(dataset)
        videos = dataset.videos(split)
    with columns[1]:
        runs = pickers.pick_runs(entry.id)
    with columns[2]:
        video = pickers.pick_video(dataset, videos)
    if video is None:
        st.info(f"The split “{split}” of this data set lists no videos.")
        return
    present = list(dict.fromkeys(annotations.instances.for_video(video).label.tolist()))
    with columns[3]:
        label = pickers.pick_class(annotations.classes, (present or list(annotations.classes))[0], marked=present)
    select(dataset=entry.id, runs=runs, video=video, label=label)
    workbench(View(entry.id, dataset, annotations, split, runs, video, label))


@st.fragment
def workbench(view: View) -> None:
    """Draw panel and timeline; a moved control reruns this part only."""
    left, right = st.columns([3.75, 1], gap="small")
    lead = view.runs[0] if view.runs else None
    entries = library.runs()
    with right, st.container(key="panel"):
        if lead is None:
            st.info("Choose a run above to see what a model says, or train one on the Train page.")
            rules = Panel(tiou=selection().tiou or 0.5)
        else:
            rules = panel(view, lead)
    with left:
        shown, facts = build(view, entries, rules)
        where = selection()
        timeline(
            pack(
                shown,
                start={"t": where.t, "from": where.t0, "to": where.t1, "nonce": 0},
                subject=view.subject,
                tiou=rules.tiou,
                label=view.label,
                classes=view.annotations.classes,
                **facts,
            ),
            KEY,
            on_moment=_moved,
            on_erase=_erase,
            on_label=_labelled,
        )
    if rules.split is not None:
        with guard(stop=False):
            show_scores(rules.scores, rules.split, rules.changes, rules.tiou)
    if rules.table is not None:
        show_table(rules.table, shown, view.video)


# -- panel ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Panel:
    """What the panel says: verdict rules and changed settings; and where it shows results.

    Args:
        protocol, tiou: what verdicts and mAP are made under.
        changes: localization settings of the leading run that differ from the stored ones.
        split: its post-processing, None where there is no run, or it cannot be read.
        scores, table: containers that are filled when the timeline stands.
    """

    protocol: str = "activitynet"
    tiou: float = 0.5
    changes: dict[str, Any] = field(default_factory=dict)
    split: live.LiveSplit | None = None
    scores: Any = None
    table: Any = None


def panel(view: View, lead: str) -> Panel:
    """Draw verdict rules, scores, post-processing and recomputing of the leading run."""
    first, second = st.columns([1.35, 1], gap="small")
    protocol = first.selectbox(
        "Protocol",
        list_protocols(),
        key="explore.protocol",
        help="Named evaluation protocol that mAP is computed under.",
    )
    wanted = selection().tiou or 0.5
    key = "explore.tiou"
    if key not in st.session_state:
        st.session_state[key] = wanted if wanted in VERDICT_TIOU else 0.5
    tiou = second.selectbox(
        "tIoU", VERDICT_TIOU, key=key, on_change=_tiou_changed, help="True or false positive at this overlap."
    )
    scores = st.container()  # not st.empty(), which would blank the table until the new numbers are there
    tune, again, table = st.tabs(["Post-processing", "Recompute", "Table"])
    split: live.LiveSplit | None = None
    changes: dict[str, Any] = {}
    with again:
        recompute_controls(view, lead)
    with tune, guard(stop=False):
        split = _with_recomputed(live_split(lead, view.dataset_id, view.split, protocol), lead, view, protocol)
        changes = tune_controls(view, lead, split)
    return Panel(protocol, tiou, changes, split, scores, table)


def _with_recomputed(split: live.LiveSplit, lead: str, view: View, protocol: str) -> live.LiveSplit:
    """Return the split on recomputed activations where the whole split was computed again."""
    again = _again(lead)
    if again is None or not again.whole:
        return split
    kept = st.session_state.get("explore.again.split")
    if kept is None or kept[0] != (again.number, protocol):
        new = live.LiveSplit(
            split.run, again.activations, library.ground_truth(view.dataset_id, view.split), protocol=protocol
        )
        new.baseline = split.baseline  # differences refer to the stored run
        st.session_state["explore.again.split"] = kept = ((again.number, protocol), new)
    result: live.LiveSplit = kept[1]
    return result


def tune_controls(view: View, lead: str, split: live.LiveSplit) -> dict[str, Any]:
    """Draw the run's localization settings; return what differs from the stored ones."""
    try:
        changes = dict(selection().settings)
        split.settings(changes)
    except WtalError as error:
        st.caption(f":red[This link's settings do not fit this run: {error}]")
        changes = {}
    fields = fields_of(split.localization, changes)
    config = split.run.config()
    if hasattr(config, "gamma") and hasattr(config, "drop_mode"):
        fields.append(
            {
                "key": LENS, "label": "drop threshold γ (lens)", "kind": "range", "integer": False,
                "help": "Which snippets the hybrid attention would drop; detections do not depend on it.",
                "value": _lens(lead, config), "stored": config.gamma, "low": 0.0, "high": 1.0, "step": 0.01,
            }
        )  # fmt: skip
    problem = st.session_state.get("explore.problem", "")
    if problem:
        st.caption(f":red[{problem}]")
    report = st.session_state.get("explore.values", {})
    scope = f"{lead}|{split.run.folder}|{st.session_state.get('explore.form', 0)}"
    st.session_state["explore.tuned"] = (scope, lead, split.localization)
    controls(fields, CONTROLS, scope=scope, ack=report.get(scope, 0), on_values=_tuned)
    one, two = st.columns(2, gap="small")
    one.button("Reset", on_click=_reset_settings, disabled=not changes, width="stretch", help="Back to the stored run.")
    if two.button(
        "Keep as new run",
        disabled=not changes,
        width="stretch",
        help="A new run folder with the same weights and activations and these settings.",
    ):
        with guard(stop=False):
            new = live.keep_as_new_run(split.run, split.update(changes))
            st.toast(f"Kept as {new.name}.", icon=":material/check:")
            found = next((i for i, e in library.runs().items() if e.folder == new.folder.resolve()), None)
            if found is not None:
                select(runs=(found, *(r for r in view.runs if r != found))[:4], settings={})
                st.rerun(scope="app")
    return changes


def show_scores(place: Any, split: live.LiveSplit, changes: dict[str, Any], tiou: float) -> None:
    """Show the split's mAP with differences to the stored run."""
    result = split.update(changes)
    rows = []
    for level, value in result.evaluation.mean_ap.items():
        mark = ' class="now"' if abs(level - tiou) < 1e-9 else ""
        rows.append(f"<tr{mark}><td>{level:g}</td><td>{theme.percent(value)}</td>{_delta(result.delta[level])}</tr>")
    average, difference = result.evaluation.average, result.delta_average
    rows.append(f'<tr class="sum"><td>avg</td><td>{theme.percent(average)}</td>{_delta(difference)}</tr>')
    evaluation = result.evaluation
    head = "<tr><th>tIoU</th><th>mAP %</th><th>vs stored</th></tr>"
    place.html(
        f'<div class="scores" data-changes="{len(changes)}"><table>{head}'
        f"{''.join(rows)}</table><p>{evaluation.num_videos} videos, {evaluation.num_detections:,} detections, "
        f"{1000 * result.seconds:.0f} ms</p></div>"
    )


def _delta(value: float) -> str:
    text = theme.delta(value)
    kind = "up" if text.startswith("+") else "down" if text.startswith("−") else "same"
    return f'<td class="{kind}">{text}</td>'


def show_table(place: Any, shown: list[tracks.Track], video: str) -> None:
    """Show the leading run's detections and the ground truth as a table: to read aloud, sort and copy."""
    rows = [
        {"start": i["start"], "end": i["end"], "verdict": i["verdict"], "score": i["score"], "label": i["label"]}
        for track in shown
        if track.key == "det:A"
        for i in track.items
    ]
    rows += [
        {"start": i["start"], "end": i["end"], "verdict": "truth", "score": None, "label": i["label"]}
        for track in shown
        if track.key == "gt"
        for i in track.items
    ]
    two, three = st.column_config.NumberColumn(format="%.2f"), st.column_config.NumberColumn(format="%.3f")
    place.dataframe(
        rows,
        hide_index=True,
        height=420,
        column_config={"start": two, "end": two, "score": three},
        key=f"table.{video}",
    )


def flow_tracks(view: View) -> list[tracks.Track]:
    """Return optical-flow intensity and mined static clips where they were computed before."""
    path = view.dataset.video_path(view.video)
    kept = None if path is None else live.stored_flow(_flow_folder(), path)
    return [] if kept is None else tracks.flow_track(kept.intensity, kept.fps, kept.duration, kept.static)


def flow_controls(view: View) -> None:
    """Offer to compute optical flow of the video, once."""
    path = view.dataset.video_path(view.video)
    st.markdown("**Optical flow**")
    if path is None:
        st.caption("Needs the video file.")
        return
    if live.stored_flow(_flow_folder(), path) is not None:
        st.caption("Intensity and static clips are shown as tracks.")
        return
    if st.button("Compute intensity", width="stretch", help="DIS optical flow of every frame; kept for next time."):
        grid = library.load_features(view.dataset_id).grid(view.video)
        with st.spinner("Computing optical flow"):
            live.compute_flow(_flow_folder(), path, grid)
        st.rerun(scope="fragment")


def _flow_folder() -> Path:
    return library.workspace().home / ".wtal" / "flow"


def recompute_controls(view: View, lead: str) -> None:
    """Draw device, checkpoint, crop and config changes, and run the model again."""
    with guard(stop=False):
        run = library.load_run(lead)
        if not run.checkpoints():
            st.caption("This run holds no checkpoint: its stored activations are all there is.")
            return
        devices = _devices()
        device = st.selectbox("Device", list(devices), format_func=devices.__getitem__, key="explore.device")
        checkpoint = st.selectbox("Checkpoint", run.checkpoints(), key=f"explore.checkpoint.{lead}")
        store = library.load_features(view.dataset_id, run.info.dataset.get("features"))
        if view.video not in store.videos:
            st.caption("There are no features of this video, so the model cannot be asked again.")
            return
        shape = store.shape(view.video)
        crop = None
        if len(shape) == 3:
            crops = [None, *range(shape[0])]
            crop = st.selectbox("Crop", crops, format_func=lambda i: "mean of all" if i is None else f"crop {i + 1}")
        text = st.text_input(
            "Changed settings",
            key=f"explore.changes.{lead}",
            placeholder="gamma=0.3 drop_mode=absolute" if run.info.method == "hamnet" else "name=value",
            help="Config values that leave the network's layers as they are, e.g. HAM-Net's drop threshold.",
        )
        changes = parse_assignments(text.split())
        one, two = st.columns(2, gap="small")
        video_now = one.button("This video", width="stretch", key="explore.once")
        split_now = two.button(f"Whole {view.split} split", width="stretch", key="explore.all")
        if video_now or split_now:
            method = _loaded(lead, checkpoint, device, changes)
            what = ", ".join([checkpoint, *([f"crop {crop + 1}"] if crop is not None else []), *text.split()])
            if split_now:
                bar = st.progress(0.0, "Asking the model")
                videos = view.dataset.videos(view.split)
                done = live.recompute_split(
                    method, store, videos, crop=crop, progress=lambda i, n: bar.progress(i / n, f"{i} of {n} videos")
                )
                bar.empty()
            else:
                done = live.recompute(method, store.read(view.video), crop=crop)
            number = st.session_state.get("explore.again.number", 0) + 1
            st.session_state["explore.again.number"] = number
            of = f"{len(done.activations)} videos" if split_now else view.video
            st.session_state["explore.again"] = Again(
                lead,
                done.activations,
                f"{of}: {_duration(done.seconds)} on {devices[device]} ({what})",
                split_now,
                number,
            )
        again = _again(lead)
        if again is not None:
            st.caption(again.text)
            st.button("Back to the stored activations", on_click=_forget_again, width="stretch")
        st.divider()
        erased = _erased(view)
        st.markdown("**Erase**")
        if not erased.spans:
            st.caption("Switch on *Erase* above the tracks and brush over snippets: they are dropped from the input.")
        fill = st.segmented_control(
            "The model gets instead",
            ["zeros", "mean"],
            default="zeros",
            key="explore.fill",
            help="A snippet in which nothing fires, or the video's mean snippet. Time stays where it is.",
        )
        if erased.spans:
            method = _loaded(lead, checkpoint, device, changes)
            spans = [(a, b) for a, b in erased.spans]
            done = live.recompute(method, store.read(view.video), crop=crop, spans=spans, fill=fill or "zeros")
            st.session_state["explore.erased.result"] = (view.subject, lead, done.activations[view.video], spans, fill)
            count = int(store.grid(view.video).mask(*zip(*spans, strict=True)).sum())
            st.caption(f"{count} snippets erased, {_duration(done.seconds)} on {devices[device]}.")
            st.button("Clear", on_click=_clear_erased, width="stretch", key="explore.clear")
        else:
            st.session_state.pop("explore.erased.result", None)
        flow_controls(view)


def _loaded(lead: str, checkpoint: str, device: str, changes: dict[str, Any]) -> Method:
    run = library.load_run(lead)
    stamp = library.stamp(run.checkpoint_path(checkpoint))
    hashable = tuple((k, tuple(v) if isinstance(v, list) else v) for k, v in sorted(changes.items()))
    return _method(str(run.folder), stamp, checkpoint, device, hashable)


@st.cache_resource(show_spinner=False)
def _devices() -> dict[str, str]:
    """Return `{device: name people know}`, the fastest first."""
    import torch

    from wtal_core.training.loop import device_name

    names = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    names += ["mps"] if torch.backends.mps.is_available() else []
    return {name: device_name(torch.device(name)) for name in (*names, "cpu")}


def _duration(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


# -- timeline -------------------------------------------------------------------------------------------------------


def build(
    view: View, entries: Mapping[str, library.RunEntry], rules: Panel
) -> tuple[list[tracks.Track], dict[str, Any]]:
    """Return the tracks from top to bottom, and what else the timeline is told."""
    split, changes, tiou, protocol = rules.split, rules.changes, rules.tiou, rules.protocol
    truth = tracks.truth_tracks(view.annotations, view.video)
    truth += flow_tracks(view)
    detections: list[tracks.Track] = []
    curves: list[tracks.Track] = []
    scores: list[dict[str, Any]] = []
    grid, erasable = None, False
    for place, run_id in enumerate(view.runs):
        letter = LETTERS[place]
        with guard(stop=False):
            run = library.load_run(run_id)
            title = entries[run_id].name
            acts = library.load_activations(run_id).get(view.video) if run.activations_path.is_file() else None
            stored = acts
            key: tuple[Any, ...] = (
                str(run.folder),
                library.stamp(run.activations_path),
                view.video,
                view.label,
                letter,
            )
            if place == 0:
                again, erased = _again(run_id), st.session_state.get("explore.erased.result")
                if again is not None and view.video in again.activations:
                    acts, key = again.activations[view.video], (*key, "again", again.number)
                if erased is not None and erased[:2] == (view.subject, run_id):
                    acts, key = erased[2], (*key, "erased", str(erased[3:]), st.session_state.get("explore.checkpoint"))
            localization = (
                split.settings(changes) if place == 0 and split is not None else live.stored_localization(run)
            )
            label = None
            if acts is None:
                if not run.detections_path.is_file():
                    st.warning(f"{title} says nothing about this video yet. Run `wtal infer {run.folder}`.")
                    continue
                rows = library.load_detections(run_id).for_video(view.video).sorted()
                verdicts = live.judge(rows, view.annotations, view.video, tiou=tiou, protocol=protocol)
                explained, count = live.explain_stored(rows, verdicts, None), len(rows)
            else:
                result = live.localize_video(run.info.method, view.video, acts, localization)
                verdicts = live.judge(result.detections, view.annotations, view.video, tiou=tiou, protocol=protocol)
                explained, count = live.explain(result, acts, verdicts), len(result.kept)
            detections.append(
                tracks.detection_track(
                    explained, verdicts.missed, run=letter, title=title, key="det", label=label, count=count
                )
            )
            if acts is None:
                continue
            if place == 0 and (changes or acts is not stored) and run.detections_path.is_file():
                rows = library.load_detections(run_id).for_video(view.video).sorted()
                old = live.judge(rows, view.annotations, view.video, tiou=tiou, protocol=protocol)
                detections.append(
                    tracks.detection_track(
                        live.explain_stored(rows, old, stored), old.missed, run=letter, title=f"{title}, stored",
                        key="stored", label=label, count=len(rows),
                    )
                )  # fmt: skip
            if grid is None:
                grid = acts.grid
            limit = None
            if place == 0:
                order = sorted(zip(acts.video_scores.tolist(), acts.classes, strict=True), reverse=True)[:6]
                present = set(view.annotations.instances.for_video(view.video).label.tolist())
                low, high = min(0.0, *(s for s, _ in order)), max(s for s, _ in order)
                scores = [
                    {"label": c, "score": s, "share": (s - low) / (high - low or 1), "truth": c in present}
                    for s, c in order
                ]
                erasable = _erasable(view, run)
                if acts.drop_mask is not None:
                    config = run.config()
                    gamma = _lens(run_id, config)
                    acts = live.with_drop(acts, config, gamma)
                    limit, _ = live.drop_lens(acts.attention["foreground"], config, gamma)
                    key = (*key, gamma)
            before = stored if place == 0 and acts is not stored and acts.drop_mask is None else None
            if place == 0 and stored is not None and acts.drop_mask is not None and len(key) > 6:
                before = stored
            curves += _run_tracks(
                key, acts, before, label=view.label, run=letter, lead=place == 0, drop_threshold=limit
            )  # fmt: skip
    shown_media = media.media_of(view.dataset_id, view.video)
    info = view.annotations.videos[view.video]
    ends = [t["end"] for track in (*truth, *detections) for t in track.items]
    duration = shown_media.duration or info.duration or (grid.duration or grid.end_seconds if grid else 0)
    duration = max([duration, *ends]) or 1.0
    facts = {
        "title": view.video,
        "duration": duration,
        "fps": shown_media.fps or info.fps or (grid.fps if grid else 25.0),
        "step": grid.step_seconds if grid else 1.0,
        "t0": float(grid.to_seconds(0)) if grid else 0.0,
        "num_snippets": grid.num_snippets if grid else 0,
        "video": {"url": shown_media.url, "problem": shown_media.problem},
        "scores": scores,
        "letter": entries[view.runs[0]].name if view.runs else "",
        "erasable": erasable,
        "erased": _erased(view).spans,
    }
    return [*truth, *detections, *curves], facts


def _erasable(view: View, run: Any) -> bool:
    try:
        store = library.load_features(view.dataset_id, run.info.dataset.get("features"))
    except WtalError:
        return False
    return bool(run.checkpoints()) and view.video in store.videos and store.dim == run.info.feature_dim


# -- events ---------------------------------------------------------------------------------------------------------


def _subject() -> str:
    chosen = selection()
    return f"{chosen.dataset}/{chosen.video}"


def _moved() -> None:
    moment = st.session_state[KEY].get("moment")
    if moment and moment.get("subject") == _subject():
        select(t=moment["t"], t0=moment["from"], t1=moment["to"])


def _erase() -> None:
    event = st.session_state[KEY].get("erase")
    if event and event.get("subject") == _subject():
        st.session_state["explore.erased"] = Erased(event["subject"], event["spans"])


def _labelled() -> None:
    event = st.session_state[KEY].get("label")
    if event and event.get("subject") == _subject():
        select(label=event["name"])


def _tuned() -> None:
    """Take in what the controls report: changed settings into the selection, the lens into the session."""
    event = st.session_state[CONTROLS].get("values")
    scope, lead, localization = st.session_state.get("explore.tuned", ("", "", None))
    if not event or event.get("scope") != scope:
        return
    st.session_state["explore.values"] = {scope: event["seq"]}
    values = dict(event["values"])
    if LENS in values:
        st.session_state["explore.lens"] = {lead: float(values.pop(LENS))}
    changes, st.session_state["explore.problem"] = read_values(localization, values)
    select(settings=changes)


def _lens(lead: str, config: Any) -> float:
    """Return the drop threshold that HAM-Net's lens shows."""
    return float(st.session_state.get("explore.lens", {}).get(lead, config.gamma))


def _tiou_changed() -> None:
    select(tiou=float(st.session_state["explore.tiou"]))


def _reset_settings() -> None:
    st.session_state["explore.form"] = st.session_state.get("explore.form", 0) + 1
    st.session_state.pop("explore.problem", None)
    select(settings={})


def _again(run_id: str) -> Again | None:
    again = st.session_state.get("explore.again")
    return again if isinstance(again, Again) and again.run == run_id else None


def _forget_again() -> None:
    st.session_state.pop("explore.again", None)


def _erased(view: View) -> Erased:
    erased = st.session_state.get("explore.erased")
    return erased if isinstance(erased, Erased) and erased.subject == view.subject else Erased(view.subject)


def _clear_erased() -> None:
    st.session_state.pop("explore.erased", None)
    st.session_state.pop("explore.erased.result", None)


_CSS = f"<style>{(Path(__file__).parent / 'explore.css').read_text(encoding='utf-8')}</style>"

main()
