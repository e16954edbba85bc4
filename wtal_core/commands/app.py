"""`wtal app`: the workbench in the browser."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from wtal_core.errors import MissingDependency, UsageError

__all__ = ["App", "app_file"]


def app_file() -> Path:
    """Return the app's entry file.

    Raises:
        UsageError: the package was installed without its checkout.
    """
    file = Path(__file__).resolve().parents[2] / "app.py"
    if not file.is_file():
        raise UsageError(
            "the app is not installed beside the package",
            expected="a checkout with app.py and pages/",
            where=file.parent,
            next_step="Clone the repository and install it with: pip install -e '.[app,video,figures]'",
        )
    return file


@dataclass(frozen=True)
class App:
    """Open the workbench in the browser; Ctrl-C ends it, trainings that it started go on.

    The workspace is what lies in assets/demo, datasets/ and runs/ of the home folder, and what is registered there.
    """

    home: Path = Path()
    """Workspace folder."""
    port: int = 8501
    """Port on this machine."""
    address: str = "localhost"
    """Address to listen on. Anything but localhost lets others on the network see your data."""
    no_browser: bool = False
    """Do not open a browser window."""

    def run(self) -> int:
        """Start the server and wait for it."""
        if importlib.util.find_spec("streamlit") is None:
            raise MissingDependency(
                "streamlit is not installed", next_step="Install it with: pip install 'wtal[app]'", where="wtal app"
            )
        if not self.home.is_dir():
            raise UsageError(
                "is not a folder", expected="a workspace folder", where=self.home, next_step="Name a folder"
            )
        file = app_file()
        options = {
            "server.port": str(self.port),
            "server.address": self.address,
            "server.headless": str(self.no_browser).lower(),
        }
        command = [sys.executable, "-m", "streamlit", "run", str(file)]
        command += [part for key, value in options.items() for part in (f"--{key}", value)]
        # Streamlit reads .streamlit/config.toml beside app.py from its working folder.
        environment = {**os.environ, "WTAL_HOME": str(self.home.resolve())}
        try:
            return subprocess.run(command, cwd=file.parent, env=environment, check=False).returncode
        except KeyboardInterrupt:
            return 0
