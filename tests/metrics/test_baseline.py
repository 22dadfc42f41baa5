"""The baseline sees size, border and greys, and nothing else."""

import numpy as np

from napari_cxr.metrics import baseline_features, fit_baseline
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
