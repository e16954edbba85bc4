"""What records print fits a terminal, and breaks no notebook."""

from __future__ import annotations

from wtal_core.snippet_grid import SnippetGrid
from wtal_core.summary import Summary


def test_text_lines_up_and_leaves_out_what_is_empty() -> None:
    summary = Summary(
        "Things: 12", [("from", "here"), ("nothing", ""), ("a", "two\nlines")],
        ("name", "count", "share"), [("x", 3, 0.5), ("longer", 1200, 12.25)], total=12,
    )  # fmt: skip
    assert summary.text().splitlines() == [
        "Things: 12",
        "  from  here",
        "  a     two lines",
        "  name    count  share",
        "  x           3   0.50",
        "  longer  1,200  12.25",
        "  ... and 10 more",
    ]


def test_long_texts_are_shortened_in_a_terminal_not_in_a_notebook() -> None:
    summary = Summary("t", [("fact", "f" * 300)], ("name",), [("n" * 300,)], total=1)
    assert max(map(len, summary.text().splitlines())) < 120
    assert "n" * 300 in summary.html()
    assert "f" * 300 in summary.html()


def test_notebooks_get_escaped_texts() -> None:
    evil = "<script>alert('x')</script>"
    shown = Summary(evil, [(evil, evil)], (evil,), [(evil,)], total=1).html()
    assert "<script>" not in shown
    assert shown.count("&lt;script&gt;") == 5


def test_a_grid_keeps_the_repr_that_builds_it_and_has_a_table() -> None:
    grid = SnippetGrid(fps=25, stride=16, window=16, num_snippets=4)
    assert eval(repr(grid)) == grid
    assert "<td>stride</td><td>16</td>" in grid._repr_html_()
    assert "<td>duration</td><td>not known</td>" in grid._repr_html_()
