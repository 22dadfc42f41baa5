"""Figures of the rows whose truth is known."""

import pytest

from napari_cxr.scoring import Row
from napari_cxr.scoring.measuring import measure


def row(number, truth, *probabilities, patient='', status='scored'):
    return Row(
        number, f'{number}', status, truth=truth, probabilities=probabilities, patient=patient
    )


def test_the_figures_by_hand():
    rows = [
        row(0, 'A', 0.9, 0.1),
        row(1, 'a', 0.4, 0.6),
        row(2, 'B', 0.3, 0.7),
        row(3, 'B', 0.2, 0.8),
        row(4, '', 0.2, 0.8),
        row(5, 'C', 0.2, 0.8),
        row(6, 'A', status='error'),
        row(7, 'A|B', 0.2, 0.8),
    ]
    found, unknown = measure(rows, ['A', 'B'], several=False)
    assert unknown == ('A|B', 'C')
    assert found['images'] == found['patients'] == 4
    assert found['confusion'] == [[1, 1], [0, 2]]
    assert found['accuracy'][0] == pytest.approx(0.75)
    assert found['classes']['A']['auc'][0] == pytest.approx(1)
    assert found['classes']['A']['sensitivity'][0] == pytest.approx(0.5)


def test_patients_are_counted_once():
    rows = [row(i, 'AB'[i % 2], 0.5 + 0.1 * i, 0.5 - 0.1 * i, patient='xyyx'[i]) for i in range(4)]
    assert measure(rows, ['A', 'B'], several=False)[0]['patients'] == 2


def test_several_labels():
    rows = [row(0, 'A|B', 0.9, 0.9), row(1, 'A', 0.8, 0.6), row(2, 'B', 0.1, 0.7)]
    found, unknown = measure(rows, ['A', 'B'], several=True)
    assert unknown == () and found['classes']['A']['counts'] == {
        'tp': 2,
        'fp': 0,
        'tn': 1,
        'fn': 0,
    }
    assert found['classes']['B']['counts'] == {'tp': 2, 'fp': 1, 'tn': 0, 'fn': 0}


def test_one_class_alone_is_no_measure():
    assert measure([row(0, 'A', 1.0, 0.0)], ['A', 'B'], several=False) == ({}, ())
