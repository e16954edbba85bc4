"""One training: how it is, what it has said so far, and what can be done with it."""

from __future__ import annotations

import streamlit as st

from pages.ui import jobs, loaders, selection, theme
from pages.ui.errors import guard, plain
from wtal_core.devices import list_devices
from wtal_core.errors import WtalError
from wtal_core.figures.training import loss_figure, validation_figure
from wtal_core.jobs.trainings import restart_training, resume_training, stop_run
from wtal_core.methods import method_class
from wtal_core.methods.form import to_text
from wtal_core.training.monitor import Metrics, read_metrics
from wtal_core.workspace import RunSummary

__all__ = ["show_training"]


def show_training(run: RunSummary) -> None:
    """Show a training; it keeps itself up to date while something happens."""

    @st.fragment(run_every=1.0 if run.open else None)
    def watched() -> None:
        now = next((r for r in loaders.workspace().trainings() if set(r.names) & set(run.names)), None)
        if now is None:
            st.info("This training was taken out of the queue.")
            return
        if now.open != run.open:
            st.rerun(scope="app")
        _detail(now)

    watched()


def _detail(run: RunSummary) -> None:
    metrics = _metrics(run)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.header(run.name, width="content")
        jobs.state_badge(run.state)
        st.space("stretch")
        _actions(run)
    st.caption(" · ".join(filter(None, _about(run))))
    broken = run.state in ("failed", "crashed", "unknown")
    if broken:
        _what_went_wrong(run)
    _progress(run, metrics)
    if metrics.losses:
        dark = theme.mode() == "dark"
        wide, narrow = st.columns([2.6, 1], gap="medium")
        with wide:
            figure = loss_figure(metrics, steps=run.steps, dark=dark, columns=4 if len(metrics.losses) > 6 else 3)
            st.plotly_chart(figure, theme=None, key="train.losses",
                            config={"displayModeBar": False}, alt="Losses over the steps")  # fmt: skip
        with narrow:
            if metrics.validation:
                figure = validation_figure(metrics, steps=run.steps, dark=dark)
                st.plotly_chart(figure, theme=None, key="train.validation",
                                config={"displayModeBar": False}, alt="Validation mAP over the steps")  # fmt: skip
            _numbers(run, metrics)
    elif run.state in ("running", "stopping"):
        st.caption("The first losses come after the features are loaded.")
    _more(run, with_log=not broken)


def _metrics(run: RunSummary) -> Metrics:
    if not run.exists or run.error:
        return Metrics()
    try:
        return read_metrics(loaders.load_run(run.id))
    except (WtalError, OSError):
        return Metrics()


def _about(run: RunSummary) -> list[str]:
    if not run.exists:
        return [run.method, "waits for its turn" if run.state == "queued" else ""]
    if run.error:
        return [run.method]
    title = method_class(run.method).title if run.method_known else run.method
    trained = [f"preset {run.preset}", f"seed {run.seed}"] if run.preset else []
    return [title, run.dataset, *trained, loaders.load_run(run.id).info.notes]


def _actions(run: RunSummary) -> None:
    """Show what can be done with a training now."""
    home = loaders.workspace().home
    if run.state in ("running", "stopping"):
        hint = "Stops after the current step and keeps a checkpoint."
        if run.state == "running" and st.button("Stop", icon=":material/stop:", key="train.stop", help=hint):
            with guard(stop=False):
                stop_run(run.folder, home=home)
            jobs.refresh()
        if run.state == "stopping" and run.job is not None:
            st.caption("stops after this step", width="content")
            if st.button("Stop now", icon=":material/dangerous:", key="train.kill",
                         help="Ends the process at once; steps since the last checkpoint are lost."):  # fmt: skip
                jobs.queue().kill(run.job)
                jobs.refresh()
    elif run.state == "queued" and run.job is not None:
        if st.button("Take out of the queue", icon=":material/close:", key="train.cancel"):
            jobs.queue().cancel(run.job)
            st.rerun(scope="app")
    elif run.exists and run.state != "unknown":
        unfinished = run.state in ("stopped", "crashed", "failed")
        if unfinished and run.resumable and st.button("Resume", icon=":material/play_arrow:", key="train.resume",
                                                      type="primary"):  # fmt: skip
            with guard(stop=False):
                resume_training(run.folder, home=home, slot=_slot_of(run))
                st.rerun(scope="app")
        if unfinished and not run.resumable and st.button(
            "Start again", icon=":material/replay:", key="train.again",
            help="There is no checkpoint to go on from: begins at step 0 with the same settings.",
        ):  # fmt: skip
            with guard(stop=False):
                restart_training(run.folder, home=home, slot=_slot_of(run))
                st.rerun(scope="app")
    if run.has_activations:
        entry = loaders.dataset_of(run.id)
        query = selection.explore_query(run.id, dataset=entry.id if entry else None)
        st.page_link("pages/explore.py", label="Open in Explore", icon=":material/movie:", query_params=query)
        if steps := loaders.load_run(run.id).kept_steps():
            video = next(iter(loaders.load_kept(run.id, steps[0])), None)
            query = selection.explore_query(run.id, video, dataset=entry.id if entry else None, step=steps[0])
            st.page_link("pages/explore.py", label="How it formed", icon=":material/timeline:", query_params=query)


