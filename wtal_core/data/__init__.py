"""Annotations, detections and snippet features on disk, data sets made of them, and what is wrong with them.

The names are listed in `__init__.pyi`, and loaded when they are first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
