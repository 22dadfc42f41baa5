"""Random weights that torchxrayvision saved mean here what they mean there.

The real weights cannot be downloaded where this runs; the library's own code can be.
"""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from napari_cxr import image_files
from napari_cxr.checkpoint import load, read_card
from napari_cxr.checkpoint.card_page import card_markdown
from napari_cxr.checkpoint.foreign import torchxrayvision
from napari_cxr.checkpoint.foreign.pickle_contents import ForeignFileError
from napari_cxr.checkpoint.foreign.weight_conversion import convert
from napari_cxr.inference.classifier import Classifier
from napari_cxr.inference.preprocessing import Preprocessing
from napari_cxr.metrics import normalised, probabilities_of

SCRIPT = Path(__file__).parent / 'library_reference.py'
#: DICOM files that both read as the same picture. Of the others the library shows the stored
#: numbers and not the picture: it leaves out window and Presentation LUT.
ALIKE = (
    '1.2.276.0.7230010.3.1.4.8323329.6904.1517875201.850819.dcm',
    '1.3.6.1.4.1.11129.5.5.110503645592756492463169821050252582267888.dcm',
    'Fake_MONOHR1.dcm',
    'rsna_normal_2_.dcm',
    'rsna_viral_2_.dcm',
)


def run_library(folder, images=()):
    """Let the library make its files; returns what it says."""
    script = [sys.executable, '-W', 'ignore', str(SCRIPT), str(folder), *map(str, images)]
    done = subprocess.run(script, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return np.load(folder / 'said.npz')


@pytest.fixture(scope='module')
def library(tmp_path_factory):
    """The folder of its files, and what it says of a tensor and of images that are here."""
    pytest.importorskip('torchvision')
    folder, data = tmp_path_factory.mktemp('library'), os.environ.get('NAPARI_CXR_DATA')
    images = [Path(data) / 'dicom_cxr' / name for name in ALIKE] if data else []
    return folder, run_library(folder, images)


@pytest.fixture(scope='module')
def converted(library):
    """Convert one of the library's files as weights of a name, once; returns the checkpoint."""

    @cache
    def converted(key, form='zip'):
        target = library[0] / f'{key}-{form}.safetensors'
        meaning = torchxrayvision.meaning_of(key)
        convert(library[0] / f'{form}.pt', target, f'xrv-{key}', meaning)
        return target

    return converted


def logits_of(path, x):
    import torch

    with torch.no_grad():
        return load(path).network()(torch.from_numpy(x)).numpy()


def test_what_is_shipped_is_what_the_library_says(library):
    said = library[1]
    for key in torchxrayvision.names():
        meaning = torchxrayvision.meaning_of(key)
        assert meaning.labels == tuple(said[f'labels {key}'])
        np.testing.assert_allclose(meaning.thresholds, said[f'thresholds {key}'], rtol=1e-6)
    with pytest.raises(ForeignFileError, match="no weights 'mira'"):
        torchxrayvision.meaning_of('mira')


@pytest.mark.parametrize('form', ['zip', 'legacy'])
def test_logits_are_the_librarys_on_the_same_tensor(library, converted, form):
    said = library[1]
    found = logits_of(converted('all', form), said['x'])
    assert np.std(said['logits']) > 0.5
    np.testing.assert_allclose(found, said['logits'], atol=1e-5, rtol=0)


@pytest.mark.parametrize('key', ['all', 'rsna', 'pc', 'mimic_ch'])
def test_above_below_and_order_are_those_of_the_librarys_normalised_value(library, converted, key):
    said = library[1]
    path = converted(key)
    card = read_card(path)
    # Outputs without a name are gone, with their rows.
    named = [bool(label) for label in said[f'labels {key}']]
    assert card.labels == tuple(label for label in said[f'labels {key}'] if label)
    probabilities = probabilities_of(logits_of(path, said['x']), multilabel=True)
    # What is kept is the raw sigmoid, not the normalised value.
    raw = 1 / (1 + np.exp(-said['logits'].astype(float)))[:, named]
    np.testing.assert_allclose(probabilities, raw, atol=1e-6)
    theirs = said[f'normalised {key}'][:, named]
    thresholds = np.array([card.operating_points[label]['library'] for label in card.labels])
    assert card.decision == 'library'
    ours = normalised(probabilities, thresholds)
    np.testing.assert_allclose(ours, theirs, atol=2e-6)
    above = probabilities >= thresholds
    assert above.any() and not above.all()
    np.testing.assert_array_equal(above, theirs >= 0.5)
    # In our order theirs fall, but for the last digits of their single precision.
    order = np.argsort(-ours, axis=1)
    assert np.diff(np.take_along_axis(theirs, order, axis=1)).max() <= 2e-6


def test_the_input_is_exactly_the_librarys_range(converted):
    card = read_card(converted('all'))
    grey = np.array([[[0.0, 0.5, 1.0]]], np.float32)
    found = Preprocessing.from_dict(card.preprocessing).normalise(grey[0][None])
    np.testing.assert_array_equal(found.ravel(), [-1024, 0, 1024])
    assert (card.channels, card.multilabel, card.preprocessing['fit']) == (1, True, 'crop')
    assert card.preprocessing['stretch'] is None


def test_images_that_both_read_alike_get_the_same_scores(cxr_data, library, converted):
    """Within 0.02 of a probability: the library resizes by skimage, here by a triangle filter.

    Measured on these random weights: the mean difference of pixels is 1.6 to 2.3 of 2048, that
    of scores .0003 to .0012, the largest of a score .006.
    """
    paths = [cxr_data / 'dicom_cxr' / name for name in ALIKE]
    said = library[1]
    classifier = Classifier.load(converted('all'), 'cpu')
    radiographs = [image_files.read(path) for path in paths]
    inputs = np.stack([classifier.prepare(radiograph).image for radiograph in radiographs])
    pixels = 2048 * (inputs - 0.5)
    apart = np.abs(pixels - said['pixels'][:, 0]).mean(axis=(1, 2))
    ours = np.array([p.probabilities for p in classifier.predict(radiographs)])
    theirs = 1 / (1 + np.exp(-said['pixel logits'].astype(float)))
    assert apart.max() < 4
    assert np.abs(ours - theirs).max() < 0.02


def test_the_card_says_whose_it_is_and_from_which_file(library, converted):
    from napari_cxr.checkpoint import digest

    card = read_card(converted('mimic_ch'))
    source = card.data['converted']
    assert source['sha256'] == digest(library[0] / 'zip.pt')
    assert source['url'].startswith('https://huggingface.co/torchxrayvision/')
    page = card_markdown(card)
    assert f'Converted from third-party weights from {source["url"]}, SHA-256' in page
    for words in ('Apache-2.0', 'MIMIC-CXR', '2111.00595', 'A probability of 0.5 is not'):
        assert words in page
