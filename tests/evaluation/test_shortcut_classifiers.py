import numpy as np
import pytest

from napari_cxr.evaluation.shortcut_classifiers import fit_shortcut, lungs_blanked
from napari_cxr.metrics.classification import auc


def test_projection_alone_answers_how_often_it_had_the_finding():
    guess = fit_shortcut(
        'projection only',
        np.zeros((5, 44)),
        ['AP', 'AP', 'AP', 'AP', 'PA'],
        np.array([True, True, True, False, False]),
    )
    # A projection that was never seen gets the mean of all.
    assert guess(np.zeros((3, 44)), ['AP', 'PA', 'LL']).tolist() == [0.75, 0, 0.6]


@pytest.mark.parametrize(
    ('name', 'column', 'expected'),
    [
        ('format only', 3, 1.0),
        ('format only', 20, 0.5),
        ('format and grey levels', 20, 1.0),
    ],
)
def test_what_each_shortcut_sees(name, column, expected):
    positive = np.arange(200) % 2 == 0
    features = np.zeros((200, 44))
    features[:, column] = positive
    guess = fit_shortcut(name, features, ['AP'] * 200, positive)
    assert auc(positive, guess(features, ['AP'] * 200)) == expected


def test_an_unknown_shortcut():
    with pytest.raises(ValueError, match=r'no shortcut .*format only'):
        fit_shortcut('magic', np.zeros((2, 44)), ['', ''], np.array([True, False]))


def test_blanked_lungs_are_black_and_nothing_else_changes():
    images = np.full((1, 2, 2), 0.7, np.float32)
    lungs = np.array([[[0.9, 0.1], [0.5, 0.51]]])
    blank = lungs_blanked(images, lungs)
    assert blank.dtype == np.float32
    assert blank[0].tolist() == [[0, pytest.approx(0.7)], [pytest.approx(0.7), 0]]
