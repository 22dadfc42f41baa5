import csv

import numpy as np
import pytest

from napari_cxr import samples
from napari_cxr.lungs.resemblance import looks_inverted, looks_like_a_chest, resemblance


@pytest.fixture(scope='module')
def chest():
    return samples.phantom((256, 224), seed=3).astype(np.float32)


def test_the_phantom_is_a_chest_the_right_way_round(chest):
    assert looks_like_a_chest(chest) and not looks_inverted(chest)


def test_an_inverted_chest_is_noticed(chest):
    assert looks_inverted(1 - chest) and looks_like_a_chest(1 - chest)
    assert resemblance(1 - chest) == pytest.approx(-resemblance(chest), abs=1e-4)


def test_brightness_and_contrast_make_no_difference(chest):
    assert resemblance(0.3 + 0.2 * chest) == pytest.approx(resemblance(chest), abs=1e-3)


@pytest.mark.parametrize('kind', ['blank', 'noise', 'ramp'])
def test_what_is_no_chest(kind):
    image = {
        'blank': np.full((64, 64), 0.4, np.float32),
        'noise': np.random.default_rng(0).random((512, 512), dtype=np.float32),
        'ramp': np.tile(np.linspace(0, 1, 64, dtype=np.float32), (64, 1)),
    }[kind]
    assert not looks_like_a_chest(image) and not looks_inverted(image)


def test_a_blank_image_resembles_nothing():
    assert resemblance(np.zeros((10, 10), np.float32)) == 0


def test_few_false_alarms_on_real_radiographs(cxr_data):
    from napari_cxr import files
    from napari_cxr.inference import Preprocessing

    with open(cxr_data / 'cxr3' / 'manifest.csv', newline='') as table:
        rows = [row for row in csv.DictReader(table) if row['split'] == 'test'][::6]
    fit = Preprocessing(96, 96)
    images = [fit.apply(files.read(cxr_data / 'cxr3' / row['path'])).image for row in rows]
    assert np.mean([looks_inverted(image) for image in images]) <= 0.01
    assert np.mean([looks_like_a_chest(image) for image in images]) >= 0.98
    assert np.mean([looks_inverted(1 - image) for image in images]) >= 0.95
