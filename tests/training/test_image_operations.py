"""Tensors and arrays become the same network input."""

import numpy as np
import pytest
import torch
from skimage import color

from napari_cxr.inference import Preprocessing
from napari_cxr.training.image_operations import to_input

THREE = {'channels': 3, 'mean': (0.5, 0.4, 0.3), 'std': (0.5, 0.2, 0.1)}


@pytest.mark.parametrize(
    'entries', [{'mean': (0.4,), 'std': (0.3,)}, THREE, {**THREE, 'colour': 'hsv'}]
)
def test_grey_images_as_the_classifier_prepares_them(entries):
    fit = Preprocessing(6, 5, **entries)
    images = np.random.default_rng(0).random((4, 6, 5), dtype=np.float32)
    tensor = to_input(torch.from_numpy(images)[:, None], fit)
    np.testing.assert_array_equal(tensor.numpy(), fit.normalise(images))
    assert tensor.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize('colour', ['rgb', 'hsv'])
def test_coloured_images(colour):
    fit = Preprocessing(6, 5, **THREE, colour=colour)
    rgb = np.random.default_rng(0).random((2, 6, 5, 3), dtype=np.float32)
    expected = (color.rgb2hsv(rgb) if colour == 'hsv' else rgb) - np.array(fit.mean)
    expected = np.moveaxis(expected / np.array(fit.std), -1, 1)
    tensor = to_input(torch.from_numpy(np.moveaxis(rgb, -1, 1).copy()), fit)
    np.testing.assert_allclose(tensor.numpy(), expected, atol=1e-4)


def test_grey_given_as_three_channels_is_as_grey_as_one():
    grey = torch.rand(2, 1, 6, 5)
    for colour in ('rgb', 'hsv'):
        fit = Preprocessing(6, 5, **THREE, colour=colour)
        torch.testing.assert_close(to_input(grey.expand(2, 3, 6, 5), fit), to_input(grey, fit))


def test_colours_need_three_channels():
    with pytest.raises(ValueError, match='one channel'):
        to_input(torch.rand(1, 3, 4, 4), Preprocessing(4, 4))
