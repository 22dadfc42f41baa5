"""What a model reaches, in a sentence that promises nothing."""

import pytest

from napari_cxr.checkpoint import Card
from napari_cxr.plugin.classify_job import model_performance, performance_text

FIGURES = {'model': {'all': {'macro_auc': [0.7, 0.65, 0.75]}}}
INPUT = {'height': 32, 'width': 32}
FOLDS = {'measured_on': 'sources left out', 'folds': 4, 'averaged': True}


@pytest.mark.parametrize(
    ('metrics', 'where', 'expect'),
    [
        (
            FIGURES | {'measured_on': 'test'},
            'the test split',
            'In hospitals that it was not trained on, expect less than',
        ),
        (
            FIGURES | FOLDS,
            'sources left out (mean of 4 folds)',
            'Expect no better in your hospital than',
        ),
    ],
)
def test_what_to_expect_elsewhere(metrics, where, expect):
    told = performance_text(
        Card('tiny', 'Tiny', 'resnet10', ('a', 'b'), 1, INPUT, metrics=metrics)
    )
    assert told.startswith(f'{expect} macro AUC 0.700 [0.650, 0.750] on {where}')


def test_what_was_not_measured_is_not_promised(tmp_path):
    unmeasured = Card('tiny', 'Tiny', 'resnet10', ('a', 'b'), 1, INPUT)
    assert performance_text(unmeasured) == 'How well this model does was not measured.'
    assert model_performance(str(tmp_path / 'gone.safetensors')) == ('', False)


def test_a_demonstration_says_what_it_is():
    said = 'A demonstration, not to be believed: it saw nine images.'
    card = Card('tiny', 'Tiny', 'resnet10', ('a', 'b'), 1, INPUT, demonstration=said)
    assert performance_text(card) == said
    told, is_demonstration = model_performance('cxr3-lung-texture')
    assert is_demonstration and '0.53 [0.46, 0.60]' in told
