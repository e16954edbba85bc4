"""The app: `streamlit run app.py` (or `wtal app`). Media routes and the list of pages, nothing else."""

import sys
from pathlib import Path

import streamlit as st
from streamlit.runtime.pages_manager import PagesManager
from streamlit.runtime.scriptrunner import get_script_run_ctx

if str(Path(__file__).parent) not in sys.path:
    sys.path.insert(0, str(Path(__file__).parent))

from pages.ui import errors, media, theme

# Else the first session's deep link to /explore would run pages/explore.py by itself, as apps without st.navigation do.
PagesManager.uses_pages_directory = False
app = st.App(__file__, routes=media.routes, on_script_error=errors.on_script_error)

if get_script_run_ctx(suppress_warning=True) is not None:  # as the script of a session, not as the server
    assets = Path(__file__).parent / "assets"
    st.set_page_config("wtal", page_icon=str(assets / "favicon.png"), layout="wide")
    st.logo(str(assets / "logo.svg"), size="medium", icon_image=str(assets / "favicon.png"))
    theme.css()
    st.navigation(
        [
            st.Page("pages/home.py", title="Home", icon=":material/home:", default=True),
            st.Page("pages/explore.py", title="Explore", icon=":material/movie:", url_path="explore"),
            st.Page("pages/failures.py", title="Failures", icon=":material/troubleshoot:", url_path="failures"),
            st.Page("pages/compare.py", title="Compare", icon=":material/compare_arrows:", url_path="compare"),
            st.Page("pages/figures.py", title="Figures", icon=":material/image:", url_path="figures"),
            st.Page("pages/train.py", title="Train", icon=":material/model_training:", url_path="train"),
            st.Page("pages/data.py", title="Data", icon=":material/database:", url_path="data"),
        ],
        position="top",
    ).run()
