"""Each change does what its name says, and depends on seed, epoch and image alone."""

import colorsys

import numpy as np
import pytest
import torch

from napari_cxr.training import Recipe
from napari_cxr.training.augmentation import Changes, augment, draw, preview
from napari_cxr.training.recipe import AugmentationRecipe

ALL = AugmentationRecipe(
    rotation=20, shear=5, zoom=0.2, shift=0.1, flip=0.5, brightness=0.2, contrast=0.5, gamma=0.5,
    noise=0.1,
)  # fmt: skip


def changes(**entries):
    """One image's changes: none but those given."""
    values = {
        'matrices': np.eye(2)[None],
        'shifts': np.zeros((1, 2)),
        'gamma': np.ones(1),
        'contrast': np.ones(1),
        'brightness': np.zeros(1),
        'noise': np.zeros(1),
        'seeds': np.zeros(1, np.uint64),
    }
    return Changes(**values | {k: np.array(v) for k, v in entries.items()})


def picture(height=32, width=48):
    random = np.random.default_rng(0)
    return torch.from_numpy(random.uniform(0, 1, (1, 1, height, width)).astype(np.float32))


def test_nothing_asked_nothing_changed():
    x = picture()
    torch.testing.assert_close(augment(x, changes()), x, atol=1e-5, rtol=0)
    drawn = draw(AugmentationRecipe(), 0, 0, [7])
    torch.testing.assert_close(augment(x, drawn), x, atol=1e-5, rtol=0)


def test_a_shift_is_a_share_of_the_side():
    x = picture(32, 48)
    # What is seen at a pixel lies a quarter of the width to its right.
    out = augment(x, changes(shifts=[[0.25, 0.0]]))
    torch.testing.assert_close(out[..., :36], x[..., 12:], atol=1e-4, rtol=0)
    assert (out[..., 36:] == 0).all()
    out = augment(x, changes(shifts=[[0.0, -0.5]]))
    torch.testing.assert_close(out[..., 16:, :], x[..., :16, :], atol=1e-4, rtol=0)


def test_a_flip_exchanges_left_and_right_only():
    x = picture()
    out = augment(x, changes(matrices=[[[-1.0, 0], [0, 1]]]))
    torch.testing.assert_close(out, x.flip(-1), atol=1e-5, rtol=0)
    always = draw(AugmentationRecipe(flip=1), 0, 0, range(50))
    np.testing.assert_allclose(always.matrices, np.tile(np.diag([-1.0, 1]), (50, 1, 1)))
    assert (draw(AugmentationRecipe(flip=0.5), 0, 0, range(400)).matrices[:, 1, 1] > 0).all()


def test_a_quarter_turn_of_an_image_that_is_not_square_keeps_pixels_square():
    x = torch.zeros(1, 1, 32, 48)
    x[..., 16:18, 30:32] = 1  # 7 to the right of the middle (23.5), 1 below (15.5)
    out = augment(x, changes(matrices=[[[0.0, -1], [1, 0]]]))
    y, x_ = np.argwhere(out[0, 0].numpy() > 0.5).mean(0)
    # The new pixel at offset (x, y) shows the old one at (-y, x), so (7, 1) is seen at (1, -7).
    assert (x_ - 23.5, y - 15.5) == (pytest.approx(1), pytest.approx(-7))


def test_gamma_contrast_and_brightness_by_hand():
    x = torch.full((1, 1, 8, 8), 0.25)
    assert augment(x, changes(gamma=[0.5])).mean() == pytest.approx(0.5, abs=1e-5)
    assert augment(x, changes(brightness=[0.25])).mean() == pytest.approx(0.5, abs=1e-5)
    x[..., :4] = 0.75  # mean .5
    out = augment(x, changes(contrast=[1.5]))
    assert out.unique().tolist() == pytest.approx([0.125, 0.875], abs=1e-5)
    out = augment(x, changes(contrast=[4.0]))
    assert out.unique().tolist() == [0, 1]


def test_noise_has_its_standard_deviation():
    x = torch.full((1, 1, 200, 200), 0.5)
    out = augment(x, changes(noise=[0.05]))
    assert float(out.std()) == pytest.approx(0.05, rel=0.02)
    assert float(out.mean()) == pytest.approx(0.5, abs=0.002)


def test_an_image_is_changed_alike_in_any_batch():
    images = torch.cat([picture(), picture().flip(-1), picture().flip(-2)])
    together = augment(images, draw(ALL, 3, 8, [5, 0, 9]))
    alone = augment(images[2:], draw(ALL, 3, 8, [9]))
    torch.testing.assert_close(together[2:], alone, atol=1e-6, rtol=0)


def test_images_epochs_and_seeds_differ():
    matrices = [
        draw(ALL, seed, epoch, [place]).matrices.tobytes()
        for seed in (0, 1)
        for epoch in (0, 1)
        for place in (0, 1)
    ]
    assert len(set(matrices)) == 8


def test_nothing_goes_further_than_the_recipe():
    drawn = draw(ALL, 0, 0, range(3000))
    assert np.abs(drawn.shifts).max() == pytest.approx(0.1, rel=0.01)
    assert np.abs(drawn.brightness).max() == pytest.approx(0.2, rel=0.01)
    assert (drawn.gamma.min(), drawn.gamma.max()) == (
        pytest.approx(1 / 1.5, rel=0.01),
        pytest.approx(1.5, rel=0.01),
    )
    assert 0 <= drawn.noise.min() < drawn.noise.max() <= 0.1
    turn = draw(AugmentationRecipe(rotation=20), 0, 0, range(3000)).matrices
    degrees = np.rad2deg(np.arctan2(turn[:, 1, 0], turn[:, 0, 0]))
    assert np.abs(degrees).max() == pytest.approx(20, rel=0.01)
    # Shear and rotation keep areas; size changes them by at most 1.2 squared.
    areas = np.abs(np.linalg.det(drawn.matrices))
    assert 1 / 1.44 - 1e-9 <= areas.min() < areas.max() <= 1.44 + 1e-9


def test_the_global_random_state_is_left_alone():
    before = torch.get_rng_state()
    augment(picture(), draw(ALL, 0, 0, [1]))
    assert torch.equal(torch.get_rng_state(), before)


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
