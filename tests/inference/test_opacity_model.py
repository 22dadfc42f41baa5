"""The model that a first click runs."""

import csv
import math
import os
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_cxr import image_files
from napari_cxr.checkpoint import catalog
from napari_cxr.checkpoint.card_page import card_markdown
from napari_cxr.explain.heatmap import cell_to_radiograph
from napari_cxr.inference.classifier import Classifier
from napari_cxr.metrics import auc
from napari_cxr.radiograph import Radiograph
from napari_cxr.samples import phantom

NAME = 'cxr-opacity'


@pytest.fixture(scope='module')
def classifier():
    return Classifier.load(NAME, 'cpu')


def test_it_is_the_default_and_no_demonstration(classifier):
    assert catalog.default() == NAME
    assert not classifier.card.demonstration
    assert next(entry.name for entry in catalog.entries()) == NAME


def test_it_is_small():
    path = resources.files('napari_cxr') / 'weights' / f'{NAME}.safetensors'
    assert path.is_file() and len(path.read_bytes()) < 15_000_000


def test_its_card_says_how_it_decides(classifier):
    card = classifier.card
    assert (card.labels, card.multilabel, card.negative_label) == (
        ('opacity',),
        True,
        'no opacity',
    )
    points = card.operating_points['opacity']
    assert card.decision == 'Youden'
    assert points['sensitivity 0.95'] <= points['sensitivity 0.90']
    low, high = card.undecided['opacity']
    assert 0 < low < points['Youden'] < high < 1
    text = card_markdown(card)
    for needed in ('RSNA', 'Majkowska', 'Kermany', 'ImageNet', 'not for clinical use'):
        assert needed.lower() in text.lower()


def test_an_answer_is_one_of_three_and_the_probability_that_of_the_logit(classifier):
    (said,) = classifier.predict([Radiograph.from_array(phantom((600, 500), seed=1))])
    assert said.label in ('opacity', 'no opacity')
    assert said.answer in (said.label, 'cannot say')
    assert said.probability('opacity') == pytest.approx(1 / (1 + math.exp(-said.logits[0])))


def test_the_map_and_the_bias_sum_to_the_logit(classifier):
    """The head is linear over the mean of the map, so the map before its rectifier is exact."""
    import torch

    radiograph = Radiograph.from_array(phantom((600, 500), seed=2))
    ready = classifier.prepare(radiograph)
    x = torch.from_numpy(classifier.preprocessing.normalise(ready.image[None]))
    network = classifier.network
    with torch.no_grad():
        features, _ = network.features(x)
    weights = network.closed_form()
    raw = (weights[0][:, None, None] * features[0]).sum(0) / features[0, 0].numel()
    prediction, (heatmap,) = classifier.explain(radiograph)
    assert float(raw.sum() + network.head.linear.bias[0]) == pytest.approx(
        prediction.logits[0], abs=1e-4
    )
    np.testing.assert_allclose(heatmap.values, raw.clamp(min=0).numpy(), atol=1e-5)
    assert heatmap.values.shape == (14, 14)


def test_a_label_that_there_is_not_is_named(classifier):
    radiograph = Radiograph.from_array(phantom((300, 250), seed=3))
    with pytest.raises(ValueError, match="no label 'effusion'; it has opacity"):
        classifier.explain(radiograph, ['effusion'])


def test_a_mirrored_input_gives_the_same_logit(classifier):
    rng = np.random.default_rng(0)
    images = rng.random((2, 224, 224), dtype=np.float32)
    straight, _ = classifier.logits(images)
    turned, _ = classifier.logits(np.ascontiguousarray(images[:, :, ::-1]))
    np.testing.assert_allclose(turned, straight, atol=1e-4)


@pytest.mark.skipif(
    not os.environ.get('NAPARI_CXR_DATA'), reason='NAPARI_CXR_DATA names no radiographs'
)
def test_it_finds_opacities_on_real_radiographs(classifier):
    """On images that it learnt from, so this tests the path from file to answer, not its worth."""
    folder = Path(os.environ['NAPARI_CXR_DATA'])
    with open(folder / 'nih_expert_labels.csv', newline='', encoding='utf-8') as table:
        rows = [row for row in csv.DictReader(table) if row['rsna_class']]
    chosen = [
        *[row for row in rows if row['rsna_class'] == 'Lung Opacity'][:20],
        *[row for row in rows if row['rsna_class'] == 'Normal'][:20],
    ]
    said = [
        classifier.predict([image_files.read(folder / 'cxr3' / row['path'])])[0].probabilities[0]
        for row in chosen
    ]
    assert auc(np.arange(40) < 20, np.array(said)) > 0.9


@pytest.mark.parametrize('name', [NAME, 'cxr3-resnet10'])
def test_what_is_changed_on_a_radiograph_changes_the_cells_that_lie_on_it(name):
    # An oracle that knows nothing of strides and paddings: a soft spot is laid on a radiograph
    # that is higher than wide, and the map's cells answer.
    classifier = Classifier.load(name, 'cpu')
    fit = classifier.preprocessing
    shape = (900, 700)
    pixels = phantom(shape, seed=1).astype(float)
    before = fit.apply(Radiograph.from_array(pixels))
    matrix = classifier.cell_to_radiograph(before.image.shape, before.to_radiograph)
    own = cell_to_radiograph(classifier.network.grid(fit.height, fit.width), before.to_radiograph)
    np.testing.assert_allclose(matrix, own)  # that of the exported network, and of torch's
    cell = np.diag(matrix)[:2]
    y, x = np.mgrid[: shape[0], : shape[1]]
    spots = [(row, column) for row in range(330, 620, 48) for column in range(230, 480, 48)]
    images = [before.image]
    for row, column in spots:
        spot = np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * (0.35 * cell[0]) ** 2))
        changed = Radiograph.from_array(pixels + 0.2 * np.ptp(pixels) * spot)
        images.append(fit.apply(changed, field=before.field).image)
    with torch.inference_mode():
        maps, _ = classifier.network.features(torch.from_numpy(fit.normalise(np.stack(images))))
    answers = ((maps[1:] - maps[:1]) ** 2).sum(1).double().numpy()
    off = []
    for answer, spot in zip(answers, spots, strict=True):
        answer /= answer.sum()
        rows, columns = np.arange(answer.shape[0]), np.arange(answer.shape[1])
        where = [(answer.sum(1) * rows).sum(), (answer.sum(0) * columns).sum(), 1]
        off.append((matrix @ where)[:2] - spot)
    assert np.abs(np.mean(off, axis=0) / cell).max() < 0.15
