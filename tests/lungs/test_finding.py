import csv
import subprocess
import sys
from importlib.resources import files as resources

import numpy as np
import pytest

from napari_cxr import files, lungs, samples
from napari_cxr.checkpoint import catalog
from napari_cxr.lungs.atlas import average_lungs
from napari_cxr.lungs.network import card
from napari_cxr.radiograph import Radiograph, UnreadableImage


def dice(found, truth):
    return 2 * (found & truth).sum() / (found.sum() + truth.sum())


@pytest.fixture(scope='module')
def phantom():
    return samples.phantom((600, 512), seed=3)


def test_both_lungs_of_a_phantom_are_found(phantom):
    field = lungs.find(Radiograph.from_array(phantom))
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
    labels = lungs.find(Radiograph.from_array(ill)).labels()
    assert (labels[opaque] == number).mean() > 0.9


def test_it_does_not_matter_how_large_the_file_is(phantom):
    large = np.kron(phantom, np.ones((4, 4), np.float32))
    one, other = (lungs.find(Radiograph.from_array(image)) for image in (phantom, large))
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
    field = lungs.find(Radiograph.from_array(image))
    assert field.source == 'atlas' and field.implausible and field.plausibility == 0
    np.testing.assert_array_equal(field.right, average_lungs()[0])
    assert field.shape == image.shape and field.mask().any()


def test_several_frames_are_refused():
    with pytest.raises(UnreadableImage, match='several frames'):
        lungs.find(Radiograph.from_array(np.zeros((3, 64, 64), np.uint8)))


def test_importing_it_costs_next_to_nothing():
    heavy = "{'torch', 'scipy', 'PIL', 'safetensors', 'napari'}"
    code = f'import sys, napari_cxr.lungs; assert not {heavy} & set(sys.modules)'
    subprocess.run([sys.executable, '-c', code], check=True)


def test_finding_needs_no_torch():
    code = (
        'import sys, numpy; from napari_cxr import lungs;'
        'from napari_cxr.radiograph import Radiograph;'
        'lungs.find(Radiograph.from_array(numpy.zeros((64, 64)))).labels();'
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, '-c', code], check=True)


def test_the_weights_are_small_and_say_what_they_are():
    file = resources('napari_cxr.lungs') / 'lung-field.safetensors'
    assert len(file.read_bytes()) < 5e6
    said = card()
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
        field = lungs.find(files.read(folder / row['image']))
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
    found = [lungs.find(files.read(cxr_data / 'cxr3' / row['path'])) for row in rows]
    assert np.mean([field.source == 'atlas' for field in found]) <= 0.03
