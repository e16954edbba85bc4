"""The command line: every command is there, explains itself, and ends with the right code and one message."""

from __future__ import annotations

import dataclasses
import errno
import importlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import wtal_core
from wtal_core import cli
from wtal_core.errors import DataError, Interrupted, MissingDependency, UsageError

HEAVY = ("torch", "pandas", "cv2", "decord", "av", "h5py", "matplotlib", "plotly", "streamlit")


def modules_after(code: str) -> set[str]:
    """Return which heavy packages a fresh interpreter has imported after running `code`."""
    script = f"import sys\n{code}\nprint([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    return set(json.loads(done.stderr.strip().splitlines()[-1].replace("'", '"')))


def words_of(text: str) -> str:
    """Return help or error text without boxes and line breaks."""
    return " ".join(re.sub(r"[│╭╮╰╯─|]|-{3,}|^\+-|-\+$", " ", text, flags=re.MULTILINE).split())


def options_of(help_text: str) -> dict[str, str]:
    """Return `{--flag: its help}` of a command's help text, with or without boxes."""
    found: dict[str, str] = {}
    flag = None
    for line in help_text.splitlines()[1:]:  # after the usage
        body = re.sub(r"^[│|]|[│|]$", " ", line)
        start = re.match(r" {1,2}(?:-h, )?(--[a-z][\w-]*)", body)
        if start:
            flag = start[1]
        elif len(body) - len(body.lstrip()) < 3:
            flag = None
        if flag is not None:
            found[flag] = f"{found.get(flag, '')} {words_of(body)}".strip()
    return found


# -- what is imported ---------------------------------------------------------------------------------------------


def test_the_package_and_its_help_import_nothing_heavy() -> None:
    assert modules_after("import wtal_core; dir(wtal_core); wtal_core.UsageError") == set()
    assert modules_after("from wtal_core.cli import main; assert main(['--help']) == 0") == set()


def test_no_command_imports_anything_heavy_before_it_runs() -> None:
    assert (
        modules_after("from wtal_core.cli import COMMANDS, load_command\nfor words in COMMANDS: load_command(words)")
        == set()
    )