def _slot_of(run: RunSummary) -> str:
    """Return the device a training ran on, as the queue calls it."""
    if run.job is not None:
        return run.job.slot
    wanted = str(loaders.load_run(run.id).info.training.get("device") or "auto")
    return list_devices()[0].id if wanted == "auto" else wanted


def _what_went_wrong(run: RunSummary) -> None:
    text = run.message or "It left no message."
    if run.state == "crashed":
        after = "It can be resumed from its last checkpoint." if run.resumable else "There is no checkpoint yet."
        text = f"The process ended without saying why (killed, out of memory, or the machine switched off?). {after}"
    st.error(plain(text), icon=":material/error:")
    jobs.show_log(str(run.folder / "worker.log"), 12)


def _progress(run: RunSummary, metrics: Metrics) -> None:
    busy = run.state in ("running", "stopping")
    doing = run.job.progress if busy and run.job is not None else None
    if doing is not None and doing.description != run.stage:  # before the first step, and after the last one
        done = f"{doing.done:g}" + (f" of {doing.total:g}" if doing.total else "")
        st.progress(doing.fraction or 0.0, text=f"{doing.description} · {done}")
        return
    parts = []
    if run.steps:
        parts.append(f"step {run.step:,} of {run.steps:,}")
    if len(metrics.stages) > 1 or (run.stage and run.stage != "train"):
        parts.append(f"stage {run.stage}")
    if busy:
        parts += [f"{metrics.steps_per_second:.3g} steps/s"] if metrics.steps_per_second else []
        parts += [f"{jobs.duration(run.eta_seconds)} left"] if run.eta_seconds is not None else []
    if run.steps and (run.open or run.state != "finished"):
        st.progress(run.fraction or 0.0, text=" · ".join(parts))
    elif run.open:
        st.progress(0.0, text="waiting" if run.state == "queued" else "starting")


def _numbers(run: RunSummary, metrics: Metrics) -> None:
    rows = {"device": run.device, "steps": f"{run.step:,} of {run.steps:,}" if run.steps else ""}
    if metrics.learning_rate is not None:
        rows["learning rate"] = f"{metrics.learning_rate:.3g}"
    if metrics.gpu_memory_bytes:
        rows["GPU memory"] = f"{metrics.gpu_memory_bytes / 2**30:.1f} GiB"
    if run.score is not None:
        rows["average mAP (test)"] = theme.percent(run.score)
    if run.best:
        rows["best checkpoint"] = f"step {run.best.get('step', '–')}"
    jobs.facts(rows)


def _more(run: RunSummary, *, with_log: bool) -> None:
    *log, settings, command = st.tabs(
        [*(["Log"] if with_log else []), "Settings that differ from the preset", "Command"]
    )
    for tab in log:
        with tab:
            jobs.show_log(str(run.folder / "worker.log"), 10)
    with settings, guard(stop=False):
        changes = loaders.load_run(run.id).changes() if run.exists else {}
        if not changes:
            st.caption("None: the preset as published." if run.exists else "It has not begun.")
        else:
            st.dataframe(
                {"setting": list(changes), "value": [to_text(v) for v in changes.values()]}, hide_index=True, width=520
            )
    with command:
        if run.job is not None:
            jobs.show_command(run.job.request)
        else:
            st.caption("This training was not started from here.")
