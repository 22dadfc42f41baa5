"""Each change against another library's, or against arithmetic by hand."""

import colorsys
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage import color, exposure
from test_augmentation import changes, picture
from torchvision.transforms.v2 import functional as vision

from napari_cxr.training.augmentation import ColourChanges, augment, draw
from napari_cxr.training.image_operations import hsv_to_rgb, rgb_to_hsv, standard_normal
from napari_cxr.training.recipe import AugmentationRecipe

EVERYTHING = AugmentationRecipe(
    rotation=30, shear=10, zoom=0.3, shift=0.1, crop=0.2, pad=0.1, flip=0.5, flip_vertical=0.5,
    brightness=0.2, contrast=0.5, gamma=0.5, multiply=0.3, equalise=0.5, noise=0.1,
    saturation=0.5, hue=0.2, shift_rgb=0.2, shift_hsv=0.2, grey=0.3, fill='edge',
)  # fmt: skip


def resampled(image, drawn, row, mode):
    """What scipy makes of one image by the same matrix, in its order (y, x)."""
    height, width = image.shape
    matrix = drawn.matrices[row][::-1, ::-1]
    centre = (np.array([height, width]) - 1) / 2
    shift = drawn.shifts[row][::-1] * [height, width]
    return ndimage.affine_transform(
        image.astype(np.float64), matrix, centre + shift - matrix @ centre, order=1, mode=mode
    )


@pytest.mark.parametrize(('fill', 'mode'), [('black', 'grid-constant'), ('edge', 'nearest')])
def test_geometry_is_one_resampling_like_scipys(fill, mode):
    recipe = AugmentationRecipe(
        rotation=180, shear=20, zoom=0.5, shift=0.2, crop=0.3, pad=0.3, flip=0.5,
        flip_vertical=0.5, fill=fill,
    )  # fmt: skip
    drawn = draw(recipe, 4, 2, range(12))
    images = torch.cat([picture(40, 56).roll(i, -1) for i in range(12)])
    out = augment(images, drawn).numpy()
    for row in range(12):
        expected = resampled(images[row, 0].numpy(), drawn, row, mode)
        np.testing.assert_allclose(out[row, 0], expected, atol=2e-4)


def test_a_crop_is_a_window_of_the_image_at_any_place():
    drawn = draw(AugmentationRecipe(crop=0.25), 0, 0, range(2000))
    np.testing.assert_allclose(drawn.matrices, np.tile(0.75 * np.eye(2), (2000, 1, 1)))
    # From the middle to an eighth of the side: the window touches the edges, and no more.
    assert np.abs(drawn.shifts).max() == pytest.approx(0.125, rel=0.01)
    assert np.abs(drawn.shifts).max() <= 0.125
    assert np.abs(drawn.shifts.mean(0)).max() < 0.01


def test_padding_shows_the_whole_image_with_a_margin():
    drawn = draw(AugmentationRecipe(pad=0.5), 0, 0, range(2000))
    sizes = drawn.matrices[:, 0, 0]
    assert (sizes.min(), sizes.max()) == (pytest.approx(1, abs=0.01), pytest.approx(2, abs=0.01))
    assert not drawn.shifts.any()
    x = torch.ones(1, 1, 40, 40)
    # Half as large: a quarter of the side is left on either side.
    twice = changes(matrices=[2 * np.eye(2)])
    assert augment(x, twice)[0, 0].sum() == pytest.approx(400, rel=1e-4)


def test_flips_are_exact():
    x = picture()
    both = draw(AugmentationRecipe(flip=1, flip_vertical=1), 0, 0, [3])
    torch.testing.assert_close(augment(x, both), x.flip(-1).flip(-2), atol=1e-5, rtol=0)
    down = draw(AugmentationRecipe(flip_vertical=1), 0, 0, [3])
    torch.testing.assert_close(augment(x, down), x.flip(-2), atol=1e-5, rtol=0)
    drawn = draw(AugmentationRecipe(flip_vertical=0.3), 0, 0, range(3000))
    assert (drawn.matrices[:, 1, 1] < 0).mean() == pytest.approx(0.3, abs=0.03)
    assert (drawn.matrices[:, 0, 0] > 0).all()


def test_brightness_contrast_and_gamma_as_torchvision_has_them():
    x = 0.3 + 0.4 * picture()
    out = augment(x, changes(contrast=[1.3]))
    torch.testing.assert_close(out, vision.adjust_contrast(x, 1.3), atol=1e-6, rtol=0)
    out = augment(x, changes(gamma=[1.4]))
    torch.testing.assert_close(out, vision.adjust_gamma(x, 1.4), atol=1e-6, rtol=0)
    # What torchvision calls brightness is a factor: multiply.
    out = augment(x, changes(multiply=[1.2]))
    torch.testing.assert_close(out, vision.adjust_brightness(x, 1.2), atol=1e-6, rtol=0)