@pytest.mark.parametrize("package", ["wtal_core", "wtal_core.data", "wtal_core.methods"])
def test_every_public_name_is_there(package: str) -> None:
    module = importlib.import_module(package)
    assert len(module.__all__) > 10
    assert set(module.__all__) <= set(dir(module))
    for name in module.__all__:
        assert getattr(module, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        module.nothing  # noqa: B018


# -- help ---------------------------------------------------------------------------------------------------------


def test_help_lists_every_command(capsys: Any) -> None:
    assert cli.main(["--help"]) == 0
    out = capsys.readouterr().out
    for words, (_, _, about) in cli.COMMANDS.items():
        assert re.search(rf"^  {' '.join(words)} +{re.escape(about)}$", out, re.MULTILINE)
    assert cli.main([]) == 2
    assert capsys.readouterr().out == out
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"wtal {wtal_core.__version__}\n"


def test_help_of_a_group_lists_its_commands(capsys: Any) -> None:
    groups = {words[0] for words in cli.COMMANDS if len(words) == 2 and words[:1] not in cli.COMMANDS}
    for group in sorted(groups):
        assert cli.main([group, "--help"]) == 0
        out = capsys.readouterr().out
        assert [line.split()[0] for line in out.splitlines() if line.startswith("  ")] == [group] * sum(
            words[0] == group for words in cli.COMMANDS
        )
        assert cli.main([group]) == 2
        assert capsys.readouterr().out == out


@pytest.mark.parametrize("words", cli.COMMANDS, ids=" ".join)
def test_every_option_is_explained_with_its_default(words: tuple[str, ...], capsys: Any) -> None:
    command = cli.load_command(words)
    assert dataclasses.is_dataclass(command)
    assert callable(command.run)
    assert cli.main([*words, "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"usage: wtal {' '.join(words)}")
    found = options_of(out)
    assert not re.search(r"\bNone\b|\{None\}|default: *\)|''", words_of(out)), (
        "an option shows how it is stored, not what it does"
    )
    assert "--help" in found
    for flag, about in found.items():
        plain = re.sub(r"\{.*?\}\|?|\[.*?\]|\b[A-Z]{3,}\b|\((?:default|required|optional).*", "", about)
        assert len(plain.split()) >= 3, f"{flag} is not explained: {about}"
    for item in dataclasses.fields(command):
        flag = "--" + (
            "json" if item.name == "as_json" else "run" if item.name in ("run_folder", "runs") else item.name
        )
        about = found.get(flag.replace("_", "-"))
        if about is not None and isinstance(item.default, int | float | str | Path) and item.default not in (False, ""):
            assert f"(default: {item.default})" in about
        if about is not None and item.default is item.default_factory is dataclasses.MISSING:
            assert "(required)" in about


def test_help_wraps_its_paragraphs_and_keeps_examples(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.main(["extract", "--help"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^ I3D \(RGB\): {7}wtal weights get i3d-rgb", out, re.MULTILINE)
    prose = out[: out.index("Without weights")]
    assert max(len(line) for line in prose.splitlines()) <= 80
    assert "usage: wtal extract [-h] [OPTIONS] VIDEOS ..." in out
    assert re.search(r"VIDEOS \.\.\. .*\(required\)", words_of(out))


QUANTITIES = {
    "fps": "frames a second", "stride": "frames", "window": "frames", "duration": "seconds",
    "min_length": "seconds|snippets", "seconds": "seconds",
}  # fmt: skip


@pytest.mark.parametrize("words", cli.COMMANDS, ids=" ".join)
def test_quantities_have_units(words: tuple[str, ...], capsys: Any) -> None:
    cli.main([*words, "--help"])
    found = options_of(capsys.readouterr().out)
    for name, unit in QUANTITIES.items():
        about = found.get(f"--{name.replace('_', '-')}", unit)
        assert re.search(unit, about, re.IGNORECASE), about


def test_commands_that_print_numbers_have_json() -> None:
    for name in ("data doctor", "data explain", "data convert", "data import", "extract", "weights list", "weights get",
                 "weights convert", "evaluate", "bench evaluate"):  # fmt: skip
        fields = {item.name for item in dataclasses.fields(cli.load_command(tuple(name.split())))}
        assert fields & {"json", "as_json"}, name


# -- arguments ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluat"], "unknown command 'evaluat'. Did you mean 'evaluate'"),
        (["data", "docter"], "unknown command 'data docter'. Did you mean 'data doctor'"),
        (["Evaluate", "x.json"], "Did you mean"),
        (["qqqqqq"], "error: unknown command 'qqqqqq'. See 'wtal --help'."),
        ([""], "unknown command ''"),
        (["--frob", "evaluate"], "'--frob' comes before a command"),
        (["-x"], "'-x' comes before a command"),
        (["evaluate"], "Missing from wtal evaluate: DETECTIONS"),
        (["evaluate", "a.json", "--annotatoins", "b"], "--annotat"),
        (["data", "explain", "a", "b"], "Unrecognized options: b"),
        (["data", "explain", "a", "--duration", "long"], "long"),
    ],
)
def test_wrong_arguments_are_exit_code_2(arguments: list[str], message: str, capsys: Any) -> None:
    assert cli.main(arguments) == 2
    captured = capsys.readouterr()
    assert message in words_of(captured.err)
    assert captured.out == ""


# -- what goes wrong ----------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Stub:
    """A command that fails."""

    def run(self) -> int:
        raise _Stub.error  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (DataError("is damaged", expected="a", got="b", where="f.h5", next_step="Copy it"), 1,
         "error: f.h5: is damaged (expected a, got b). Copy it.\n"),
        (UsageError("no such thing"), 2, "error: no such thing.\n"),
        (Interrupted(signal.SIGTERM), 143, "interrupted: no file is half written"),
        (MissingDependency("needs PyAV", next_step="pip install av"), 1, "error: needs PyAV. pip install av.\n"),
        (KeyboardInterrupt(), 130, "interrupted: no file is half written"),
        (OSError(errno.ENOSPC, "No space left on device", "/x/a.h5"), 1, "error: /x/a.h5: No space left on device."),
        (PermissionError(errno.EACCES, "Permission denied", "a"), 1, "error: a: Permission denied. Check its perm"),
        (ZeroDivisionError("division by zero"), 1, "internal error: ZeroDivisionError: division by zero. This is"),
        (SystemExit("text"), 2, ""),
        (SystemExit(0), 0, ""),
    ],
)  # fmt: skip
def test_every_failure_is_one_message_without_a_traceback(
    error: BaseException, code: int, message: str, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WTAL_DEBUG", raising=False)
    monkeypatch.setattr(cli, "load_command", lambda words: _Stub)
    monkeypatch.setattr(_Stub, "error", error, raising=False)
    assert cli.main(["evaluate"]) == code
    captured = capsys.readouterr()
    assert captured.err.startswith(message)
    assert captured.out == ""
    assert "Traceback" not in captured.err
    assert captured.err.count("\n") == (1 if message else 0)


def test_debugging_shows_where_a_defect_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WTAL_DEBUG", "1")
    monkeypatch.setattr(cli, "load_command", lambda words: _Stub)
    for error in (ZeroDivisionError(), OSError(errno.ENOSPC, "full")):
        monkeypatch.setattr(_Stub, "error", error, raising=False)
        with pytest.raises(type(error)):
            cli.main(["evaluate"])


def wtal(*arguments: object, **options: Any) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "wtal_core.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, timeout=60, check=False, **options)


def test_a_name_that_the_terminal_cannot_show_is_escaped(tmp_path: Path) -> None:
    found = tmp_path / "видео.csv"
    found.write_text("video,label,start,end\nвидео,Höhe,1,2\n", encoding="utf-8")
    done = wtal("data", "explain", found, env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"H\\xf6he" in done.stdout
    done = wtal("data", "explain", tmp_path / "нет", env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 1
    assert b"does not exist" in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="pipes and signals of POSIX")
def test_a_reader_that_leaves_is_no_error() -> None:
    script = f"{sys.executable} -u -m wtal_core.cli --help | true"
    done = subprocess.run(["sh", "-c", script], capture_output=True, timeout=60, check=False)
    assert done.stderr == b""


@pytest.mark.skipif(os.name != "posix", reason="pipes and signals of POSIX")
def test_ctrl_c_leaves_no_half_file(tmp_path: Path) -> None:
    """Stop a conversion in the middle: no target, no traceback, and the next run goes on."""
    import numpy as np

    source, target = tmp_path / "npy", tmp_path / "out.h5"
    source.mkdir()
    for i in range(1500):
        np.save(source / f"v{i:04}.npy", np.full((4, 8), i, np.float32))
    arguments = ["data", "convert", source, "--to", target, "--grid", "i3d-25fps-16"]
    process = subprocess.Popen(
        [sys.executable, "-m", "wtal_core.cli", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # shells start what is in the background deaf
    )
    parts = tmp_path / ".out.h5.parts"
    deadline = time.monotonic() + 60
    while len(list(parts.glob("entry-*"))) < 5 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT, "it had finished already"
    assert err.startswith(b"interrupted: ")
    assert b"Traceback" not in err
    assert out == b""
    assert not target.exists()
    done = wtal(*arguments, "--json")
    summary = json.loads(done.stdout)
    assert summary["kept"] >= 5
    assert summary["kept"] + summary["written"] == 1500
    assert [p.name for p in tmp_path.iterdir() if p.name != "npy"] == ["out.h5"]


# -- tables -------------------------------------------------------------------------------------------------------


def test_a_table_of_numbers_goes_on_below_on_a_narrow_terminal(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from wtal_core.commands import output

    class Terminal(output.Console):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options, force_terminal=True, color_system=None)

    monkeypatch.setattr(output, "Console", Terminal)
    columns = ["mAP % at tIoU", *(f"{i / 10:g}" for i in range(1, 10)), "avg 0.1:0.7", "avg 0.3:0.7"]
    rows = [("activitynet", *["46.7"] * 11), ("thumos14", *["29.2"] * 11)]
    monkeypatch.setenv("COLUMNS", "80")
    output.print_table(columns, rows)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert sum("mAP % at tIoU" in line for line in lines) == 2
    assert sum(line.count("46.7") for line in lines) == 11, "every number is there, and whole"
    monkeypatch.setenv("COLUMNS", "200")
    output.print_table(columns, rows)
    assert sum("mAP % at tIoU" in line for line in capsys.readouterr().out.splitlines()) == 1
    monkeypatch.setenv("COLUMNS", "40")
    output.print_table(["setting", "meaning"], [("gamma", "what it does, in a long sentence of many words")])
    assert len([line for line in capsys.readouterr().out.splitlines() if "setting" in line]) == 1


def test_columns_of_text_are_left_aligned_and_columns_of_numbers_right(capsys: pytest.CaptureFixture[str]) -> None:
    from wtal_core.commands import output

    output.print_table(["run", "state", "mAP %"], [("a", "ok", "3.5"), ("b", "finished", "23.5 ± 0.4"), ("c", "-", "")])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("│")[1] for line in lines[2:4]] == [" ok       ", " finished "]
    assert lines[2].rstrip().endswith("       3.5")
