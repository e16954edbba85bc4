"""The `wtal` command: finds a command's class, parses its arguments, runs it, turns errors into one line.

A command is a frozen dataclass in `wtal_core/commands/` whose fields are the arguments (field docstrings are the help)
and whose `run()` does the work. It is imported only when it is asked for, so that `wtal --help` stays quick.

Exit codes: 0 done, 1 the work failed (data), 2 the arguments were wrong, 130 and 143 ended by Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import io
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

from wtal_core.errors import Interrupted, UsageError, WtalError, nearest
from wtal_core.version import __version__

__all__ = ["COMMANDS", "main"]

_GO_ON = "The same command goes on (train: with --resume, infer: with --keep)."

#: Words of a command -> (module in `wtal_core.commands`, class, one-line help). Order is the order of `wtal --help`.
COMMANDS: dict[tuple[str, ...], tuple[str, str, str]] = {
    ("app",): ("app", "App", "the workbench in the browser"),
    ("data", "doctor"): ("data_doctor", "Doctor", "check a data set before the first epoch"),
    ("data", "explain"): ("data_explain", "Explain", "say what a feature or annotation file is"),
    ("data", "convert"): ("data_convert", "Convert", "convert features or annotations to another format"),
    ("data", "import"): ("data_import", "Import", "make a data set folder of annotations, features and videos"),
    ("data", "static"): ("data_static", "Static", "mine motionless clips (hard negatives of a training)"),
    ("extract",): ("extract", "Extract", "videos -> snippet features"),
    ("weights", "list"): ("weights", "ListWeights", "which weights are known and where to get them"),
    ("weights", "get"): ("weights", "GetWeights", "fetch weights and check their SHA-256"),
    ("weights", "convert"): ("weights", "ConvertWeights", "convert a pickled checkpoint safely"),
    ("methods",): ("methods", "Methods", "list methods, or every setting of one with its paper value"),
    ("methods", "new"): ("methods", "NewMethod", "write a working method to begin from, and its tests"),
    ("methods", "check"): ("methods", "CheckMethod", "run the contract checks on a method, anybody's"),
    ("train",): ("train", "Train", "data set + method -> run folder"),
    ("infer",): ("infer", "Infer", "run + features -> activations"),
    ("localize",): ("infer", "Localize", "activations -> detections, no model needed"),
    ("evaluate",): ("evaluate", "Evaluate", "detections (or a run) -> mAP under named protocols"),
    ("diagnose",): ("diagnose", "Diagnose", "what kinds of failures there are and what each costs in mAP"),
    ("compare",): ("compare", "Compare", "runs and detection files side by side, with the papers' numbers"),
    ("paper", "list"): ("paper", "ListPapers", "list the papers, and the tables that can be run"),
    ("paper", "show"): ("paper", "ShowPaper", "a paper's tables as printed"),
    ("paper", "run"): ("paper_run", "RunPaper", "train a table's rows, and print them beside the printed numbers"),
    ("runs", "list"): ("runs", "ListRuns", "list runs with state and score"),
    ("runs", "show"): ("runs", "ShowRun", "show one run"),
    ("runs", "compare"): ("runs", "CompareRuns", "stored scores side by side, seeds together"),
    ("runs", "import"): (
        "runs_import",
        "ImportRun",
        "predictions or an official checkpoint -> run folder",
    ),
    ("jobs", "list"): ("jobs", "ListJobs", "what runs in the background, and what waits"),
    ("jobs", "add"): ("jobs", "AddJob", "queue a command for the background"),
    ("jobs", "stop"): ("jobs", "StopJob", "stop a job, or take it out of the queue"),
    ("jobs", "log"): ("jobs", "LogJob", "the last lines of a job's log"),
    ("figure",): ("figure", "Figure", "a spec file -> a qualitative figure for a paper"),
    ("export",): ("export", "Export", "detections and ground truth -> subtitles, ELAN, VIA, Label Studio, and back"),
    ("demo", "build"): ("demo", "DemoBuild", "render a world of known truth and train every method on it"),
    ("demo", "sheet"): ("demo", "DemoSheet", "contact sheets of every scene"),
    ("demo", "report"): ("demo", "DemoReport", "measures of all methods over seeds, and which claims show"),
    ("demo", "real"): ("demo", "DemoReal", "data sets of real clips and real features"),
    ("demo", "features"): ("demo_features", "DemoFeatures", "plant a feature set with known truth"),
    ("demo", "table"): ("demo_features", "DemoTable", "train all methods on planted features over seeds"),
    ("bench", "localize"): ("bench_methods", "BenchLocalize", "time of each method's localization"),
    ("bench", "train"): ("bench_methods", "BenchTrain", "time of a training step"),
    ("bench", "app"): ("bench_app", "BenchApp", "speed of the app in a real browser"),
    ("bench", "evaluate"): ("bench_evaluate", "BenchEvaluate", "time and memory of the evaluator"),
}


def _help(prefix: tuple[str, ...] = ()) -> str:
    lines = [f"usage: {' '.join(('wtal', *prefix))} COMMAND [--help] ...", ""]
    if not prefix:
        lines += ["A workbench for weakly-supervised temporal action localization.", ""]
    lines.append("commands:")
    shown = {words: entry for words, entry in COMMANDS.items() if words[: len(prefix)] == prefix}
    width = max(len(" ".join(words)) for words in shown)
    lines += [f"  {' '.join(words):<{width}}   {entry[2]}" for words, entry in shown.items()]
    lines += ["", "Every command has --help with units and defaults."]
    lines += ["Exit codes: 0 done, 1 failed, 2 bad arguments, 130 interrupted (Ctrl-C), 143 terminated."]
    return "\n".join(lines)


def find_command(arguments: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """Return the longest known command that `arguments` start with, and what remains.

    Raises:
        UsageError: they start with none.
    """
    for length in (2, 1):
        words = tuple(arguments[:length])
        if len(words) == length and words in COMMANDS:
            return words, list(arguments[length:])
    if arguments[0].startswith("-"):
        raise UsageError(f"{arguments[0]!r} comes before a command", next_step="See 'wtal --help'")
    given = " ".join(a for a in arguments[:2] if not a.startswith("-"))
    guesses = nearest(given, [" ".join(words) for words in COMMANDS])
    hint = f"Did you mean {' or '.join(repr(g) for g in guesses)}? " if guesses else ""
    raise UsageError(f"unknown command {given!r}", next_step=f"{hint}See 'wtal --help'")


def load_command(words: tuple[str, ...]) -> type[Any]:
    """Import and return the class behind a command."""
    module, name, _ = COMMANDS[words]
    command: type[Any] = getattr(importlib.import_module(f"wtal_core.commands.{module}"), name)
    return command


def _run(arguments: list[str]) -> int:
    """Find the command, parse its arguments and run it."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_help())
        return 0 if arguments else 2
    if arguments[0] in ("-V", "--version"):
        print(f"wtal {__version__}")
        return 0
    group = (arguments[0],)
    is_group = group not in COMMANDS and any(words[:1] == group for words in COMMANDS)
    if is_group and (len(arguments) == 1 or arguments[1] in ("-h", "--help")):
        print(_help(group))
        return 0 if len(arguments) > 1 else 2
    words, rest = find_command(arguments)
    from wtal_core.commands.arguments import parse, with_options

    command = load_command(words)
    try:
        return int(parse(command, rest, f"wtal {' '.join(words)}").run() or 0)
    except WtalError as error:
        print(f"error: {with_options(str(error), error.arguments, command)}", file=sys.stderr)
        return error.exit_code


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; whatever goes wrong is one message on standard error."""
    return _guarded(lambda: _run(list(sys.argv[1:] if arguments is None else arguments)))


def _guarded(work: Callable[[], int]) -> int:
    """Do the work of a command and return its exit code; whatever goes wrong is one message on standard error."""
    try:
        return work()
    except SystemExit as stop:  # tyro: 0 after --help, 2 after bad arguments
        return stop.code if isinstance(stop.code, int) else 2
    except WtalError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt as stop:
        print("interrupted: no file is half written, and what was finished is kept.", _GO_ON, file=sys.stderr)
        return stop.exit_code if isinstance(stop, Interrupted) else Interrupted().exit_code
    except BrokenPipeError:  # `wtal ... | head`: nobody reads on, also not what is still buffered
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # the machine's refusal: a full disk, a missing permission, too many open files
        if os.environ.get("WTAL_DEBUG"):
            raise
        place = f"{error.filename}: " if error.filename is not None else ""
        step = "Check its permissions" if place and isinstance(error, PermissionError) else "WTAL_DEBUG=1 shows where"
        print(f"error: {place}{error.strerror or error}. {step}.", file=sys.stderr)
        return 1
    except Exception as error:
        if os.environ.get("WTAL_DEBUG"):
            raise
        print(
            f"internal error: {type(error).__name__}: {error}. This is a defect of wtal, not of your data; "
            "set WTAL_DEBUG=1 to see where.",
            file=sys.stderr,
        )
        return 1


def as_process(work: Callable[[], int]) -> int:
    """Do the work of a command, which this process is for, see `main`; SIGTERM ends it as cleanly as Ctrl-C does."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that cannot show a video's name shows its escapes
            stream.reconfigure(errors="backslashreplace")
    # What Apple's GPUs have no kernel for is then computed on the CPU; PyTorch reads it when it is imported.
    os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminate)
    return _guarded(work)


def _terminate(number: int, frame: Any) -> None:
    """End the work, and the processes that do parts of it: unlike Ctrl-C, this signal comes to one process only."""
    if "multiprocessing" in sys.modules:
        for child in sys.modules["multiprocessing"].active_children():
            child.terminate()
    raise Interrupted(number)


def entry_point() -> None:
    """Run the command line and leave with its exit code.

    What a signal ended also ends by it: a shell then leaves the loop that the command stands in.
    """
    code = 0

    def leave() -> None:
        if code in (Interrupted(number).exit_code for number in (signal.SIGINT, signal.SIGTERM)):
            with contextlib.suppress(OSError):
                sys.stdout.flush()
            signal.signal(code - 128, signal.SIG_DFL)
            os.kill(os.getpid(), code - 128)

    atexit.register(leave)  # registered first, called last
    code = as_process(lambda: _run(sys.argv[1:]))
    sys.exit(code)


if __name__ == "__main__":
    entry_point()