def test_multiply_stays_in_its_range():
    factors = draw(AugmentationRecipe(multiply=0.5), 0, 0, range(3000)).multiply
    assert factors.min() == pytest.approx(1 / 1.5, rel=0.01)
    assert factors.max() == pytest.approx(1.5, rel=0.01)


def test_equalising_as_skimage_does_with_black_kept_black():
    values = (255 * picture(60, 80) ** 3).round().to(torch.uint8)
    out = augment(values / 255, changes(equalise=[True]))
    cumulative = exposure.equalize_hist(values[0, 0].numpy())
    expected = (cumulative - cumulative.min()) / (1 - cumulative.min())
    np.testing.assert_allclose(out[0, 0].numpy(), expected, atol=1e-6)


def test_equalising_by_hand():
    x = torch.tensor([0.1, 0.1, 0.2, 0.4]).reshape(1, 1, 2, 2)
    out = augment(x, changes(equalise=[True]))
    assert out.flatten().tolist() == pytest.approx([0, 0, 0.5, 1])
    flat = torch.full((1, 1, 2, 2), 0.3)
    torch.testing.assert_close(augment(flat, changes(equalise=[True])), flat)
    happened = draw(AugmentationRecipe(equalise=0.25), 0, 0, range(3000)).equalise
    assert happened.mean() == pytest.approx(0.25, abs=0.03)


def coloured(rows=1, **entries):
    values = {
        'shift_rgb': np.zeros((rows, 3)),
        'hue': np.zeros(rows),
        'saturation': np.ones(rows),
        'shift_hsv': np.zeros((rows, 3)),
        'grey': np.zeros(rows, dtype=bool),
    }
    return ColourChanges(**values | {k: np.array(v) for k, v in entries.items()})


def recoloured(given):
    return replace(changes(), colour=given)


def as_planes(rgb):
    return np.moveaxis(rgb[0].numpy(), 0, -1)


def test_colours_change_as_skimage_would():
    x = 0.3 + 0.4 * picture()
    given = coloured(
        shift_rgb=[[0.2, -0.1, 0.05]], hue=[0.3], saturation=[0.8], shift_hsv=[[0.1, 0.05, -0.1]]
    )
    out = augment(x, recoloured(given))
    rgb = x[0, 0].numpy()[..., None] + np.array([0.2, -0.1, 0.05])
    hsv = color.rgb2hsv(rgb)
    hsv[..., 0] = (hsv[..., 0] + 0.4) % 1
    hsv[..., 1] = hsv[..., 1] * 0.8 + 0.05
    hsv[..., 2] -= 0.1
    np.testing.assert_allclose(as_planes(out), color.hsv2rgb(hsv), atol=1e-5)


def test_a_turn_of_hue_as_torchvision_does():
    x = 0.3 + 0.4 * picture()
    shift = [[0.2, -0.1, 0.05]]
    before = augment(x, recoloured(coloured(shift_rgb=shift)))
    out = augment(x, recoloured(coloured(shift_rgb=shift, hue=[-0.2])))
    torch.testing.assert_close(out, vision.adjust_hue(before, -0.2), atol=1e-5, rtol=0)


def test_grey_comes_last_and_has_three_channels():
    x = picture()
    out = augment(x, recoloured(coloured(shift_rgb=[[0.3, 0, 0]], grey=[True])))
    assert out.shape == (1, 3, 32, 48)
    shifted = torch.cat([(x + 0.3).clamp(0, 1), x, x], dim=1)
    expected = vision.rgb_to_grayscale(shifted, num_output_channels=3)
    torch.testing.assert_close(out, expected, atol=1e-3, rtol=0)  # 0.2989 there, 0.299 here
    happened = draw(AugmentationRecipe(grey=0.25), 0, 0, range(3000)).colour.grey
    assert happened.mean() == pytest.approx(0.25, abs=0.03)


def test_no_colour_goes_further_than_the_recipe():
    recipe = AugmentationRecipe(saturation=1, hue=0.1, shift_rgb=0.2, shift_hsv=0.3)
    drawn = draw(recipe, 0, 0, range(3000)).colour
    for values, most in ((drawn.hue, 0.1), (drawn.shift_rgb, 0.2), (drawn.shift_hsv, 0.3)):
        assert np.abs(values).max() == pytest.approx(most, rel=0.01)
    assert drawn.saturation.min() == pytest.approx(0.5, rel=0.01)
    assert drawn.saturation.max() == pytest.approx(2, rel=0.01)
    assert len({tuple(row) for row in drawn.shift_rgb}) == 3000


