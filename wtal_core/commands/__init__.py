"""One file per command family: frozen dataclasses that the command line parses into and runs."""
