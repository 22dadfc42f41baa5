import csv
import subprocess
import sys
from dataclasses import replace
from importlib.resources import files as resources

import numpy as np
import pytest

from napari_cxr import image_files, lungs, samples
from napari_cxr.checkpoint import catalog
from napari_cxr.lungs import LungField
from napari_cxr.lungs.lung_field import average_lungs, measures, plausibility
from napari_cxr.lungs.lung_network import lung_network_card
from napari_cxr.radiograph import Radiograph, UnreadableImage


def field(right=(), left=(), shape=(40, 60), n=20):
    """A field that is sure of these rectangles: first and end row, first and end column."""
    maps = [np.zeros((n, n), np.float32) for _ in range(2)]
    for lung, parts in zip(maps, (right, left), strict=True):
        for top, bottom, first, end in parts:
            lung[top:bottom, first:end] = 1
    return LungField(*maps, shape)


def test_cells_stretch_over_the_radiograph():
    labels = field([(4, 14, 2, 8)], [(4, 14, 12, 18)]).labels()
    assert labels.dtype == np.uint8 and labels.shape == (40, 60)
    # Two rows and three columns to a cell, and 0.5 is reached at the edges of the cells.
    expected = np.zeros((40, 60), np.uint8)
    expected[8:28, 6:24] = 1
    expected[8:28, 36:54] = 2
    different = labels != expected
    assert different.sum() <= 8  # the corners are rounded
    assert not different[9:27].any()


def test_edges_lie_where_the_interpolated_probability_is_one_half():
    maps = [np.zeros((4, 4), np.float32) for _ in range(2)]
    maps[0][:, 1], maps[0][:, 2] = 1, 0.25
    labels = LungField(*maps, (40, 40)).labels()
    # Centres of cells at 5, 15, 25: 0 -> 1 crosses 1/2 at 10, and 1 -> 1/4 at 15 + 20 / 3.
    assert np.flatnonzero(labels[20]).tolist() == list(range(10, 22))


def test_a_small_radiograph_has_labels_too():
    assert field([(0, 20, 0, 10)], shape=(5, 4)).labels().tolist() == [[1, 1, 0, 0]] * 5


def test_the_more_probable_lung_gets_the_pixel():
    right, left = np.full((8, 8), 0.3, np.float32), np.full((8, 8), 0.3, np.float32)
    right[:, :4], left[:, 4:] = 0.35, 0.35
    labels = LungField(right, left, (8, 8)).labels()
    assert (labels == np.repeat([1, 2], 4)).all()


def test_the_mask_is_both_lungs():
    lungs = field([(4, 14, 2, 8)], [(4, 14, 12, 18)])
    assert lungs.mask().dtype == bool and (lungs.mask() == (lungs.labels() > 0)).all()


def test_only_the_largest_piece_of_a_lung_counts():
    lungs = field([(4, 14, 2, 8), (17, 19, 2, 4)], [(4, 14, 12, 18), (0, 2, 18, 20)])
    alone = field([(4, 14, 2, 8)], [(4, 14, 12, 18)])
    assert (lungs.labels() == alone.labels()).all()
    assert lungs.right[17, 2] == 1  # what the network said stays as it is


def test_holes_are_filled():
    lungs = field([(4, 14, 2, 8)])
    lungs.right[8:10, 4:6] = 0
    assert (lungs.labels() == field([(4, 14, 2, 8)]).labels()).all()


def test_what_a_person_has_drawn_stays_as_it_is():
    drawn = replace(field([(4, 14, 2, 8), (17, 19, 2, 4)]), drawn=True)
    drawn.right[8:10, 4:6] = 0
    labels = drawn.labels()  # a cell is 2 x 3 pixels
    assert (labels[16:20, 12:18] == 0).all() and (labels[35:37, 7:11] == 1).all()
    assert drawn.box() == (8, 6, 38, 24)


def test_a_piece_of_one_lung_against_the_other_belongs_to_that():
    lungs = field([(4, 14, 2, 8), (4, 6, 12, 14)], [(6, 14, 12, 18), (4, 6, 14, 18)])
    labels = lungs.labels()
    assert (labels == field([(4, 14, 2, 8)], [(4, 14, 12, 18)]).labels()).all()


def test_the_box_is_in_pixels_with_its_margin_a_share_of_its_sides():
    lungs = field([(4, 14, 2, 8)], [(6, 16, 12, 18)])
    assert lungs.box() == (8, 6, 32, 54)
    assert lungs.box(0.125) == (5, 0, 35, 60)
    assert lungs.box(5) == (0, 0, 40, 60)