def test_hue_saturation_and_value_as_skimage_and_colorsys_have_them():
    random = np.random.default_rng(1)
    rgb = random.uniform(0, 1, (20, 20, 3)).astype(np.float32)
    rgb[0] = rgb[0, :, :1]  # greys
    rgb[1, :3] = np.eye(3)
    rgb[1, 3:6] = 1 - np.eye(3)
    rgb[1, 6] = 0
    tensor = torch.from_numpy(np.moveaxis(rgb, -1, 0))[None]
    hsv = rgb_to_hsv(tensor)
    np.testing.assert_allclose(as_planes(hsv), color.rgb2hsv(rgb), atol=2e-5)
    np.testing.assert_allclose(
        as_planes(hsv).reshape(-1, 3),
        [colorsys.rgb_to_hsv(*map(float, p)) for p in rgb.reshape(-1, 3)],
        atol=2e-5,
    )
    torch.testing.assert_close(hsv_to_rgb(hsv), tensor, atol=1e-5, rtol=0)
    np.testing.assert_allclose(
        as_planes(hsv_to_rgb(tensor)), color.hsv2rgb(rgb.astype(np.float64)), atol=1e-5
    )
    assert float(hsv.min()) >= 0 and float(hsv[:, 0].max()) < 1


def test_everything_at_once_depends_on_the_image_alone():
    images = torch.cat([picture().roll(i, -1) for i in range(8)])
    places = [4, 0, 9, 2, 7, 1, 8, 3]
    together = augment(images, draw(EVERYTHING, 1, 2, places))
    assert together.shape == (8, 3, 32, 48)
    assert float(together.min()) >= 0 and float(together.max()) <= 1
    for i, place in enumerate(places):
        alone = augment(images[i : i + 1], draw(EVERYTHING, 1, 2, [place]))
        # A rank may tip over where a rounding differs by one step; hence the tolerance.
        torch.testing.assert_close(together[i : i + 1], alone, atol=2e-3, rtol=0)


def test_new_entries_leave_the_draws_of_the_first_ones_alone():
    before = {'rotation': 20, 'shear': 5, 'zoom': 0.2, 'shift': 0.1, 'flip': 0.5, 'noise': 0.1}
    first = draw(AugmentationRecipe(**before), 3, 1, [5])
    later = draw(AugmentationRecipe(**before, multiply=0.5, equalise=0.5, grey=0.5), 3, 1, [5])
    np.testing.assert_array_equal(first.matrices, later.matrices)
    np.testing.assert_array_equal(first.shifts, later.shifts)
    np.testing.assert_array_equal(first.seeds, later.seeds)
    # What the recipe of the bundled model drew: 10 numbers, then a seed.
    random = np.random.default_rng((3, 1, 5))
    u = random.uniform(-1, 1, 10)
    np.testing.assert_array_equal(first.shifts[0], 0.1 * u[4:6])
    assert first.noise[0] == 0.1 * (u[9] + 1) / 2
    assert first.seeds[0] == random.integers(2**63)


def test_noise_of_other_devices_is_normal_and_its_images_differ():
    from napari_cxr.training.image_operations import _counted

    seeds = np.array([3, 4, 2**63 - 1, 0], dtype=np.uint64)
    fields = _counted(seeds, (301, 201), torch.device('cpu'))
    assert fields.shape == (4, 1, 301, 201) and fields.dtype == torch.float32
    flat = fields.reshape(4, -1).double()
    np.testing.assert_allclose(flat.mean(1), 0, atol=0.015)
    np.testing.assert_allclose(flat.std(1), 1, atol=0.01)
    np.testing.assert_allclose((flat.abs() < 1).double().mean(1), 0.6827, atol=0.008)
    np.testing.assert_allclose((flat.abs() < 2).double().mean(1), 0.9545, atol=0.004)
    np.testing.assert_allclose(np.corrcoef(flat.numpy()), np.eye(4), atol=0.02)
    # Neighbours, and the two halves that share a pair of numbers, do not go together.
    half = flat.shape[1] // 2
    for lag in (1, 201, half + 1):
        product = (flat[:, lag:] * flat[:, :-lag]).mean(1)
        np.testing.assert_allclose(product, 0, atol=0.025)
    alone = _counted(seeds[2:3], (301, 201), torch.device('cpu'))
    assert torch.equal(alone, fields[2:3])


def test_noise_on_the_cpu_is_numpys_own():
    seeds = np.array([11, 12], dtype=np.uint64)
    fields = standard_normal(seeds, (5, 7), torch.device('cpu'))
    expected = np.random.default_rng(12).standard_normal((1, 5, 7), dtype=np.float32)
    np.testing.assert_array_equal(fields[1].numpy(), expected)
