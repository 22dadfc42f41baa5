""""""

import numpy as np
import pytest

from napari_cxr import lungs, samples
from napari_cxr.inference import Preprocessing
from napari_cxr.inference.preprocessing import DARKEST_LUNG, lung_grey_values
from napari_cxr.radiograph import Geometry, Radiograph, UnreadableImage


def plain(height, width, **options):
    """Preprocessing that leaves grey values as they are."""
    return Preprocessing(height, width, stretch=None, **options)


def bright_dot(shape, y, x, radius=3):
    """A radiograph with a smooth dot whose centre of mass is at (y, x)."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    dot = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * radius**2))
    return Radiograph.from_array(dot.astype(np.float32))


def centre_of_mass(image):
    rows, columns = np.indices(image.shape)
    return np.array([(rows * image).sum(), (columns * image).sum()]) / image.sum()


def test_same_size_is_the_identity():
    image = np.random.default_rng(0).random((8, 8), dtype=np.float32)
    ready = plain(8, 8).apply(Radiograph.from_array(image))
    np.testing.assert_allclose(ready.image, image, atol=1e-6)
    np.testing.assert_array_equal(ready.to_radiograph, np.eye(3))
    assert ready.enlargement == 1


def test_halving_by_hand():
    # Pixel 0 of the small image covers pixels 0 and 1, whose common centre is 0.5.
    ready = plain(4, 4).apply(Radiograph.from_array(np.zeros((8, 8), np.uint8)))
    np.testing.assert_allclose(ready.to_radiograph @ [0, 0, 1], [0.5, 0.5, 1])
    np.testing.assert_allclose(ready.to_radiograph @ [3, 3, 1], [6.5, 6.5, 1])
    assert ready.enlargement == pytest.approx(0.5)


def test_crop_takes_the_middle():
    # 10 x 20: columns 5 to 14 are kept, so the first pixel of the input is (0, 5).
    image = np.zeros((10, 20), np.uint8)
    image[0, 5] = 255
    ready = plain(10, 10).apply(Radiograph.from_array(image))
    np.testing.assert_allclose(ready.to_radiograph @ [0, 0, 1], [0, 5, 1])
    assert ready.image[0, 0] == 1


def test_border_is_cut_first():
    # 12.5 % of 80 is 10 on each side; 60 remain.
    ready = plain(60, 60, border=0.125).apply(Radiograph.from_array(np.zeros((80, 80), np.uint8)))
    np.testing.assert_allclose(ready.to_radiograph @ [0, 0, 1], [10, 10, 1])
    np.testing.assert_allclose(ready.to_radiograph @ [59, 59, 1], [69, 69, 1])


def test_pad_surrounds_with_black_and_places_it():
    # 10 x 20 into 20 x 20: five black rows above and below.
    ready = plain(20, 20, fit='pad').apply(Radiograph.from_array(np.full((10, 20), 255, np.uint8)))
    assert (ready.image[:5] == 0).all() and (ready.image[15:] == 0).all()
    assert (ready.image[5:15] == 1).all()
    np.testing.assert_allclose(ready.to_radiograph @ [5, 0, 1], [0, 0, 1])


def test_aspect_makes_high_pixels_count_as_high():
    # Pixels twice as high as wide: 10 x 20 pixels are a square, and nothing is cut off.
    image = Radiograph.from_array(np.zeros((10, 20), np.uint8), geometry=Geometry(aspect=2.0))
    ready = plain(20, 20).apply(image)
    np.testing.assert_allclose(ready.to_radiograph @ [-0.5, -0.5, 1], [-0.5, -0.5, 1])
    np.testing.assert_allclose(ready.to_radiograph @ [19.5, 19.5, 1], [9.5, 19.5, 1])


@pytest.mark.parametrize('fit', ['crop', 'stretch', 'pad'])
@pytest.mark.parametrize('shape', [(300, 240), (240, 301), (97, 230)])
@pytest.mark.parametrize('border', [0.0, 0.08])
def test_the_matrix_leads_back_to_the_dot(fit, shape, border):
    y, x = 0.45 * shape[0], 0.55 * shape[1]
    ready = plain(160, 144, fit=fit, border=border).apply(bright_dot(shape, y, x, radius=6))
    back = ready.to_radiograph @ [*centre_of_mass(ready.image), 1]
    np.testing.assert_allclose(back, [y, x, 1], atol=0.05)


def test_stretch_makes_the_window_and_the_depth_indifferent():
    rng = np.random.default_rng(1)
    image = rng.integers(0, 4096, (64, 64))
    fit = Preprocessing(32, 32)
    narrow = fit.apply(Radiograph.from_array(image.astype(np.uint16))).image
    full = fit.apply(Radiograph.from_array((image * 16).astype(np.uint16))).image
    np.testing.assert_allclose(narrow, full, atol=1e-4)


def test_stretch_by_hand():
    # 0, 1, ..., 100: the percentiles 10 and 90 are 10 and 90.
    image = np.arange(101, dtype=np.float32)[None] / 100
    ready = Preprocessing(1, 101, fit='stretch', stretch=(10, 90)).apply(
        Radiograph.from_array(image)
    )
    assert ready.image[0, 5] == 0
    assert ready.image[0, 50] == pytest.approx(0.5, abs=1e-6)
    assert ready.image[0, 95] == 1


def test_padding_does_not_move_the_stretch():
    rng = np.random.default_rng(2)
    tissue = rng.integers(1000, 3000, (80, 60)).astype(np.uint16)
    values = np.zeros((80, 80), np.uint16)
    values[:, 10:70] = tissue
    mask = np.ones((80, 80), bool)
    mask[:, 10:70] = False
    presets = Radiograph.from_array(values).presets
    fit = Preprocessing(80, 80)
    padded = fit.apply(Radiograph(values, presets, padding=mask)).image[:, 10:70]
    low, high = np.percentile(tissue / 65535, (0.5, 99.5))
    np.testing.assert_allclose(
        padded, np.clip((tissue / 65535 - low) / (high - low), 0, 1), atol=1e-3
    )


def test_a_blank_image_stays_blank():
    ready = Preprocessing(16, 16).apply(Radiograph.from_array(np.full((20, 20), 7, np.uint8)))
    assert np.ptp(ready.image) < 1e-6  # no contrast was made of the last digits


def test_normalise_repeats_channels():
    fit = Preprocessing(2, 2, channels=3, mean=(0.5, 0.4, 0.3), std=(0.5, 0.2, 0.1))
    batch = fit.normalise(np.full((1, 2, 2), 0.6, np.float32))
    assert batch.shape == (1, 3, 2, 2)
    np.testing.assert_allclose(batch[0, :, 0, 0], [0.2, 1.0, 3.0], rtol=1e-6)


def test_round_trip_through_plain_entries():
    fit = Preprocessing(225, 200, fit='pad', border=0.1, stretch=None)
    assert Preprocessing.from_dict(fit.to_dict()) == fit


@pytest.mark.parametrize(
    'entries',
    [
        {'height': 0},
        {'fit': 'tile'},
        {'border': 0.5},
        {'channels': 2},
        {'std': [0.0]},
        {'stretch': [90, 10]},
        {'mean': [0.1, 0.2]},
        {'colour': True},
    ],
)
def test_nonsense_is_refused(entries):
    with pytest.raises(ValueError, match=r'\w'):
        Preprocessing.from_dict({'height': 10, 'width': 10, **entries})


def test_several_frames_are_refused():
    with pytest.raises(UnreadableImage, match='several frames'):
        plain(8, 8).apply(Radiograph.from_array(np.zeros((4, 8, 8), np.uint8)))


def test_enlarging_is_reported():
    ready = plain(30, 30).apply(Radiograph.from_array(np.zeros((10, 10), np.uint8)))
    assert ready.enlargement == pytest.approx(3)


@pytest.fixture(scope='module')
def chest():
    return Radiograph.from_array(samples.phantom((300, 260), seed=3))


def test_the_lungs_rectangle_is_used_and_placed(chest):
    ready = plain(50, 40, fit='stretch', lungs='crop').apply(chest)
    top, left, bottom, right = lungs.find_lungs(chest).box()
    assert ready.field.source == 'network'
    corners = ready.to_radiograph @ [[-0.5, 49.5], [-0.5, 39.5], [1, 1]]
    # Whole pixels around the rectangle.
    expected = [[np.floor(top), np.ceil(bottom)], [np.floor(left), np.ceil(right)]]
    np.testing.assert_allclose(corners[:2] + 0.5, expected)
    part = chest.to_display()[int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))]
    assert ready.image.mean() == pytest.approx(part.mean(), abs=0.01)


def test_a_margin_is_added_to_the_lungs(chest):
    close = plain(50, 50, fit='stretch', lungs='crop').apply(chest).to_radiograph
    wide = plain(50, 50, fit='stretch', lungs='crop', margin=0.1).apply(chest).to_radiograph
    # A tenth of the side is added on either side of it; whole pixels.
    assert wide[0, 0] == pytest.approx(1.2 * close[0, 0], abs=0.06)
    assert wide[0, 2] < close[0, 2]


def test_only_the_lungs_are_left(chest):
    ready = Preprocessing(80, 80, fit='stretch', lungs='only').apply(chest)
    share = (ready.image > 0).mean()
    assert 0.4 < share < 0.9
    field = lungs.find_lungs(chest)
    y, x, _ = np.rint(ready.to_radiograph @ [[40.0], [15.0], [1]]).astype(int)[:, 0]
    assert field.mask()[y, x] and ready.image[40, 15] >= 1 / 32
    # The middle, high up, is mediastinum.
    assert ready.image[30, 40] == 0


def test_a_window_does_not_change_the_lungs_tones(chest):
    fit = Preprocessing(80, 80, fit='stretch', lungs='only')
    values = chest.values
    brighter = Radiograph.from_array(0.5 * values + 0.2)
    np.testing.assert_allclose(fit.apply(brighter).image, fit.apply(chest).image, atol=1e-3)


@pytest.mark.parametrize(
    ('options', 'said'),
    [
        ({'lungs': 'both'}, 'lungs must be'),
        ({'margin': 0.1}, 'needs lungs'),
        ({'lungs': 'crop', 'margin': 2}, 'between 0 and 1'),
        ({'lungs': 'crop', 'border': 0.1}, 'border needs'),
    ],
)
def test_options_of_the_lungs_that_mean_nothing_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        Preprocessing(80, 80, **options)


@pytest.mark.parametrize('use', ['crop', 'only'])
def test_an_image_whose_lungs_were_all_erased_is_refused(chest, use):
    nothing = np.zeros((16, 16), np.float32)
    none = lungs.LungField(nothing, nothing, chest.shape, drawn=True)
    assert not none.found and lungs.find_lungs(chest).found
    with pytest.raises(UnreadableImage, match='draw them'):
        Preprocessing(80, 80, fit='stretch', lungs=use).apply(chest, field=none)


@pytest.mark.parametrize('use', ['crop', 'only'])
def test_a_blank_image_has_no_lungs_to_look_at(use):
    blank = Radiograph.from_array(np.zeros((90, 80), np.uint8))
    with pytest.raises(UnreadableImage, match='blank'):
        Preprocessing(80, 80, fit='stretch', lungs=use).apply(blank)


def two_lungs(size=48):
    """Lungs on the left and right thirds, a mediastinum of 0.8 between them, 1 elsewhere."""
    lungs = np.zeros((size, size), np.float32)
    lungs[4:-4, 2 : size // 3] = lungs[4:-4, 2 * size // 3 : -2] = 1
    image = np.ones((size, size), np.float32)
    image[:, size // 3 : 2 * size // 3] = 0.8
    image[lungs > 0] = 0.3
    return image, lungs


def test_tones_by_hand():
    # Air 0.3, shadow 0.8: 0.55 is half way, and 1 would be reached at 0.3 + 1.5 * 0.5 = 1.05.
    image, lungs = two_lungs()
    image[20, 5], image[30, 5], image[31, 5] = 0.55, 0.8, 2.0
    toned = lung_grey_values(image, lungs)
    assert (toned[lungs == 0] == 0).all()
    assert toned[10, 10] == pytest.approx(1 / 32)
    assert toned[20, 5] == pytest.approx(1 / 32 + 31 / 32 * 0.25 / 0.75, abs=1e-6)
    assert toned[30, 5] == pytest.approx(1 / 32 + 31 / 32 * 0.5 / 0.75, abs=1e-6)
    assert toned[31, 5] == 1


def test_exposure_and_window_do_not_matter():
    image, lungs = two_lungs()
    image = image + np.random.default_rng(0).normal(0, 0.05, image.shape).astype(np.float32)
    one, other = lung_grey_values(image, lungs), lung_grey_values(3 * image - 1, lungs)
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_brighter_diaphragm_does_not_matter_but_the_mediastinum_does():
    image, lungs = two_lungs()
    below = image.copy()
    below[-3:] = 9
    np.testing.assert_array_equal(lung_grey_values(below, lungs), lung_grey_values(image, lungs))
    brighter = image.copy()
    brighter[:, 17:31] = 1.3
    brighter[20, 5] = image[20, 5] = 0.55
    assert lung_grey_values(brighter, lungs)[20, 5] < lung_grey_values(image, lungs)[20, 5]


def test_where_nothing_is_between_the_lungs_the_bright_pixels_of_all_are_taken():
    lungs = np.ones((48, 48), np.float32)
    image = np.tile(np.linspace(0, 1, 48, dtype=np.float32), (48, 1))
    toned = lung_grey_values(image, lungs)
    low, high = np.percentile(image, [2, 90])
    expected = DARKEST_LUNG + (1 - DARKEST_LUNG) * (0.5 - low) / (1.5 * (high - low))
    assert np.interp(0.5, image[0], toned[0]) == pytest.approx(expected, abs=1e-3)


def test_no_lungs_leave_nothing_and_a_flat_image_no_infinity():
    flat = np.full((48, 48), 0.5, np.float32)
    assert not lung_grey_values(flat, np.zeros_like(flat)).any()
    lungs = two_lungs()[1]
    np.testing.assert_array_equal(lung_grey_values(flat, lungs), np.where(lungs > 0, 1 / 32, 0))
