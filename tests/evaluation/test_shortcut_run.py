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
    # One is no picture.
    assert tests.images == 17 and events[-1].done == 18
    assert len(tests.changes) == 8 and all(change.text for change in tests.changes)
    assert tests.source_by_features is None  # fewer than ten images each
    out = tmp_path / 'out'
    out.mkdir()
    page = write_shortcut_tests(out, {'<tiny>': found}, 'a set & more')
    html = page.read_text()
    assert '&lt;tiny&gt;' in html and '<tiny>' not in html and 'a set &amp; more' in html
    assert tests.verdict.split('.')[0] in html.replace('&#39;', "'")
    content = json.loads((out / 'shortcuts.json').read_text())['models']['<tiny>']
    assert [change['name'] for change in content['changes']][1] == 'lungs removed'
    if where is not None:
        assert html.count('<svg') == len(where.measures)
        assert content['heatmaps']['images'] == where.images <= 17


def test_other_classes_are_told_of(table, model_file):
    classifier = Classifier.load(model_file, 'cpu')
    with pytest.raises(ValueError, match='has the classes'):
        drained(
            run_shortcut_tests(classifier, replace(table, labels=('a', 'b', 'c')), prepare_here)
        )


def test_what_was_stopped_goes_on_where_it_was(tmp_path, table, model_file):
    classifier, asked = Classifier.load(model_file, 'cpu'), []

    def prepare(items, wanted):
        for number, path in items:
            asked.append(number)
            yield from prepare_here([(number, path)], wanted)

    (whole, _), _ = drained(run_shortcut_tests(classifier, table, prepare))
    assert len(asked) == 18
    kept = tmp_path / 'kept'
    steps = run_shortcut_tests(classifier, table, prepare, kept)
    while not any(event is not None and event.done == 16 for event in [next(steps)]):
        pass
    steps.close()
    lines = kept.read_bytes()
    kept.write_bytes(lines + lines[: len(lines) // 2])  # as a kill may leave it
    asked.clear()
    (found, _), events = drained(run_shortcut_tests(classifier, table, prepare, kept))
    assert len(asked) == 2 and events[0].done == 16
    assert found == whole
    asked.clear()
    (found, _), _ = drained(run_shortcut_tests(classifier, table, prepare, kept))
    assert asked == [] and found == whole
    classifier.file_hash = 'of another model'
    drained(run_shortcut_tests(classifier, table, prepare, kept))
    assert len(asked) == 18


def test_an_image_by_itself_has_no_neighbour(table, model_file):
    classifier = Classifier.load(model_file, 'cpu')
    with pytest.raises(ValueError, match='None of the images'):
        drained(run_shortcut_tests(classifier, table.subset([0]), prepare_here))
    (tests, _), _ = drained(run_shortcut_tests(classifier, table.subset([0, 1, 4]), prepare_here))
    assert tests.images == 2
