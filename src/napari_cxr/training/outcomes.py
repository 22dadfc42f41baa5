"""True and false, positive and negative: what a table of runs says of the test split."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from napari_cxr.checkpoint import Card

__all__ = ['negative_class', 'outcomes']

#: What the class of those without the disease is called.
_NEGATIVE = ('normal', 'healthy', 'negative', 'control', 'controls', 'rest', 'other', 'others')
_NEGATED = re.compile(r'(?:no|non|not|without)[\s_-]')


def negative_class(labels: Sequence[str]) -> str | None:
    """Return the class of those without the disease, None where no name says so.

    Parameters
    ----------
    labels : sequence of str
        The classes. 'NORMAL', 'no finding', 'non-covid' and, beside 'COVID', 'NOCOVID'
        are without it; where there are several such, the first of them.
    """
    words = {label: label.casefold() for label in labels}
    for label, word in words.items():
        others = [other for other in words.values() if other != word]
        negated = {prefix + other for other in others for prefix in ('no', 'non')}
        if word in _NEGATIVE or _NEGATED.match(word) or word in negated:
            return label
    return None


def outcomes(card: Card) -> dict[str, int]:
    """Return the images of the test split that were called rightly and wrongly.

    Parameters
    ----------
    card : Card
        Of a run that has ended.

    Returns
    -------
    dict
        ``tp``, ``fp``, ``tn``, ``fn``; empty if there was no test split. Positive is

        - of two classes, the one that `negative_class` does not name, or the second;
        - of more, every class but the one that it names: a disease taken for another is a
          true positive. Where no class is without disease, the counts of each class
          against the rest, added up;
        - of several labels an image, the counts of each label, added up.
    """
    metrics = card.metrics
    found = (metrics.get('model') or {}).get('all') or {}
    if metrics.get('measured_on') != 'test' or not isinstance(found, dict):
        return {}
    confusion, labels = found.get('confusion'), list(card.labels)
    negative = negative_class(labels)
    if negative is None and len(labels) == 2:
        negative = labels[0]
    if not confusion or negative is None or card.several:
        return _added(found.get('classes') or {})
    k = labels.index(negative)
    rows, column = [sum(row) for row in confusion], sum(row[k] for row in confusion)
    tn = confusion[k][k]
    return {
        'tp': sum(rows) - rows[k] - (column - tn),
        'fp': rows[k] - tn,
        'tn': tn,
        'fn': column - tn,
    }


def _added(classes: dict[str, Any]) -> dict[str, int]:
    counts = [figures['counts'] for figures in classes.values() if 'counts' in figures]
    if not counts:  # a card of before there were any
        return {}
    return {name: sum(c[name] for c in counts) for name in ('tp', 'fp', 'tn', 'fn')}
