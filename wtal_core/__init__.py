"""wtal: a workbench for weakly-supervised temporal action localization.

>>> import wtal_core as wtal
>>> wtal.list_methods()
['acmnet', 'acn', 'cmcs', 'co2net', 'cola', 'deep_metric', 'delu', 'hamnet']

The names are listed in `__init__.pyi`. They are loaded when they are first used: `import wtal_core` is quick and needs
none of the optional packages.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
