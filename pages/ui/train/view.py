"""One training: how it is, what it has said so far, and what can be done with it."""

from __future__ import annotations

import streamlit as st

from pages.ui import jobs, loaders, selection, theme
from pages.ui.errors import guard, plain
from wtal_core.devices import list_devices
from wtal_core.errors import WtalError
from wtal_core.figures.training import loss_figure, validation_figure
from wtal_core.jobs.requests import restart_training, resume_training, stop_run
from wtal_core.jobs.trainings import Training, trainings
from wtal_core.methods import method_class
from wtal_core.methods.form import to_text
from wtal_core.runs.registry import describe
from wtal_core.training.monitor import Watch, watch

__all__ = ["all_trainings", "show_training"]


def all_trainings() -> list[Training]:
    """Return the trainings of the app's workspace."""
    return trainings(loaders.runs(), jobs.queue())


def show_training(training: Training) -> None:
    """Show a training; it keeps itself up to date while something happens."""

    @st.fragment(run_every=1.0 if training.open else None)
    def watched() -> None:
        now = next((t for t in all_trainings() if set(t.names) & set(training.names)), None)
        if now is None:
            st.info("This training was taken out of the queue.")
            return
        if now.open != training.open:
            st.rerun(scope="app")
        _detail(now)

    watched()


def _detail(training: Training) -> None:
    seen = watch(training.folder) if training.run else Watch(training.state)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.header(training.name, width="content")
        jobs.state_badge(training.state)
        st.space("stretch")
        _actions(training, seen)
    about = _about(training)
    st.caption(" · ".join(part for part in about if part))
    broken = training.state in ("failed", "crashed", "unknown")
    if broken:
        _what_went_wrong(training)
    _progress(training, seen)
    if seen.losses:
        dark = theme.mode() == "dark"
        wide, narrow = st.columns([2.6, 1], gap="medium")
        with wide:
            figure = loss_figure(seen, dark=dark, columns=4 if len(seen.losses) > 6 else 3)
            st.plotly_chart(figure, theme=None, key="train.losses",
                            config={"displayModeBar": False}, alt="Losses over the steps")  # fmt: skip
        with narrow:
            if seen.validation:
                st.plotly_chart(validation_figure(seen, dark=dark), theme=None, key="train.validation",
                                config={"displayModeBar": False}, alt="Validation mAP over the steps")  # fmt: skip
            _numbers(training, seen)
    elif training.state in ("running", "stopping"):
        st.caption("The first losses come after the features are loaded.")
    _more(training, with_log=not broken)


def _about(training: Training) -> list[str]:
    if not training.run:
        return [training.method, "waits for its turn" if training.state == "queued" else ""]
    try:
        info = loaders.load_run(training.key).info
    except WtalError:
        return [training.method]
    return [method_class(info.method).title, training.dataset, f"preset {info.preset}", f"seed {info.seed}", info.notes]


def _actions(training: Training, seen: Watch) -> None:
    """Show what can be done with a training now."""
    home = loaders.workspace().home
    if training.state in ("running", "stopping"):
        hint = "Stops after the current step and keeps a checkpoint."
        if training.state == "running" and st.button("Stop", icon=":material/stop:", key="train.stop", help=hint):
            with guard(stop=False):
                stop_run(training.folder, home=home)
            jobs.refresh()
        if training.state == "stopping" and training.job is not None:
            st.caption("stops after this step", width="content")
            if st.button("Stop now", icon=":material/dangerous:", key="train.kill",
                         help="Ends the process at once; steps since the last checkpoint are lost."):  # fmt: skip
                jobs.queue().kill(training.job)
                jobs.refresh()
    elif training.state == "queued" and training.job is not None:
        if st.button("Take out of the queue", icon=":material/close:", key="train.cancel"):
            jobs.queue().cancel(training.job)
            st.rerun(scope="app")
    elif training.run and training.state != "unknown":
        unfinished = training.state in ("stopped", "crashed", "failed")
        if unfinished and training.resumable and st.button("Resume", icon=":material/play_arrow:", key="train.resume",
                                                           type="primary"):  # fmt: skip
            with guard(stop=False):
                resume_training(training.folder, home=home, slot=_slot_of(training))
                st.rerun(scope="app")
        if unfinished and not training.resumable and st.button(
            "Start again", icon=":material/replay:", key="train.again",
            help="There is no checkpoint to go on from: begins at step 0 with the same settings.",
        ):  # fmt: skip
            with guard(stop=False):
                restart_training(training.folder, home=home, slot=_slot_of(training))
                st.rerun(scope="app")
    if training.run and (training.folder / "activations.h5").is_file():
        entry = loaders.dataset_of(training.key)
        query = selection.explore_query(training.key, dataset=entry.id if entry else None)
        st.page_link("pages/explore.py", label="Open in Explore", icon=":material/movie:", query_params=query)


