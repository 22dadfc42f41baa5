"""What counts as positive in the table of runs."""

import pytest

from napari_cxr.checkpoint import Card
from napari_cxr.training.outcomes import negative_class, outcomes


@pytest.mark.parametrize(
    ('labels', 'negative'),
    [
        (('NORMAL', 'PNEUMONIA'), 'NORMAL'),
        (('COVID', 'NOCOVID'), 'NOCOVID'),
        (('covid-19', 'non-covid-19'), 'non-covid-19'),
        (('Effusion', 'No Finding'), 'No Finding'),
        (('covid19', 'rest'), 'rest'),
        # No disease is without disease because its name begins like "no".
        (('covid19', 'nodule'), None),
        (('bacterial', 'viral'), None),
    ],
)
def test_the_class_without_the_disease(labels, negative):
    assert negative_class(labels) == negative


def card(labels, confusion=None, on='test', counts=None, several=False):
    figures = {'classes': {label: {'counts': c} for label, c in (counts or {}).items()}}
    if confusion:
        figures['confusion'] = confusion
    return Card(
        name='small',
        title='',
        architecture='resnet10',
        labels=labels,
        channels=1,
        several=several,
        preprocessing={'height': 9, 'width': 9},
        metrics={'measured_on': on, 'model': {'all': figures}},
    )


def test_sagars_counts():
    found = outcomes(card(('NORMAL', 'PNEUMONIA'), [[191, 43], [13, 377]]))
    assert found == {'tp': 377, 'fp': 43, 'tn': 191, 'fn': 13}


def test_without_a_telling_name_the_second_of_two_is_positive():
    found = outcomes(card(('bacterial', 'viral'), [[7, 3], [1, 9]]))
    assert found == {'tp': 9, 'fp': 3, 'tn': 7, 'fn': 1}


def test_of_three_a_disease_taken_for_another_was_found():
    # Zhong's matrix: rows COVID-19, normal, pneumonia.
    found = outcomes(
        card(('covid19', 'normal', 'pneumonia'), [[98, 0, 2], [9, 197, 36], [5, 42, 351]])
    )
    assert found == {'tp': 98 + 2 + 5 + 351, 'fp': 9 + 36, 'tn': 197, 'fn': 42}


def test_without_a_class_without_disease_and_with_several_labels_counts_are_added():
    counts = {
        'a': {'tp': 1, 'fp': 2, 'tn': 3, 'fn': 4},
        'b': {'tp': 10, 'fp': 20, 'tn': 30, 'fn': 40},
    }
    total = {'tp': 11, 'fp': 22, 'tn': 33, 'fn': 44}
    assert outcomes(card(('a', 'b', 'c'), [[1] * 3] * 3, counts=counts)) == total
    assert outcomes(card(('a', 'b'), counts=counts, several=True)) == total


def test_what_was_not_measured_on_test_images_is_not_known():
    assert outcomes(card(('a', 'b'), [[1, 2], [3, 4]], on='val')) == {}
    assert outcomes(card(('a', 'b'), several=True)) == {}
