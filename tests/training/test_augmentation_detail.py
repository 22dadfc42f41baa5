"""Blur, sharpening, coarser pixels, JPEG and rectangles, against scipy, PIL and arithmetic."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage
from test_augmentation import changes, picture

from napari_cxr.training.augmentation import Rectangles, augment, draw
from napari_cxr.training.recipe import AugmentationRecipe

ALL = AugmentationRecipe(sharpen=1.5, blur=3, resolution=2, jpeg=20, erase=0.7, noise=0.05)


def gaussian(image, sigma):
    """What scipy makes of an image of which nothing is outside."""
    there = np.ones_like(image)
    kept, weight = (ndimage.gaussian_filter(x, sigma, mode='constant') for x in (image, there))
    return kept / weight


def test_a_blur_is_scipys_of_each_images_own_width():
    images = torch.cat([picture().roll(i, -1) for i in range(3)])
    sigmas = np.array([0.6, 1.6, 0.0])
    nothing = changes()
    three = replace(
        nothing,
        **{
            name: np.repeat(getattr(nothing, name), 3, axis=0)
            for name in ('matrices', 'shifts', 'gamma', 'contrast', 'brightness', 'noise', 'seeds')
        },
        moved=False,
    )
    out = augment(images, replace(three, blur=sigmas)).numpy()
    for row, sigma in enumerate(sigmas[:2]):
        expected = gaussian(images[row, 0].numpy(), sigma)
        np.testing.assert_allclose(out[row, 0], expected, atol=1e-5)
    np.testing.assert_array_equal(out[2], images[2].numpy())
    # A flat image has nothing that could be blurred, not at its edges either.
    flat = torch.full((3, 1, 20, 30), 0.4)
    torch.testing.assert_close(augment(flat, replace(three, blur=sigmas + 4)), flat)


def test_sharpening_adds_what_a_blur_takes_away():
    x = 0.4 + 0.2 * picture()
    out = augment(x, changes(sharpen=[0.8])).numpy()[0, 0]
    image = x[0, 0].numpy()
    np.testing.assert_allclose(out, image + 0.8 * (image - gaussian(image, 1.5)), atol=1e-5)


def test_coarser_pixels_by_hand():
    x = torch.tensor([0.0, 0.1, 0.2, 0.7]).expand(1, 1, 4, 4).contiguous()
    out = augment(x, changes(resolution=[2.0], moved=False))
    # Means .05 and .45; a quarter and three quarters of the way between their centres.
    expected = [0.05, 0.15, 0.35, 0.45]
    np.testing.assert_allclose(out[0, 0].numpy(), np.tile(expected, (4, 1)), atol=1e-6)
    same = augment(picture(), changes(resolution=[1.0], moved=False))
    torch.testing.assert_close(same, picture())


@pytest.mark.parametrize('quality', [8, 30, 50, 75, 95, 100])
def test_a_jpeg_is_that_of_the_independent_jpeg_group(quality):
    smooth = ndimage.gaussian_filter(picture(45, 61)[0, 0].numpy(), 2)
    values = (255 * (smooth - smooth.min()) / np.ptp(smooth)).round().astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(values).save(file, 'jpeg', quality=quality)
    theirs = np.asarray(Image.open(file)).astype(float)
    x = torch.from_numpy(values[None, None].astype(np.float32) / 255)
    ours = 255 * augment(x, changes(jpeg=[quality], moved=False))[0, 0].numpy()
    # Its transform is in whole numbers, so that a few coefficients are rounded otherwise.
    assert np.abs(ours - theirs).mean() < 0.3
    assert np.median(np.abs(ours - theirs)) == 0


def test_rectangles_are_filled_at_pixel_centres():
    boxes = np.array([[[0.25, 0.75, 0.0, 0.5], [0.5, 2.0, 0.25, 0.32], [0, 1, 0, 1]]])
    erased = Rectangles(boxes, np.array([[0.9, 0.1, 0.5]]), np.array([[True, True, False]]))
    x = torch.zeros(1, 1, 4, 8)
    out = augment(x, replace(changes(moved=False), erase=erased))[0, 0].numpy()
    expected = np.zeros((4, 8))
    expected[1:3, :4] = 0.9
    expected[2:, 2] = 0.1  # the only centre from .25 to .32 is that at .3125
    np.testing.assert_allclose(out, expected, atol=1e-6)


def test_nothing_goes_further_than_the_recipe():
    drawn = draw(ALL, 0, 0, range(3000))
    for values, least, most in (
        (drawn.sharpen, 0, 1.5),
        (drawn.blur, 0, 3),
        (drawn.resolution, 1, 3),
    ):
        assert least <= values.min() < least + 0.01
        assert most * 0.99 < values.max() <= most
    # Even on a log scale.
    assert (drawn.resolution < np.sqrt(3)).mean() == pytest.approx(0.5, abs=0.03)
    assert set(drawn.jpeg) == set(range(20, 101))
    erased = drawn.erase
    counts = erased.there.sum(axis=1)
    assert (counts > 0).mean() == pytest.approx(0.7, abs=0.03)
    shares = np.bincount(counts, minlength=5)[1:] / (counts > 0).sum()
    np.testing.assert_allclose(shares, 0.25, atol=0.04)
    top, bottom, left, right = erased.boxes.transpose(2, 0, 1)
    for low, high in ((top, bottom), (left, right)):
        assert (high - low).min() > 0 and 0.295 < (high - low).max() <= 0.3
        assert ((low + high) / 2).min() >= 0 and ((low + high) / 2).max() <= 1
    assert erased.values.min() >= 0 and erased.values.max() <= 1
    nothing = draw(AugmentationRecipe(noise=0.1), 0, 0, range(3))
    assert {nothing.sharpen, nothing.blur, nothing.resolution, nothing.jpeg, nothing.erase} == {
        None
    }


def test_they_leave_the_draws_of_all_others_alone():
    before = AugmentationRecipe(rotation=20, flip=0.5, multiply=0.5, equalise=0.5, grey=0.5)
    later = replace(before, sharpen=1.0, blur=3.0, resolution=2.0, jpeg=20, erase=0.7)
    one, other = draw(before, 3, 1, [5, 8]), draw(later, 3, 1, [5, 8])
    for name in ('matrices', 'shifts', 'multiply', 'equalise', 'seeds'):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    np.testing.assert_array_equal(one.colour.grey, other.colour.grey)
    # Ten numbers, a seed, and fifteen came before.
    random = np.random.default_rng((3, 1, 5))
    random.uniform(-1, 1, 10)
    random.integers(2**63)
    v = random.uniform(-1, 1, 16)
    np.testing.assert_allclose(one.multiply[0], 1.5 ** v[4])
    np.testing.assert_allclose(other.sharpen[0], (v[15] + 1) / 2)


def test_an_image_is_changed_alike_in_any_batch():
    images = torch.cat([picture(40, 56).roll(i, -1) for i in range(5)])
    places = [4, 0, 9, 2, 7]
    recipe = replace(ALL, jpeg=0)  # where a rounding can tip over
    together = augment(images, draw(recipe, 1, 2, places))
    assert float(together.min()) >= 0 and float(together.max()) <= 1
    for i, place in enumerate(places):
        alone = augment(images[i : i + 1], draw(recipe, 1, 2, [place]))
        torch.testing.assert_close(together[i : i + 1], alone, atol=1e-5, rtol=0)
    again = augment(images, draw(ALL, 1, 2, places))
    torch.testing.assert_close(again, augment(images, draw(ALL, 1, 2, places)), atol=0, rtol=0)
