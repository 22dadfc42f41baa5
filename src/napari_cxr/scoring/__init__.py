"""From many files to a table with a row each: listing, scoring, journal, tables.

Importing this package imports no torch.
"""

from napari_cxr.scoring.image_preparation import (
    ImagePreparer,
    PreparedImage,
    PrepareOptions,
    prepare_here,
)
from napari_cxr.scoring.input_lists import Item, ListingError
from napari_cxr.scoring.journal import CannotWrite, ScoringError, journal_of
from napari_cxr.scoring.pipeline import score
from napari_cxr.scoring.score_row import ScoreRow
from napari_cxr.scoring.scoring_checks import check_heatmaps, check_out
from napari_cxr.scoring.scoring_events import (
    RowScored,
    ScoringEvent,
    ScoringFinished,
    ScoringMeasured,
    ScoringPreparing,
    ScoringProgress,
    ScoringStarted,
    ScoringWarned,
)
from napari_cxr.scoring.scoring_inputs import list_items
from napari_cxr.scoring.scoring_settings import Decision, DecisionError, ScoringSettings
from napari_cxr.scoring.table_writer import write_partial_table

__all__ = [
    'CannotWrite',
    'Decision',
    'DecisionError',
    'ImagePreparer',
    'Item',
    'ListingError',
    'PrepareOptions',
    'PreparedImage',
    'RowScored',
    'ScoreRow',
    'ScoringError',
    'ScoringEvent',
    'ScoringFinished',
    'ScoringMeasured',
    'ScoringPreparing',
    'ScoringProgress',
    'ScoringSettings',
    'ScoringStarted',
    'ScoringWarned',
    'check_heatmaps',
    'check_out',
    'journal_of',
    'list_items',
    'prepare_here',
    'score',
    'write_partial_table',
]
