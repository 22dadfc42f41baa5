"""Tables and sentences from a survey. Without Qt."""

from __future__ import annotations

import math
import os.path
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_cxr.training.survey import Survey

__all__ = [
    'Counts',
    'association_sentence',
    'baseline_sentence',
    'counts_of',
    'one_sided',
    'relative_names',
    'source_table',
]

#: Columns of the counts: the splits, images that cannot be divided, and those left out.
SPLITS = ('train', 'val', 'test')
_UNDIVIDED, _OUT = 3, 4
#: A source nearly all of whose images are of one class is flagged, if it has so many.
_SHARE, _LEAST = 0.9, 10
UNKNOWN = 'unknown source'


@dataclass(frozen=True, eq=False)
class Counts:
    """Images by class, source and split.

    Parameters
    ----------
    labels, sources : tuple of str
        K classes and S sources.
    table : ndarray of int, shape (K, S, 5)
        Images in train, val and test; those that would be used, but that cannot be divided
        into splits; and those that are left out. An image with several labels counts for
        each.
    totals : ndarray of int, shape (5,)
        Images, each counted once.
    """

    labels: tuple[str, ...]
    sources: tuple[str, ...]
    table: np.ndarray
    totals: np.ndarray


def _sources(survey: Survey) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the names of the sources, the largest first, and the number of each image's."""
    names = [source or UNKNOWN for source in survey.sources]
    sizes = Counter(names)
    ordered = sorted(sizes, key=lambda name: (-sizes[name], name))
    number = {name: i for i, name in enumerate(ordered)}
    return tuple(ordered), np.array([number[name] for name in names], dtype=int)


def counts_of(survey: Survey, out: np.ndarray) -> Counts:
    """Count images.

    Parameters
    ----------
    survey : Survey
        The data set.
    out : ndarray of bool, shape (n,)
        Images that a person has left out by now.
    """
    sources, which = _sources(survey)
    numbers = {name: i for i, name in enumerate(SPLITS)}
    elsewhere = _OUT if any(survey.splits) else _UNDIVIDED
    split = np.array([numbers.get(name, elsewhere) for name in survey.splits], dtype=int)
    split[np.asarray(out, bool)] = _OUT
    table = np.zeros((len(survey.labels), len(sources), _OUT + 1), dtype=int)
    for k in range(len(survey.labels)):
        mine = np.asarray(survey.truth[:, k], bool)
        np.add.at(table[k], (which[mine], split[mine]), 1)
    return Counts(survey.labels, sources, table, np.bincount(split, minlength=_OUT + 1))


def source_table(counts: Counts) -> tuple[np.ndarray, np.ndarray]:
    """Return images that are used by source and class, and which cells give a class away.

    Returns
    -------
    ndarray of int, shape (S, K)
        Counts.
    ndarray of bool, shape (S, K)
        Where at least 90 % of a source's ten or more images are of one class, though that
        class is less than 90 % of all.
    """
    used = counts.table[:, :, :_OUT].sum(axis=2).T
    of_source = used.sum(axis=1, keepdims=True)
    overall = used.sum(axis=0) / max(used.sum(), 1)
    flags = (used >= _SHARE * of_source) & (of_source >= _LEAST) & (overall < _SHARE)
    return used, flags & (used > 0) & (len(counts.sources) > 1)


def one_sided(flags: np.ndarray, counts: Counts) -> dict[tuple[int, int], str]:
    """Return a sentence for each flagged cell of the table of sources."""
    return {
        (int(s), int(k)): (
            f'Nearly all images of {counts.sources[s]} are {counts.labels[k]}: '
            'a model can answer by the look of the source alone.'
        )
        for s, k in np.argwhere(flags)
    }


def association_sentence(survey: Survey) -> str:
    """Say how much the source tells about the class."""
    value = survey.association
    if not any(survey.sources):
        return 'No source is known, so nothing tells whether it gives the class away.'
    if math.isnan(value):
        return 'All images are of one source, so what a model learns may hold for it alone.'
    how = (
        'nearly nothing' if value < 0.1 else
        'a little' if value < 0.3 else
        'much' if value < 0.6 else
        'nearly everything'
    )  # fmt: skip
    return (
        f'The source tells {how} about the class: Cramér’s V is {value:.2f}, where 0 is nothing '
        'and 1 everything.'
    )


def baseline_sentence(baselines: dict[str, tuple[float, float, float]]) -> str:
    """Say what a model must beat."""
    known = {name: figures for name, figures in baselines.items() if np.isfinite(figures).all()}
    if not known:
        return (
            'There are too few images to tell what a classifier that sees no anatomy would '
            'reach. Add images before you trust any figure.'
        )
    name, (value, low, high) = max(known.items(), key=lambda item: item[1][0])
    return (
        f'A classifier that sees no anatomy ({name}) reaches an area under the curve of '
        f'{value:.2f} ({low:.2f} to {high:.2f}); chance is 0.50. A model must do clearly better '
        f'than {high:.2f} before its figures say anything about lungs.'
    )


def relative_names(paths: Sequence[str]) -> list[str]:
    """Return paths as seen from the folder that they share."""
    plain = [path.replace('\\', '/') for path in paths]
    if not plain or not all(os.path.isabs(path) for path in paths):
        return plain
    folders = {path.rpartition('/')[0] for path in plain}
    shared = os.path.commonpath(list(folders)) if len(folders) > 1 else ''
    if not shared:  # all in one folder, of which the last name says enough
        return [path.rpartition('/')[2] for path in plain]
    return [os.path.relpath(path, shared).replace('\\', '/') for path in plain]
