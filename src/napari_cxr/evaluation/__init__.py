"""What a figure is worth: held-out sources, shortcuts, looks, and when not to answer.

Imports no torch: arrays in, numbers out.
"""

from napari_cxr.evaluation.comparison import compare, within_auc
from napari_cxr.evaluation.conformal import Band, band_of, coverage
from napari_cxr.evaluation.looks import Look, Looks
from napari_cxr.evaluation.shortcuts import fit_shortcut, lungs_blanked
from napari_cxr.evaluation.sources import Stratum, balanced_weights, held_out, patient_folds

__all__ = [
    'Band',
    'Look',
    'Looks',
    'Stratum',
    'balanced_weights',
    'band_of',
    'compare',
    'coverage',
    'fit_shortcut',
    'held_out',
    'lungs_blanked',
    'patient_folds',
    'within_auc',
]