def _slot_of(training: Training) -> str:
    """Return the device a training ran on, as the queue calls it."""
    if training.job is not None:
        return training.job.slot
    wanted = str(loaders.load_run(training.key).info.training.get("device") or "auto")
    return list_devices()[0].id if wanted == "auto" else wanted


def _what_went_wrong(training: Training) -> None:
    text = training.message or "It left no message."
    if training.state == "crashed":
        after = "It can be resumed from its last checkpoint." if training.resumable else "There is no checkpoint yet."
        text = f"The process ended without saying why (killed, out of memory, or the machine switched off?). {after}"
    st.error(plain(text), icon=":material/error:")
    jobs.show_log(str(training.folder / "worker.log"), 12)


def _progress(training: Training, seen: Watch) -> None:
    parts = []
    job = training.job
    if (
        training.state in ("running", "stopping")
        and job is not None
        and job.progress is not None
        and (seen.state != "running" or not seen.step)
    ):  # before the first step, and after the last one
        share = job.progress.fraction or 0.0
        done = f"{job.progress.done:g}" + (f" of {job.progress.total:g}" if job.progress.total else "")
        st.progress(share, text=f"{job.progress.description} · {done}")
        return
    if seen.steps:
        parts.append(f"step {seen.step:,} of {seen.steps:,}")
    if len(seen.stages) > 1 or (seen.stage and seen.stage != "train"):
        parts.append(f"stage {seen.stage}")
    if training.state in ("running", "stopping"):
        parts += [f"{seen.steps_per_second:.3g} steps/s"] if seen.steps_per_second else []
        parts += [f"{jobs.duration(seen.eta_seconds)} left"] if seen.eta_seconds is not None else []
    if seen.steps and (training.open or training.state != "finished"):
        st.progress(seen.fraction, text=" · ".join(parts))
    elif training.open:
        st.progress(0.0, text="waiting" if training.state == "queued" else "starting")


def _numbers(training: Training, seen: Watch) -> None:
    rows = {"device": seen.device, "steps": f"{seen.step:,} of {seen.steps:,}" if seen.steps else ""}
    if seen.learning_rate is not None:
        rows["learning rate"] = f"{seen.learning_rate:.3g}"
    if seen.gpu_memory_bytes:
        rows["GPU memory"] = f"{seen.gpu_memory_bytes / 2**30:.1f} GiB"
    if training.score is not None:
        rows["average mAP (test)"] = theme.percent(training.score)
    if seen.best:
        rows["best checkpoint"] = f"step {seen.best.get('step', '–')}"
    jobs.facts(rows)


def _more(training: Training, *, with_log: bool) -> None:
    *log, settings, command = st.tabs(
        [*(["Log"] if with_log else []), "Settings that differ from the preset", "Command"]
    )
    for tab in log:
        with tab:
            jobs.show_log(str(training.folder / "worker.log"), 10)
    with settings, guard(stop=False):
        changes = describe(loaders.load_run(training.key))["changes"] if training.run else {}
        if not changes:
            st.caption("None: the preset as published." if training.run else "It has not begun.")
        else:
            st.dataframe(
                {"setting": list(changes), "value": [to_text(v) for v in changes.values()]}, hide_index=True, width=520
            )
    with command:
        if training.job is not None:
            jobs.show_command(training.job.arguments)
        else:
            st.caption("This training was not started from here.")
