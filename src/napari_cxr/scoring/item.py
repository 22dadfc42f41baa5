"""One file to score, and what is known of it before."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ['Item', 'ListingError']


class ListingError(Exception):
    """Files that cannot be listed, or labels that do not fit them; the message says why."""


@dataclass(frozen=True, slots=True)
class Item:
    """One file to score.

    Parameters
    ----------
    path : str
        Its file, as given or found.
    truth : str
        Its label; several are joined by '|', and `NO_FINDING` is none of several. Empty
        where none is known.
    source : str
        Its collection or hospital, by a table; or empty.
    patient : str
        What tells patients apart, where a table does: a number of our own, from '1' in the
        order of the listing, so that nothing that a table calls them gets anywhere.
    """

    path: str
    truth: str = ''
    source: str = ''
    patient: str = ''
