"""The real collections are indexed rightly, and the bundled model does what its card says."""

from collections import Counter

import numpy as np
import pytest
import torch

from napari_cxr.checkpoint import catalog, load
from napari_cxr.image_files import read
from napari_cxr.inference import Preprocessing
from napari_cxr.inference.classifier import Classifier
from napari_cxr.inference.prediction import RefusedImage
from napari_cxr.metrics import probabilities_of
from napari_cxr.radiograph import UnreadableImage
from napari_cxr.scoring import score
from napari_cxr.scoring.image_preparation import prepare_here
from napari_cxr.scoring.input_lists import Item
from napari_cxr.scoring.table_reader import read_rows
from napari_cxr.training import divide, index
from napari_cxr.training.recipe import SplitRecipe
from napari_cxr.training.training_image import INFERENCE_BITS, read_in_process


def test_the_manifests_are_read(cxr_data):
    dataset = index(cxr_data / 'cxr3')
    assert dataset.labels == ('covid19', 'normal', 'pneumonia')
    counts = Counter(sample.label for sample in dataset.samples)
    assert counts == {'covid19': 693, 'normal': 879, 'pneumonia': 881}
    split = divide(dataset, SplitRecipe('given'), 0)
    assert split.kind == 'by patient'
    assert [len(split.train), len(split.val), len(split.test)] == [1469, 369, 615]
    paediatric = index(cxr_data / 'kermany224')
    counts = Counter(sample.label for sample in paediatric.samples)
    assert counts == {'normal': 1304, 'pneumonia': 3457}
    assert paediatric.grouped


@pytest.mark.slow
def test_the_bundled_model_does_what_its_card_says(cxr_data):
    checkpoint = load(catalog.resolve('cxr3-resnet10'))
    card, network = checkpoint.card, checkpoint.network()
    preprocessing = Preprocessing.from_dict(card.preprocessing)
    samples = [s for s in index(cxr_data / 'cxr3').samples if s.split == 'test']
    right = []
    with torch.inference_mode():
        for start in range(0, len(samples), 32):
            part = samples[start : start + 32]
            images = np.stack([preprocessing.apply(read(s.path)).image for s in part])
            logits = network(torch.from_numpy(preprocessing.normalise(images))).numpy()
            # The bias of the card decides between classes, too.
            called = probabilities_of(logits, False, card.temperature, card.bias).argmax(1)
            right += [card.labels[c] == s.label for c, s in zip(called, part, strict=True)]
    # In torch and in ONNX Runtime a call at a border may turn.
    stated = card.metrics['model']['all']['accuracy'][0]
    assert np.mean(right) == pytest.approx(stated, abs=0.002)


def test_training_card_classify_and_score_see_the_same_image(cxr_data, tmp_path):
    """Thresholds are fitted on what `inference_images` reads; it must be what is used later."""
    samples = index(cxr_data / 'cxr3').samples
    by_source = {s.source: s.path for s in samples if s.split == 'val'}
    dicom = sorted((cxr_data / 'dicom_cxr').rglob('*.dcm'))
    paths = [*sorted(by_source.values())]
    classifier = Classifier.load('cxr3-resnet10', 'cpu')
    for path in dicom:
        try:
            classifier.predict([read(path, classifier.preprocessing.least_decoded)])
        except (UnreadableImage, RefusedImage):
            continue
        paths.append(path)
    assert len(paths) > len(by_source) == 4
    numbered = list(enumerate(paths))
    fitted = dict(read_in_process(numbered, classifier.preprocessing, INFERENCE_BITS))
    images = np.stack([fitted[i].image for i in range(len(paths))])
    logits, _ = classifier.logits(images)
    on_card = classifier.probabilities(logits)
    items = [Item(str(path)) for path in paths]
    list(score(items, classifier, tmp_path / 't.csv', prepare_here))
    _, rows = read_rows(tmp_path / 't.csv')
    for path, expected, row in zip(paths, on_card, rows, strict=True):
        shown = read(path, classifier.preprocessing.least_decoded)
        np.testing.assert_allclose(
            classifier.predict([shown])[0].probabilities, expected, atol=1e-6
        )
        np.testing.assert_allclose(row.probabilities, expected, atol=1e-6)
