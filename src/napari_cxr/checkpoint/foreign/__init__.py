"""Weights that other programs saved, read without running anything that a file names.

Importing this package imports no torch; only `convert` needs it, to know the networks.
"""

from napari_cxr.checkpoint.foreign.converting import Meaning, check_labels, convert
from napari_cxr.checkpoint.foreign.refusal import ForeignFileError
from napari_cxr.checkpoint.foreign.torch_file import read_state

__all__ = ['ForeignFileError', 'Meaning', 'check_labels', 'convert', 'read_state']