def test_no_lungs_at_all():
    nothing = field()
    assert not nothing.mask().any()
    assert nothing.box() == (0, 0, 40, 60)


@pytest.mark.parametrize('shapes', [((4, 4), (4, 5)), ((4,), (4,))])
def test_maps_that_do_not_fit_are_refused(shapes):
    with pytest.raises(ValueError, match='same rows and columns'):
        LungField(*(np.zeros(shape, np.float32) for shape in shapes), (8, 8))


def test_a_radiograph_without_pixels_is_refused():
    with pytest.raises(ValueError, match='at least one row'):
        field(shape=(0, 4))


def dice(found, truth):
    return 2 * (found & truth).sum() / (found.sum() + truth.sum())


@pytest.fixture(scope='module')
def phantom():
    return samples.phantom((600, 512), seed=3)


def test_both_lungs_of_a_phantom_are_found(phantom):
    field = lungs.find_lungs(Radiograph.from_array(phantom))
    assert field.source == 'network' and field.implausible == '' and field.plausibility > 0
    labels = field.labels()
    assert labels.shape == (600, 512)
    shares = [(labels == number).mean() for number in (1, 2)]
    assert min(shares) > 0.08 and max(shares) < 0.25
    columns = [np.nonzero(labels == number)[1] for number in (1, 2)]
    assert columns[0].max() < 270 and columns[1].min() > 240


@pytest.mark.parametrize(('side', 'number'), [('right', 1), ('left', 2)])
def test_an_opacity_lies_in_the_lung_of_its_side(side, number):
    plain = samples.phantom((400, 400), seed=5, noise=0)
    ill = samples.phantom((400, 400), seed=5, noise=0, opacity=side)
    opaque = ill - plain > 0.1
    assert opaque.sum() > 1000
    labels = lungs.find_lungs(Radiograph.from_array(ill)).labels()
    assert (labels[opaque] == number).mean() > 0.9


def test_it_does_not_matter_how_large_the_file_is(phantom):
    large = np.kron(phantom, np.ones((4, 4), np.float32))
    one, other = (lungs.find_lungs(Radiograph.from_array(image)) for image in (phantom, large))
    assert other.shape == (2400, 2048)
    assert dice(one.mask(), other.mask()[1::4, 1::4]) > 0.97


@pytest.mark.parametrize('kind', ['blank', 'noise', 'ramp', 'stripes', 'inverted', 'lying'])
def test_no_lungs_are_found_where_there_are_none(kind, phantom):
    image = {
        'blank': np.full((64, 64), 0.4, np.float32),
        'noise': np.random.default_rng(0).random((256, 256), dtype=np.float32),
        'ramp': np.tile(np.linspace(0, 1, 64, dtype=np.float32), (64, 1)),
        'stripes': np.tile(np.sin(np.arange(256) / 5) / 2 + 0.5, (256, 1)),
        'inverted': 1 - phantom,
        'lying': np.rot90(phantom),
    }[kind]
    field = lungs.find_lungs(Radiograph.from_array(image))
    assert field.source == 'atlas' and field.implausible and field.plausibility == 0
    np.testing.assert_array_equal(field.right, average_lungs()[0])
    assert field.shape == image.shape and field.mask().any()


def test_several_frames_are_refused():
    with pytest.raises(UnreadableImage, match='several frames'):
        lungs.find_lungs(Radiograph.from_array(np.zeros((3, 64, 64), np.uint8)))


def test_importing_it_costs_next_to_nothing():
    heavy = "{'torch', 'scipy', 'PIL', 'safetensors', 'napari'}"
    code = f'import sys, napari_cxr.lungs; assert not {heavy} & set(sys.modules)'
    subprocess.run([sys.executable, '-c', code], check=True)


def test_finding_needs_no_torch():
    code = (
        'import sys, numpy; from napari_cxr import lungs;'
        'from napari_cxr.radiograph import Radiograph;'
        'lungs.find_lungs(Radiograph.from_array(numpy.zeros((64, 64)))).labels();'
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, '-c', code], check=True)


def test_the_weights_are_small_and_say_what_they_are():
    file = resources('napari_cxr.lungs') / 'lung-field.safetensors'
    assert len(file.read_bytes()) < 5e6
    said = lung_network_card()
    assert {'title', 'licence', 'masks', 'own_answers', 'command', 'figures'} <= set(said)
    assert said['figures']['all']['network'][0] > said['figures']['all']['atlas'][0]


def test_it_is_no_classifier():
    assert not any('lung-field' in entry.name for entry in catalog.entries())


