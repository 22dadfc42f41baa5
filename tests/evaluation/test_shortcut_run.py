"""The shortcut tests of a model from files to the page."""

import json
from dataclasses import replace

import imageio.v3 as iio
import numpy as np
import pytest

from napari_cxr import samples
from napari_cxr.evaluation.shortcut_run import run_shortcut_tests, write_shortcut_tests
from napari_cxr.inference.classifier import Classifier
from napari_cxr.scoring.image_preparation import prepare_here


@pytest.fixture
def table(tmp_path, table_of):
    paths = []
    random, chest = np.random.default_rng(0), samples.phantom((90, 80))
    for number in range(18):  # one person, whom it takes long to draw, and other noise
        paths.append(str(tmp_path / f'{number}.png'))
        noisy = np.clip(chest + 0.05 * random.standard_normal(chest.shape), 0, 1)
        iio.imwrite(paths[-1], np.rint(255 * noisy).astype(np.uint8))
    (tmp_path / '4.png').write_bytes(b'no picture')
    labels = ('covid19', 'normal', 'pneumonia')
    truth = [labels[number % 3] for number in range(18)]
    made = table_of(labels, truth, {}, source=['a', 'b'] * 9)
    return replace(made, paths=tuple(paths))


def drained(steps):
    events = []
    while True:
        try:
            events.append(next(steps))
        except StopIteration as end:
            return end.value, [event for event in events if event is not None]


def test_a_page_with_a_verdict_and_its_numbers(tmp_path, table, model_file):
    classifier = Classifier.load(model_file, 'cpu')
    found, events = drained(run_shortcut_tests(classifier, table, prepare_here))
    tests, where = found
    # The seventeenth has no neighbour in its batch, and one is no picture.
    assert tests.images == 16 and events[-1].done == 16
    assert len(tests.changes) == 8 and all(change.text for change in tests.changes)
    assert tests.source_by_features is None  # fewer than ten images each
    out = tmp_path / 'out'
    out.mkdir()
    page, numbers = write_shortcut_tests(out, {'<tiny>': found}, 'a set & more')
    html = page.read_text()
    assert '&lt;tiny&gt;' in html and '<tiny>' not in html and 'a set &amp; more' in html
    assert tests.verdict.split('.')[0] in html.replace('&#39;', "'")
    content = json.loads(numbers.read_text())['models']['<tiny>']
    assert [change['name'] for change in content['changes']][1] == 'lungs removed'
    if where is not None:
        assert html.count('<svg') == len(where.measures)
        assert content['heatmaps']['images'] == where.images <= 16


def test_other_classes_are_told_of(table, model_file):
    classifier = Classifier.load(model_file, 'cpu')
    with pytest.raises(ValueError, match='has the classes'):
        drained(
            run_shortcut_tests(classifier, replace(table, labels=('a', 'b', 'c')), prepare_here)
        )
