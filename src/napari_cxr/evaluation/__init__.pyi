from .abstention import AbstentionBand, abstention_band, coverage
from .evaluation_ledger import EvaluationLedger, EvaluationRecord
from .held_out_sources import (
    Stratum,
    balanced_weights,
    compare,
    leave_one_source_out,
    patient_folds,
    within_auc,
)
from .shortcut_classifiers import fit_shortcut, lungs_blanked

__all__ = [
    'AbstentionBand',
    'EvaluationLedger',
    'EvaluationRecord',
    'Stratum',
    'abstention_band',
    'balanced_weights',
    'compare',
    'coverage',
    'fit_shortcut',
    'leave_one_source_out',
    'lungs_blanked',
    'patient_folds',
    'within_auc',
]
