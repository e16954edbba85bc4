"""The form of a new training: every setting with its meaning and paper value, and the button that starts it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import streamlit as st

from pages.ui import jobs, loaders, selection
from pages.ui.errors import guard
from pages.ui.file_input import MAX_NAME_BYTES
from wtal_core.data import Dataset
from wtal_core.devices import Device, list_devices
from wtal_core.errors import UsageError, counted
from wtal_core.jobs.trainings import parse_seeds, start_training
from wtal_core.methods import list_methods, method_class
from wtal_core.methods.form import config_of, parse_text, setting_groups, to_text, try_change
from wtal_core.methods.registry import outline
from wtal_core.settings import Option, options
from wtal_core.training.options import TrainOptions, TrainRequest
from wtal_core.training.preflight import preflight

__all__ = ["new_training"]

_OTHER = "other …"  # in the list of methods: one that is named by its path

_STYLE = """
<style>
.st-key-train_fields [data-testid="stCaptionContainer"] { margin-top: -.65rem; line-height: 1.25; min-height: 2.1rem; }
.st-key-train_fields [data-testid="stCaptionContainer"] p { font-size: .78rem; }
</style>
"""


@st.cache_resource(show_spinner=False)
def _devices() -> tuple[Device, ...]:
    return list_devices()


def _remembered(name: str, default: Any) -> Any:
    """Return a part of the form that outlives leaving the page."""
    return st.session_state.setdefault("train.form", {}).setdefault(name, default)


def _remember(name: str, key: str) -> None:
    st.session_state["train.form"][name] = st.session_state[key]


def _pick(label: str, name: str, choices: list[Any], default: Any, **more: Any) -> Any:
    """Show a selectbox whose choice outlives leaving the page."""
    value = _remembered(name, default)
    key = f"train.form.{name}"
    st.session_state[key] = value if value in choices else default
    return st.selectbox(label, choices, key=key, on_change=_remember, args=(name, key), **more)


def _type(label: str, name: str, default: str, **more: Any) -> str:
    """Show a text input whose text outlives leaving the page."""
    key = f"train.form.{name}"
    st.session_state[key] = _remembered(name, default)
    return str(st.text_input(label, key=key, on_change=_remember, args=(name, key), **more) or "")


@st.fragment
def new_training() -> None:
    """Show the form."""
    st.html(_STYLE)
    known = {i: entry for i, entry in loaders.datasets().items() if not entry.error}
    if not known:
        st.header("Teach it")
        st.info(
            "A training needs a data set: videos or their snippet features, and which actions each video holds.",
            icon=":material/database:",
        )
        st.page_link("pages/data.py", label="Import a data set on the Data page", icon=":material/arrow_forward:")
        st.caption("Or make the bundled demo: `wtal demo`, or features with known truth: `wtal demo features --help`.")
        return
    row = st.columns([1.5, 1.2, 1.3, 1.1])
    linked = _linked()  # asked before `selection()` writes what is remembered into the URL
    _follow_link(linked, known)
    with row[0]:
        dataset_id = _pick("Data set", "dataset", list(known), _first_dataset(linked, known),
                           format_func=lambda i: known[i].name)  # fmt: skip
    with guard():
        dataset = loaders.load_dataset(dataset_id)
        dataset_names = list(dataset.splits)
    with row[1]:
        methods = list_methods()
        method = _pick("Method", "method", [*methods, _OTHER], methods[0], help="\n\n".join(
            f"**{m}**: {outline(m).title}" for m in methods))  # fmt: skip
    if method == _OTHER:
        method = _type("Other method", "other", "", placeholder="my_package.mine:Mine",
                       help="module:Class, of an installed package or of a file in the workspace's folder. "
                       "`wtal methods new` writes one to begin from.").strip()  # fmt: skip
        if not method:
            st.caption(f"Name the class, e.g. `my_package.mine:Mine`. Looked for in {loaders.workspace().home}.")
            return
    with guard():
        presets = list(method_class(method).presets)
    with row[2]:
        preset = _pick("Preset", f"preset.{method}", presets, presets[0],
                       help="All values of the paper and official code for a data set.")  # fmt: skip
    with row[3]:
        names = list(dataset.feature_names)
        features = _pick("Features", f"features.{dataset_id}", names or ["none"], (names or ["none"])[0])
    st.caption(method_class(method).title)

    left, right = st.columns([2.5, 1], gap="large")
    values = _remembered(f"values.{method}.{preset}", {})
    with left:
        refused = _fields(method, preset, values)
    run_options = {k.removeprefix("run."): v for k, v in values.items() if k.startswith("run.")}
    with right:
        base = {"method": method, "data": loaders.short(dataset.folder), "preset": preset,
                "features": features if len(names) > 1 else None, **run_options}  # fmt: skip
        _launch(dataset, dataset_names, base, values, refused)


def _linked() -> str | None:
    """Return the id of the data set that the URL names."""
    return loaders.dataset_id(st.query_params["data"]) if "data" in st.query_params else None


def _follow_link(linked: str | None, known: Mapping[str, loaders.DatasetEntry]) -> None:
    """Let the data set of a link that was just followed take the place of the one chosen before."""
    form = st.session_state.setdefault("train.form", {})
    if linked in known and "dataset" in form and linked != form.get("linked", linked):
        form["dataset"] = linked
    selection.selection()
    form["linked"] = _linked()


def _first_dataset(linked: str | None, known: Mapping[str, loaders.DatasetEntry]) -> str:
    """Return the data set a link names, else one that can be trained on: the selected one, or the first."""
    if linked in known:
        return linked
    selected = selection.selection().dataset
    order = [*([selected] if selected in known else []), *known]
    return next((i for i in order if "train" in loaders.load_dataset(i).splits), order[0])


def _run_options() -> list[Option]:
    """Return what concerns the run and not the method; what the form asks elsewhere is left out."""
    return [replace(o, key=f"run.{o.key}") for o in options(TrainOptions()) if o.key not in ("seed", "device")]


def _fields(method: str, preset: str, values: dict[str, Any]) -> list[str]:
    """Show every setting with meaning, unit, bounds and paper value; what is typed goes into `values`.

    Returns:
        A sentence for each field whose text was refused.
    """
    config = config_of(method, preset)
    groups: dict[str, list[Option]] = {name: list(found) for name, found in setting_groups(config).items()}
    groups["run"] = _run_options()

    def title(name: str) -> str:
        changed = sum(option.key in values for option in groups[name])
        return name.capitalize() + (f" · {changed} changed" if changed else "")

    group = st.segmented_control(
        "Settings", list(groups), default="training", format_func=title, required=True, key=f"train.group.{method}",
        label_visibility="collapsed",
    )  # fmt: skip
    refused = []
    with st.container(height=520, border=True, key="train_fields"):
        shown = groups[group or "training"]
        for start in range(0, len(shown), 3):
            for column, option in zip(st.columns(3), shown[start : start + 3], strict=False):
                with column:
                    refused += _field(method, preset, config, option, values)
    return refused


def _field(method: str, preset: str, config: Any, option: Option, values: dict[str, Any]) -> list[str]:
    """Show one setting; return why its text was refused, [] where it was not."""
    version = st.session_state.get("train.version", 0)
    key = f"train.field.{version}.{method}.{preset}.{option.key}"
    name = option.key.removeprefix("run.").removeprefix("localization.").removeprefix("training.").replace("_", " ")
    label = ("● " if option.key in values else "") + name.replace(".", " · ")
    label += f" ({option.unit})" if option.unit and option.unit != name else ""
    current = values.get(option.key, option.value)
    if key not in st.session_state:  # newly shown, it holds the value again and not the refused text
        st.session_state.pop(f"{key}.problem", None)

    def changed() -> None:
        text = st.session_state[key]
        problem = ""
        value = text
        try:
            if isinstance(text, str) and not option.choices:
                value = parse_text(option, text)
            target = TrainOptions() if option.key.startswith("run.") else config
            problem = try_change(target, option.key.removeprefix("run."), value)
        except UsageError as error:
            problem = f"{text!r} {error.problem}."
        st.session_state[f"{key}.problem"] = problem
        if problem:
            return
        if value == option.value:
            values.pop(option.key, None)
        else:
            values[option.key] = value

    if option.choices:
        st.selectbox(label, list(option.choices), index=list(option.choices).index(current), key=key, on_change=changed)
    elif isinstance(option.value, bool):
        st.selectbox(label, [True, False], index=0 if current else 1, key=key, on_change=changed,
                     format_func=lambda v: "yes" if v else "no")  # fmt: skip
    else:
        st.text_input(label, to_text(current), key=key, on_change=changed)
    problem = st.session_state.get(f"{key}.problem")
    if problem:
        st.caption(f":red[{problem} It stays {to_text(current) or 'none'}.]")
        return [f"**{name.replace('.', ' · ')}**: {problem}"]
    notes = [option.meaning]
    if option.key in values:
        notes.append(f"preset **{to_text(option.value) or 'none'}**")
    if option.paper:
        notes.append(f"paper **{option.paper}**")
    bounds = _bounds(option)
    notes += [bounds] if bounds else []
    st.caption(" · ".join(notes).replace("~", r"\~").replace("$", r"\$"))
    return []


def _bounds(option: Option) -> str:
    if option.low is not None and option.high is not None:
        return f"{option.low:g} to {option.high:g}"
    return f"≥ {option.low:g}" if option.low is not None else f"≤ {option.high:g}" if option.high is not None else ""


def _reset(values: dict[str, Any], key: str | None = None) -> None:
    if key is None:
        values.clear()
    else:
        values.pop(key, None)
    st.session_state["train.version"] = st.session_state.get("train.version", 0) + 1


def _apply(values: dict[str, Any], changes: Mapping[str, Any]) -> None:
    values.update(changes)
    _reset(values, "")


def _launch(
    dataset: Dataset, splits: list[str], base: dict[str, Any], values: dict[str, Any], refused: list[str]
) -> None:
    """Show what will run, what stands in its way, and the button that starts it."""
    method = base["method"]
    devices = {device.id: device for device in _devices()}
    device = _pick("Device", "device", list(devices), next(iter(devices)), format_func=lambda i: devices[i].name)
    a, b = st.columns([1, 1])
    with a:
        seeds = _type("Seeds", "seeds", "0", help="Several seeds (0-4, or 1 2 3) become several queued runs.")
    with b:
        hint = "Split on which average mAP is measured ten times; keeps best.pt. Naming the test split is recorded."
        validate = _pick("Best checkpoint on", "validate", ["–", *splits], "–", help=hint)
    home = loaders.workspace().home
    open_jobs = [job for job in jobs.queue().jobs() if job.status().open]
    free = _free_name(home / "runs", method, {Path(job.result).name for job in open_jobs})
    name = _type("Run folder", f"name.{method}", "", placeholder=f"runs/{free}",
                 help="Below the workspace; leave it empty for the next free name.") or f"runs/{free}"  # fmt: skip
    _differences(base["preset"], values)
    requests: list[TrainRequest] = []
    with guard(stop=False):
        _check_name(name, home)
        base |= {"device": device, "no_test": "test" not in splits, "validate": None if validate == "–" else validate}
        requests = _requests(dataset, base, values, name, parse_seeds(seeds))
        requests = [] if refused else requests
    busy = sum(job.slot == device for job in open_jobs)
    label = "Start" if len(requests) < 2 else f"Start {len(requests)} runs"
    if st.button(label, type="primary", icon=":material/play_arrow:", width="stretch", key="train.start",
                 disabled=not requests):  # fmt: skip
        with guard(stop=False):
            _start(requests, device)
    if refused:
        st.caption(f":red[Cannot start while a field is refused. {' '.join(refused)}]")
    if busy and requests:
        st.caption(f"Waits for {counted(busy, 'job')} on this device.")
    if requests:
        with st.expander("The same from a shell"):
            jobs.show_command(*(request.to_request() for request in requests))
            st.caption(f"In {home}")


def _differences(preset: str, values: dict[str, Any]) -> None:
    """Show what differs from the preset, with the way back."""
    with st.container(border=True):
        if not values:
            st.caption(f"Everything as in the preset **{preset}**.")
            return
        st.caption(f"Differs from the preset **{preset}**:")
        for key in list(values):
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.markdown(f"`{key.removeprefix('run.')}` = **{to_text(values[key]) or 'none'}**", width="stretch")
                st.button("", icon=":material/undo:", key=f"train.undo.{key}", type="tertiary", on_click=_reset,
                          args=(values, key), help="Back to the preset")  # fmt: skip
        if len(values) > 1:
            st.button("Reset all", icon=":material/restart_alt:", on_click=_reset, args=(values,), type="tertiary")


def _requests(
    dataset: Dataset, base: Mapping[str, Any], values: dict[str, Any], name: str, seeds: tuple[int, ...]
) -> list[TrainRequest]:
    """Return the trainings that are to be done; say what would stop them, and then there are none."""
    changes = {key: value for key, value in values.items() if not key.startswith("run.")}
    method, config = base["method"], config_of(base["method"], base["preset"], changes)
    obstacles = preflight(dataset, method_class(method), config, features=base["features"])
    for obstacle in obstacles:
        st.warning(obstacle.message, icon=":material/warning:")
        if obstacle.remedy:
            st.button(obstacle.remedy_name, key=f"train.remedy.{obstacle.remedy_name}", on_click=_apply,
                      args=(values, obstacle.remedy))  # fmt: skip
    return [] if obstacles else [
        TrainRequest(**base, out=Path(name if len(seeds) == 1 else f"{name}-seed{seed}"), set=changes, seed=seed)
        for seed in seeds
    ]  # fmt: skip


def _check_name(name: str, home: Path) -> None:
    """Refuse the name of a run folder that cannot be made, or that would not be found below the workspace."""
    path = Path(name)
    hidden = any(part.startswith(".") for part in path.parts)
    too_long = any(len(part.encode()) > MAX_NAME_BYTES for part in path.parts)
    if path.is_absolute() or hidden or too_long or not re.fullmatch(r"[\w./+=-]+", name):
        raise UsageError(
            "is not a run folder",
            expected="letters, digits, - _ . and /, below the workspace",
            got=repr(name),
            next_step="Choose another name",
        )
    if path.parts[:1] != ("runs",) or not 2 <= len(path.parts) <= 5:
        raise UsageError(
            "does not lie where runs are looked for",
            expected="runs/NAME, or up to three folders between",
            got=repr(name),
            next_step="Begin the name with runs/",
        )
    inside = next((above for above in path.parents if (home / above / "run.yaml").is_file()), None)
    if inside is not None:
        raise UsageError("lies in another run", got=str(inside), where=name, next_step="Choose another name")


def _free_name(folder: Path, method: str, queued: set[str]) -> str:
    taken = queued | {run.folder.name for run in loaders.runs().values()}  # also elsewhere: names tell runs apart
    taken |= {p.name for p in folder.iterdir()} if folder.is_dir() else set()
    base = method.rpartition(":")[2].lower()
    names = [base, *(f"{base}-{n}" for n in range(2, len(taken) + 3))]
    return next(n for n in names if n not in taken and not any(t.startswith(f"{n}-seed") for t in taken))


def _start(requests: list[TrainRequest], device: str) -> None:
    """Queue the runs and show the first of them."""
    home = loaders.workspace().home
    for request in requests:
        if (home / request.out / "run.yaml").exists():
            raise UsageError("holds a run already", where=request.out, next_step="Choose another name")
    started = [start_training(request, home=home, slot=device, cwd=home) for request in requests]
    first = next((run for run in loaders.workspace().trainings() if started[0].id in run.names), None)
    st.query_params["training"] = first.id if first is not None else started[0].id
    st.rerun(scope="app")
