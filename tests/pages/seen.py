"""What a person sees on a page that ran without a browser, and what they press."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest

__all__ = ["html", "press", "texts"]

_KINDS = ("error", "warning", "info", "success", "caption", "markdown", "title", "header", "subheader")


def texts(app: AppTest) -> str:
    """Return every text but those of HTML elements and widgets."""
    return " ".join(str(element.value) for kind in _KINDS for element in app.get(kind))


def html(app: AppTest) -> str:
    """Return the HTML elements."""
    return " ".join(element.proto.body for element in app.get("html"))


def press(app: AppTest, label: str) -> AppTest:
    """Press the button with this label and let the page run, without an exception."""
    next(button for button in app.button if button.label == label).click().run()
    assert not app.exception, [error.value for error in app.exception]
    return app
