"""The baseline sees size, border and greys, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from napari_cxr.metrics import BASELINES, baseline_features, fit_baseline
from napari_cxr.radiograph import Radiograph


def made(array):
    return Radiograph.from_array(np.asarray(array, dtype=np.uint8))


def test_features_of_a_small_image_by_hand():
    image = np.full((20, 40), 255)
    image[0] = 0  # the border is one pixel deep: 5 % of 20
    found = baseline_features(made(image))
    assert found.shape == (44,)
    np.testing.assert_allclose(found[:4], [np.log(20), np.log(40), np.log(0.5), 0], rtol=1e-6)
    # top: black; bottom: white; left and right: one black pixel in twenty.
    np.testing.assert_allclose(found[[4, 6, 8, 10]], [0, 1, 0.95, 0.95], rtol=1e-6)
    np.testing.assert_allclose(found[[5, 7]], 0, atol=1e-6)
    np.testing.assert_allclose(found[[12, 43]], [1 / 20, 19 / 20], rtol=1e-6)
    assert found[13:43].sum() == 0


def test_padding_is_left_out():
    image = np.random.default_rng(2).integers(1, 256, (60, 50))
    padded = np.pad(image, ((7, 0), (3, 30)))
    padding = np.ones(padded.shape, dtype=bool)
    padding[7:, 3:53] = False
    found = replace(made(padded), padding=padding)
    np.testing.assert_allclose(baseline_features(found), baseline_features(made(image)))
    # A corner that is padding too: no grey value of it counts, and no border is lost.
    padding[7:27, 3:23] = True
    found = baseline_features(replace(made(padded), padding=padding))
    assert found[12:].sum() == pytest.approx(1)
    counts = np.histogram(padded[~padding] / 255, bins=32, range=(0, 1))[0]
    np.testing.assert_allclose(found[12:], counts / counts.sum(), atol=1e-6)
    assert np.isfinite(found).all()


def test_format_only_is_blind_to_greys_within_the_border():
    random = np.random.default_rng(3)
    image = random.integers(0, 256, (60, 60))
    other = image.copy()
    other[5:-5, 5:-5] = 7
    first, second = (baseline_features(made(i)) for i in (image, other))
    seen = BASELINES['format only']
    np.testing.assert_array_equal(first[:seen], second[:seen])
    assert (first[seen:] != second[seen:]).any()
    assert BASELINES['format and grey levels'] == len(first)


def test_it_finds_what_is_not_linear():
    # One class is the large and the small squares, the other those between.
    sizes = np.random.default_rng(4).integers(0, 3, 300)
    features = np.column_stack([sizes, np.zeros(300)]).astype(np.float32)
    probabilities = fit_baseline(features[:200], (sizes[:200] == 1).astype(int), 2)(features[200:])
    assert (probabilities.argmax(1) == (sizes[200:] == 1)).all()


def test_what_is_inside_makes_no_difference():
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (60, 60))
    inner = image[5:-5, 5:-5].ravel()
    moved = image.copy()
    moved[5:-5, 5:-5] = random.permutation(inner).reshape(50, 50)
    np.testing.assert_allclose(baseline_features(made(image)), baseline_features(made(moved)))


def test_it_tells_formats_apart_and_nothing_where_there_is_nothing():
    random = np.random.default_rng(1)
    images = [made(random.integers(0, 256, (40 + 20 * (i % 2), 50))) for i in range(40)]
    features = np.stack([baseline_features(image) for image in images])
    truth = np.arange(40) % 2
    probabilities = fit_baseline(features[:30], truth[:30], 3)(features[30:])
    assert (probabilities.argmax(1) == truth[30:]).all()
    # The third class was not in the training images.
    assert (probabilities[:, 2] == 0).all()


def test_several_labels_have_trees_of_their_own():
    random = np.random.default_rng(5)
    features = random.normal(size=(200, 3)).astype(np.float32)
    # The third label no training image has, the fourth has every one.
    truth = np.column_stack([features[:, :2] > 0, np.zeros(200), np.ones(200)]).astype(bool)
    found = fit_baseline(features[:150], truth[:150], 4)(features[150:])
    assert ((found[:, :2] > 0.5) == truth[150:, :2]).mean() > 0.9
    assert (found[:, 2] == 0).all() and (found[:, 3] == 1).all()


def test_one_finding_has_trees_too():
    random = np.random.default_rng(6)
    features = random.normal(size=(200, 3)).astype(np.float32)
    truth = features[:, :1] > 0
    found = fit_baseline(features[:150], truth[:150], 1)(features[150:])
    assert found.shape == (50, 1) and ((found > 0.5) == truth[150:]).mean() > 0.9