def test_it_beats_the_atlas_image_by_image(cxr_data):
    from PIL import Image

    folder = cxr_data / 'lungmasks'
    with open(folder / 'manifest.csv', newline='') as table:
        rows = [row for row in csv.DictReader(table) if row['split'] == 'test']
    figures = []
    for row in rows:
        mask = np.asarray(Image.open(folder / row['mask']).convert('L')) > 0
        field = lungs.find_lungs(image_files.read(folder / row['image']))
        atlas = lungs.LungField(*average_lungs(), field.shape, 'atlas')
        assert field.source == 'network'
        figures.append((dice(field.mask(), mask), dice(atlas.mask(), mask)))
    network, atlas = np.array(figures).T
    assert network.mean() > 0.94
    # One mask was drawn on another image; see docs/lung-field.md.
    assert (network > atlas + 0.02).sum() >= len(rows) - 1


@pytest.mark.slow
def test_the_atlas_is_rarely_needed_on_real_radiographs(cxr_data):
    with open(cxr_data / 'cxr3' / 'manifest.csv', newline='') as table:
        rows = [row for row in csv.DictReader(table) if row['split'] != 'train'][::12]
    found = [lungs.find_lungs(image_files.read(cxr_data / 'cxr3' / row['path'])) for row in rows]
    assert np.mean([field.source == 'atlas' for field in found]) <= 0.03


def drawn():
    """The average lungs as if a network had been sure of them."""
    mean = average_lungs()
    lung = mean[0] + mean[1] > 0.5
    maps = [0.97 * (lung & (mean[i] > mean[1 - i])).astype(np.float32) for i in (0, 1)]
    return LungField(*maps, (128, 128))


def test_average_lungs_are_as_plausible_as_can_be():
    share, phrase = plausibility(drawn())
    assert phrase == '' and share > 0.3


def test_measures_of_two_rectangles():
    right, left = np.zeros((2, 128, 128), np.float32)
    right[32:96, 16:48] = 0.9
    left[40:88, 80:112] = 0.9
    found = measures(LungField(right, left, (9, 9)))
    assert found['larger lung'] == pytest.approx(1 / 8)
    assert found['smaller lung'] == pytest.approx(3 / 32)
    assert found['balance'] == pytest.approx(3 / 4)
    assert found['apart'] == pytest.approx(0.5 / (7 / 32) ** 0.5)
    assert found['level'] == pytest.approx(0)
    assert found['tidiness'] == 1
    assert found['fullness'] == pytest.approx(1)
    assert found['certainty'] == pytest.approx(0.9)


def nothing(right, left):
    return 0 * right, 0 * left


def one_lung(right, left):
    return right, 0 * left


def exchanged(right, left):
    return left, right


def far_too_small(right, left):
    small = [np.zeros_like(right), np.zeros_like(left)]
    for new, old in zip(small, (right, left), strict=True):
        new[48:80, 48:80] = old[::4, ::4]
    return tuple(small)


def unequal(right, left):
    left = left.copy()
    left[50:] = 0
    return right, left


def everything(right, left):
    return np.repeat([[0.97, 0]], 64, 1).repeat(128, 0), np.repeat([[0, 0.97]], 64, 1).repeat(
        128, 0
    )


def unsure(right, left):
    return 0.62 * right, 0.62 * left


def crumbs(right, left):
    grid = (np.indices(right.shape) % 6 > 1).all(axis=0)
    return right * grid, left * grid


def one_above_the_other(right, left):
    return np.rot90(right), np.rot90(left)


@pytest.mark.parametrize(
    ('odd', 'words'),
    [
        (nothing, 'no lungs'),
        (one_lung, 'hardly found'),
        (exchanged, 'not beside each other'),
        (far_too_small, 'no lungs'),
        (unequal, 'much smaller than the other'),
        (everything, ''),
        (unsure, 'unsure'),
        (crumbs, ''),
        (one_above_the_other, ''),
    ],
)
def test_what_is_no_pair_of_lungs(odd, words):
    import re

    lungs = drawn()
    right, left = (np.asarray(x, dtype=np.float32) for x in odd(lungs.right, lungs.left))
    share, phrase = plausibility(LungField(right, left, (128, 128)))
    assert share == 0 and phrase and re.search(words, phrase)


def test_the_atlas_is_lung_where_lung_was_often():
    right, left = average_lungs()
    assert right.shape == left.shape == (128, 128)
    lung = right + left > 0.5
    # Two lungs cover between a quarter and half of a radiograph, each its own half of it.
    assert 0.25 < lung.mean() < 0.5
    assert right[:, 80:].max() < 0.1 and left[:, :48].max() < 0.1
    assert (right + left).max() <= 1
    with pytest.raises(ValueError, match='read-only'):
        right[0, 0] = 1
