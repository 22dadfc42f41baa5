"""Kappa by hand, and its interval by patient."""

import math

import numpy as np
import pytest

from napari_cxr.metrics.kappa import cohen_kappa, fleiss_kappa, kappa_interval

#: Two readers of fifty images: 20 twice yes, 15 twice no, 5 and 10 apart.
FIRST = np.repeat([0, 0, 1, 1], [20, 5, 10, 15])
SECOND = np.repeat([0, 1, 0, 1], [20, 5, 10, 15])


def test_cohen_by_hand():
    # alike 35 / 50; by chance (25 * 30 + 25 * 20) / 50**2 = 1 / 2
    assert cohen_kappa(FIRST, SECOND, 2) == pytest.approx(0.4)
    weights = np.stack([np.ones(50), np.r_[np.ones(35), np.zeros(15)]])
    # the second without those apart at the end: alike 20 / 35, by chance
    # (25 * 30 + 10 * 5) / 35**2 = 32 / 49, so (28 - 32) / (49 - 32)
    assert cohen_kappa(FIRST, SECOND, 2, weights) == pytest.approx([0.4, -4 / 17])


def test_fleiss_by_hand():
    # two images alike, two with two of three: (1 + 1/3 + 1 + 1/3) / 4 = 2/3; by chance 1/2
    chosen = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [0, 1, 1, 0]])
    assert fleiss_kappa(chosen, 2) == pytest.approx(1 / 3)
    # for the first two images: alike 2/3; 5 of 6 answers are class 0, by chance 26/36
    assert fleiss_kappa(chosen, 2, np.array([1, 1, 0, 0])) == pytest.approx(
        (2 / 3 - 26 / 36) / (10 / 36)
    )


def test_readers_who_always_say_the_same_have_no_kappa():
    assert math.isnan(cohen_kappa(np.zeros(5, int), np.zeros(5, int), 3))
    assert math.isnan(fleiss_kappa(np.zeros((3, 5), int), 3))
    assert cohen_kappa(np.array([0, 1]), np.array([0, 1]), 2) == 1
    assert cohen_kappa(np.array([0, 1]), np.array([1, 0]), 2) == -1


def test_interval_is_by_patient():
    both = np.stack([FIRST, SECOND])
    single = kappa_interval(both, 2, range(50))
    # Each image four times, of one patient: no more is known than of fifty.
    repeated = kappa_interval(np.repeat(both, 4, axis=1), 2, np.repeat(np.arange(50), 4).tolist())
    taken_apart = kappa_interval(np.repeat(both, 4, axis=1), 2, range(200))
    assert single.value == repeated.value == taken_apart.value == pytest.approx(0.4)
    assert single.low < 0.3 and single.high > 0.5
    assert (repeated.low, repeated.high) == pytest.approx((single.low, single.high))
    assert taken_apart.high - taken_apart.low < 0.6 * (single.high - single.low)


def test_few_patients_and_full_agreement_have_no_interval():
    few = kappa_interval(np.stack([FIRST, SECOND])[:, ::6], 2, range(9))
    assert math.isfinite(few.value) and math.isnan(few.low)
    alike = kappa_interval(np.stack([FIRST, FIRST, FIRST]), 2, range(50), fleiss=True)
    assert alike.value == 1 and math.isnan(alike.low)
