"""Weights that other programs saved, read without running anything that a file names.

Importing this package imports no torch; only `convert` needs it, to know the networks.
"""

from napari_cxr.checkpoint.foreign.pickle_contents import ForeignFileError
from napari_cxr.checkpoint.foreign.torch_file import read_state
from napari_cxr.checkpoint.foreign.weight_conversion import WeightsMeaning, check_labels, convert

__all__ = ['ForeignFileError', 'WeightsMeaning', 'check_labels', 'convert', 'read_state']
