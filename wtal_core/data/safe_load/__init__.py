"""Read `.npy`, `.npz` and pickle files of other people without running what is inside them.

A pickle is a program, and most published annotations and packed features of this field are pickles (every object-array
`.npy` is one). This module interprets the pickle opcodes itself and knows only data: numbers, text, bytes, None, list,
tuple, dict, OrderedDict, set, NumPy arrays, dtypes and scalars. A stream that names anything else is refused by that
name, and nothing it names is ever imported or called. Whole numbers beyond 64 bits become floating-point numbers. Array
contents are checked against their shape before memory is taken for them, and are left in the file until wanted, so that
one video of a multi-gigabyte object array can be read without the others. What a file declares is held against its size
before anything is made of it: no file takes much more memory than its size, or inflates without bound.

Opcodes and their meaning: CPython `Lib/pickletools.py`. Layout of pickled arrays and dtypes: NumPy
`numpy/_core/src/multiarray/methods.c` (`array_reduce`) and `descriptor.c` (`arraydescr_reduce`). Layout of `.npy`:
`numpy.lib.format`.
"""

from wtal_core.data.safe_load.checkpoints import load_torch
from wtal_core.data.safe_load.interpreter import load_pickle
from wtal_core.data.safe_load.limits import PART_BYTES, is_inflated
from wtal_core.data.safe_load.npy import (
    NpyHeader,
    ObjectArray,
    load_npy,
    npy_header,
    open_object_array,
    stream_object_array,
)
from wtal_core.data.safe_load.npz import NpzFile, load_npz

__all__ = [
    "PART_BYTES",
    "NpyHeader",
    "NpzFile",
    "ObjectArray",
    "is_inflated",
    "load_npy",
    "load_npz",
    "load_pickle",
    "load_torch",
    "npy_header",
    "open_object_array",
    "stream_object_array",
]
