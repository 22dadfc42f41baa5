"""From many files to a table with a row each: listing, scoring, journal, tables.

Importing this package imports no torch.
"""

from napari_cxr.scoring.decision import Decision, DecisionError
from napari_cxr.scoring.events import (
    Event,
    Finished,
    Measured,
    Preparing,
    Progress,
    Scored,
    Started,
    Warned,
)
from napari_cxr.scoring.item import Item, ListingError
from napari_cxr.scoring.journal import ScoringError, journal_of
from napari_cxr.scoring.listing import list_items
from napari_cxr.scoring.preparing import Reader, Ready, Wanted, read_here
from napari_cxr.scoring.row import Row
from napari_cxr.scoring.score import check_heatmaps, check_out, score
from napari_cxr.scoring.settings import Settings
from napari_cxr.scoring.so_far import write_so_far

__all__ = [
    'Decision',
    'DecisionError',
    'Event',
    'Finished',
    'Item',
    'ListingError',
    'Measured',
    'Preparing',
    'Progress',
    'Reader',
    'Ready',
    'Row',
    'Scored',
    'ScoringError',
    'Settings',
    'Started',
    'Wanted',
    'Warned',
    'check_heatmaps',
    'check_out',
    'journal_of',
    'list_items',
    'read_here',
    'score',
    'write_so_far',
]
