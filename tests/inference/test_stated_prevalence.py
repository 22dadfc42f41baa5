"""Probabilities at another prevalence, by Bayes' rule."""

from dataclasses import replace

import numpy as np
import pytest

from napari_cxr.checkpoint import Card
from napari_cxr.inference.stated_prevalence import card_at_prevalence
from napari_cxr.metrics import probabilities_of

PREPARED = {'height': 9, 'width': 9}
TWO = Card(
    name='two', title='', architecture='x', labels=('no', 'ill'), channels=1,
    preprocessing=PREPARED, prevalence={'no': 0.9, 'ill': 0.1}, bias=(0.5, -0.5),
    operating_points={'ill': {'Youden': 0.2}},
    prediction_sets={
        'alpha': 0.1, 'thresholds': {'no': 0.4, 'ill': 0.1}, 'images': {'no': 20, 'ill': 20}
    },
)  # fmt: skip


def odds(p):
    return p / (1 - p)


def test_odds_change_as_those_of_the_prevalence():
    moved = card_at_prevalence(TWO, {'ill': 0.01})
    factor = odds(0.01) / odds(0.1)
    z = np.random.default_rng(0).normal(size=(20, 2))
    before, after = (probabilities_of(z, False, 1.0, c.bias)[:, 1] for c in (TWO, moved))
    np.testing.assert_allclose(odds(after), odds(before) * factor)
    assert moved.prevalence == {'no': pytest.approx(0.99), 'ill': 0.01}
    # Thresholds move along, so the same images reach them.
    threshold = moved.operating_points['ill']['Youden']
    assert odds(threshold) == pytest.approx(odds(0.2) * factor)
    sets = moved.prediction_sets['thresholds']
    assert odds(sets['ill']) == pytest.approx(odds(0.1) * factor)
    assert odds(sets['no']) == pytest.approx(odds(0.4) / factor)


def test_several_labels_move_one_by_one():
    card = replace(
        TWO, multilabel=True, undecided={'ill': [0.1, 0.3]}, prevalence={'no': 0.5, 'ill': 0.1}
    )
    moved = card_at_prevalence(card, {'ill': 0.2})
    factor = odds(0.2) / odds(0.1)
    assert moved.bias[0] == 0.5 and np.exp(moved.bias[1] + 0.5) == pytest.approx(factor)
    assert [odds(p) for p in moved.undecided['ill']] == pytest.approx(
        [odds(0.1) * factor, odds(0.3) * factor]
    )


@pytest.mark.parametrize(
    ('prior', 'words'),
    [({'sick': 0.1}, 'no class'), ({'ill': 1.5}, 'fraction'), ({'no': 0.9, 'ill': 0.9}, 'add up')],
)
def test_what_cannot_be_is_said(prior, words):
    with pytest.raises(ValueError, match=words):
        card_at_prevalence(TWO, prior)
    with pytest.raises(ValueError, match='does not say'):
        card_at_prevalence(replace(TWO, prevalence={}), {'ill': 0.2})
