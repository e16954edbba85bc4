"""`python -m tests.golden.report [--json]`: how far everything is from its golden numbers.

Runs the golden tests and prints, for every quantity they compare, the largest deviation beside the tolerance. Exits
with the tests' exit code.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import sys
from pathlib import Path

import pytest

from tests.golden.fidelity import LEDGER
from wtal_core.commands.output import print_table
from wtal_core.methods import list_methods

FILES = (*list_methods(), "evaluation", "localization", "real_cmcs")


def main(arguments: list[str]) -> int:
    """Run the tests and print the table."""
    if set(arguments) - {"--json"}:
        print(__doc__, file=sys.stderr)
        return 2
    folder = Path(__file__).parent
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        code = int(pytest.main(["-q", "-p", "no:cacheprovider", *(f"{folder}/test_{name}.py" for name in FILES)]))
    rows = sorted(LEDGER.values(), key=lambda d: d.method)  # stable: in the order of the tests
    if code:
        print(said.getvalue(), file=sys.stderr)
    if "--json" in arguments:
        print(json.dumps([dataclasses.asdict(row) for row in rows], indent=1))
    elif rows:
        print_table(
            ["of", "quantity", "numbers", "largest deviation", "relative", "rtol", "atol", "of tolerance"],
            [
                (
                    d.method,
                    d.quantity,
                    f"{d.numbers:,}",
                    f"{d.absolute:.1e}",
                    f"{d.relative:.1e}",
                    f"{d.rtol:.0e}",
                    f"{d.atol:.0e}",
                    f"{d.share:.1%}",
                )
                for d in rows
            ],
        )
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
