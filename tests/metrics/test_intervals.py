"""Intervals against published figures and a known standard error."""

import numpy as np
import pytest

from napari_cxr.metrics import bootstrap, wilson
from napari_cxr.metrics.intervals import mean


@pytest.mark.parametrize(
    ('right', 'n', 'low', 'high'),
    [
        # Newcombe, Statistics in Medicine 1998;17:857, Table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_as_newcombe_tabulates_it(right, n, low, high):
    found = wilson(right / n, n)
    assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_nothing_is_known_from_no_case():
    assert wilson(float('nan'), 0).to_list() == [None, None, None]


def test_bootstrap_of_a_mean_has_the_width_of_its_standard_error():
    values = np.tile([0.0, 1.0], 200)
    (found,) = bootstrap(lambda w: w @ values / w.sum(1), range(400), ['all'] * 400)
    # 1.96 * sqrt(.25 / 400) = .049
    assert found.value == 0.5
    assert found.low == pytest.approx(0.451, abs=0.006)
    assert found.high == pytest.approx(0.549, abs=0.006)


def test_images_of_a_patient_are_drawn_together():
    values = np.tile([0.0, 1.0], 50)
    alone = bootstrap(lambda w: w @ values / w.sum(1), range(100), [0] * 100, seed=3)[0]
    fourfold = np.repeat(values, 4)
    groups = np.repeat(np.arange(100), 4).tolist()
    four = bootstrap(lambda w: w @ fourfold / w.sum(1), groups, [0] * 400, seed=3)[0]
    # Four copies of each image bring no knowledge: the interval stays as wide.
    assert four == alone


def test_classes_keep_their_number_of_patients():
    counts = []

    def figure(weights):
        counts.append(weights[:, :3].sum(1))
        return weights.sum(1)

    (found,) = bootstrap(figure, range(10), [0] * 3 + [1] * 7, times=50)
    assert (np.concatenate(counts) == 3).all()
    assert (found.low, found.value, found.high) == (10, 10, 10)


def test_the_seed_decides():
    values = np.arange(20.0)

    def run(seed):
        return bootstrap(lambda w: w @ values, range(20), [0] * 20, times=100, seed=seed)

    assert run(1) == run(1) != run(2)


def test_zhongs_interval_of_a_mean_probability():
    # 100 images of COVID-19, mean .8445, [.8185, .8705]: with t(99) = 1.9842 the standard
    # deviation is .013 / 1.9842 * 10 = .1310, here as two values at equal distance.
    apart = 0.1310 * (99 / 100) ** 0.5
    found = mean(np.repeat([0.8445 - apart, 0.8445 + apart], 50), range(100))
    assert found.to_list() == pytest.approx([0.8445, 0.8185, 0.8705], abs=5e-5)


def test_copies_of_an_image_leave_the_interval_of_a_mean_as_it_is():
    values = np.array([0.2, 0.4, 0.9])
    once = mean(values, 'abc')
    # s = .3606, t(2) = 4.3027, so 4.3027 * .3606 / sqrt 3 = .8957.
    assert once.high - once.value == pytest.approx(0.8957, abs=1e-4)
    thrice = mean(np.repeat(values, 3), 'aaabbbccc')
    assert (thrice.low, thrice.high) == (pytest.approx(once.low), pytest.approx(once.high))
    assert mean(values, 'aaa').to_list() == [0.5, None, None]
    assert mean(values[:0], '').to_list() == [None, None, None]
