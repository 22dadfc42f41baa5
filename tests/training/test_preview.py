"""What the preview shows is what training would see."""

import colorsys

import numpy as np
import pytest
import torch

from napari_cxr.training import Recipe
from napari_cxr.training.augmentation import augment, draw
from napari_cxr.training.preview import preview


def recipe(augmentation, **entries):
    return Recipe.from_dict(
        {
            'name': 'shown',
            'network': 'resnet10',
            'input': {'height': 20, 'width': 24, **entries},
            'augmentation': augmentation,
        }
    )


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (3, 20, 24)).astype(np.uint8)


def test_grey_images_beside_their_changes(images):
    asked = recipe({'rotation': 10.0, 'gamma': 0.5})
    shown = preview(images, asked, seed=4)
    assert shown.shape == (1, 3, 2, 20, 24, 3) and shown.dtype == np.uint8
    np.testing.assert_array_equal(shown[0, :, 0], np.repeat(images[..., None], 3, -1))
    changed = augment(
        torch.from_numpy(images / np.float32(255))[:, None],
        draw(asked.augmentation, 4, 0, range(3)),
    )
    np.testing.assert_allclose(shown[0, :, 1, ..., 2], 255 * changed[:, 0], atol=0.51)
    assert (preview(images, asked, seed=5)[0, :, 1] != shown[0, :, 1]).any()


def test_sixteen_bits_look_like_eight(images):
    asked = recipe({'shift': 0.1})
    deep = images.astype(np.uint16) * 257
    np.testing.assert_array_equal(preview(deep, asked), preview(images, asked))


def test_hue_saturation_and_value_follow(images):
    three = {'channels': 3, 'mean': [0.5] * 3, 'std': [0.5] * 3, 'colour': 'hsv'}
    shown = preview(images, recipe({'shift_rgb': 0.3}, **three))
    assert shown.shape == (2, 3, 2, 20, 24, 3)
    np.testing.assert_array_equal(shown[1, :, 0, ..., :2], 0)
    np.testing.assert_array_equal(shown[1, :, 0, ..., 2], images)
    red, green, blue = shown[0, 1, 1, 5, 6] / 255
    expected = 255 * np.array(colorsys.rgb_to_hsv(red, green, blue))
    # Both were rounded to 8 bits from finer colours.
    np.testing.assert_allclose(shown[1, 1, 1, 5, 6, 1:], expected[1:], atol=3)


def test_only_the_classes_that_the_recipe_changes(images):
    asked = recipe({'brightness': 0.5, 'only': ['rare']})
    shown = preview(images, asked, seed=1, labels=('common', 'rare', 'common|rare'))
    differs = [(pair[0] != pair[1]).any() for pair in shown[0]]
    assert differs == [False, True, True]
