"""Classes called by thresholds of a card."""

from dataclasses import replace

import pytest

from napari_cxr.checkpoint import read_card
from napari_cxr.scoring import Decision, DecisionError

POINTS = {
    'covid19': {'sensitivity 0.90': 0.4, 'sensitivity 0.95': 0.2, 'Youden': 0.5},
    'normal': {'sensitivity 0.95': 0.3, 'Youden': 0.6},
}


@pytest.fixture
def card(model_file):
    return replace(read_card(model_file), operating_points=POINTS)


@pytest.mark.parametrize('words', ['sensitivity=0.95', 'sensitivity=.95', 'Sensitivity 0.95'])
def test_it_is_found_however_it_is_written(card, words):
    found = Decision.of_card(words, card)
    assert found == Decision('sensitivity 0.95', {'covid19': 0.2, 'normal': 0.3})


def test_what_reaches_its_threshold_is_called(card):
    decision = Decision.of_card('sensitivity=0.95', card)
    assert decision.called(card.labels, (0.2, 0.3, 0.5)) == ('covid19', 'normal')
    assert decision.called(card.labels, (0.19, 0.3, 0.51)) == ('normal',)
    assert Decision.of_card('youden', card).called(card.labels, (0.1, 0.1, 0.8)) == ()


def test_what_there_is_not_is_said(card):
    with pytest.raises(DecisionError, match=r"it has 'sensitivity=0.90', 'sensitivity=0.95'"):
        Decision.of_card('sensitivity=0.8', card)
    with pytest.raises(DecisionError, match='none at all'):
        Decision.of_card('youden', replace(card, operating_points={}))
