"""Entropy by hand: B. Settles, 2009, section 3.1, as a share of its largest value."""

import numpy as np
import pytest

from napari_cxr.inference.label_rule import uncertainty


def test_exclusive_classes():
    found = uncertainty(
        [
            [0.5, 0.5, 0.0, 0.0],  # 1 bit of log2(4) = 2
            [0.25, 0.25, 0.25, 0.25],
            [1.0, 0.0, 0.0, 0.0],
            [0.5, 0.25, 0.125, 0.125],  # 0.5 + 0.5 + 0.375 + 0.375 = 1.75 bits
        ],
        multilabel=False,
    )
    np.testing.assert_allclose(found, [0.5, 1.0, 0.0, 0.875], atol=1e-12)


def test_several_classes_are_a_question_each():
    # 0.25 has the binary entropy 2 - 0.75 * log2(3) = 0.811278; 0 and 1 have none.
    found = uncertainty([[0.5, 0.5], [0.25, 0.0], [1.0, 1.0], [0.5, 1.0]], multilabel=True)
    np.testing.assert_allclose(found, [1.0, 0.811278 / 2, 0.0, 0.5], atol=1e-6)


def test_what_has_no_probabilities_has_no_uncertainty():
    found = uncertainty([[np.nan, np.nan], [0.5, 0.5]], multilabel=False)
    assert np.isnan(found[0]) and found[1] == 1.0
    assert np.argsort(-found).tolist() == [1, 0]  # it comes last


def test_no_rows_and_one_class():
    assert uncertainty(np.zeros((0, 3)), multilabel=False).shape == (0,)
    np.testing.assert_allclose(uncertainty([[0.5], [1.0]], multilabel=True), [1.0, 0.0])
    np.testing.assert_allclose(uncertainty([[1.0]], multilabel=False), [0.0])


def test_one_row_is_not_many():
    with pytest.raises(ValueError, match='2 dimensions'):
        uncertainty([0.5, 0.5], multilabel=False)


def test_a_class_is_least_certain_at_its_threshold():
    found = uncertainty([[0.1], [0.5], [0.0]], multilabel=True, thresholds=(0.1,))
    assert found[0] == pytest.approx(1) and found[2] == 0
    # 0.5 is moved to 1 - 0.5 / 1.8 = 0.722.
    q = 1 - 0.5 / 1.8
    assert found[1] == pytest.approx(-q * np.log2(q) - (1 - q) * np.log2(1 - q))
