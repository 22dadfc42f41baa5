"""From images to a report, with a network, and with everything at its default."""

import csv
import sys
from dataclasses import replace

import imageio.v3 as iio
import numpy as np
import pytest

from napari_cxr import samples
from napari_cxr.evaluation.evaluation_events import (
    EvaluationFinished,
    EvaluationProgress,
    EvaluationWarned,
)
from napari_cxr.evaluation.evaluation_images import list_images
from napari_cxr.evaluation.evaluation_run import evaluate
from napari_cxr.evaluation.evaluation_settings import EvaluationSettings, ModelToEvaluate
from napari_cxr.evaluation.measuring import MeasuringSettings
from napari_cxr.scoring import ListingError, ScoringSettings, prepare_here
from napari_cxr.training.training_image import read_in_process

WHOLE = EvaluationSettings(
    measuring=MeasuringSettings(resamples=200), scoring=ScoringSettings(backend='torch')
)
QUICK = replace(WHOLE, gallery=False)


class Decoders:
    def __call__(self, items, preprocessing, bits):
        return read_in_process(items, preprocessing, bits)

    prepare = staticmethod(prepare_here)


@pytest.fixture
def model(model_file):
    from napari_cxr.checkpoint import read_card
    from napari_cxr.inference.classifier import Classifier

    return ModelToEvaluate(
        model_file, read_card(model_file), lambda: Classifier.load(model_file, 'cpu')
    )


@pytest.fixture(scope='module')
def confounded(tmp_path_factory):
    """32 images: the hospital of the sick has another size of image."""
    root = tmp_path_factory.mktemp('confounded')
    rng = np.random.default_rng(0)
    chests = [samples.phantom((64, 52), seed=seed) for seed in range(2)]
    for i in range(32):
        sick = i % 2 == 0
        folder = root / ('pneumonia' if sick else 'normal')
        folder.mkdir(exist_ok=True)
        pixels = chests[i // 2 % 2] + rng.normal(0, 0.02, (64, 52))
        pixels = pixels if sick else pixels[2:-2]
        iio.imwrite(folder / f'{i}.png', np.uint8(255 * np.clip(pixels, 0, 1)))
    return root


@pytest.fixture
def table(confounded, tmp_path):
    """The same images as a table, with sources, patients, views, splits and a machine."""
    path = tmp_path / 'table.csv'
    with path.open('w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(['path', 'label', 'source', 'patient', 'view', 'split', 'machine'])
        for i in range(32):
            label = 'pneumonia' if i % 2 == 0 else 'normal'
            source = 'east' if (i % 2 == 0) != (i in (8, 9)) else 'west'
            split = ('train', 'val', 'test', 'test')[i // 8]
            image = confounded / label / f'{i}.png'
            writer.writerow([image, label, source, f'p{i // 2}', 'AP', split, f'm{i % 3}'])
    return path


def finish(images, models, out, settings=QUICK):
    events = list(evaluate(images, models, out, Decoders(), settings))
    assert isinstance(events[-1], EvaluationFinished)
    return events


def test_class_folders_with_all_defaults(confounded, model, tmp_path):
    *events, finished = finish(list_images(confounded), [model], tmp_path / 'report', WHOLE)
    content = finished.result.metrics
    assert content['set']['images'] == 32
    assert content['baselines_fitted_on'].startswith('other patients')
    assert content['baselines']['format only']['auc']['value'] == 1
    stops = [one['text'] for one in content['cautions'] if one['kind'] == 'stop']
    assert 'will hardly hold in another hospital' in stops[0]
    assert any('Nothing says which hospital' in one['text'] for one in content['cautions'])
    steps = {event.step for event in events if isinstance(event, EvaluationProgress)}
    assert 'Scoring with tiny' in steps
    assert {path.name for path in (tmp_path / 'report').iterdir()} >= {
        'report.html',
        'metrics.json',
        'predictions.csv',
        'scores',
    }
    page = (tmp_path / 'report' / 'report.html').read_text()
    assert page.count('<img src="data:image/jpeg;base64,') == page.count('<figure>') > 0
    assert 'http' not in page.replace('http://www.w3.org/2000/svg', '').replace('http-equiv', '')
    # No path of an image gets out.
    for name in ('report.html', 'metrics.json', 'predictions.csv'):
        assert str(confounded) not in (tmp_path / 'report' / name).read_text()


def test_a_table_with_all_it_can_say(table, model, tmp_path):
    images = list_images(table, by=['machine'])
    *_, finished = finish(images, [model], tmp_path / 'report')
    content = finished.result.metrics
    assert (content['set']['images'], content['set']['validation_images']) == (16, 8)
    assert set(content['models']['tiny']['by']) == {'source', 'view', 'machine'}
    assert content['models']['tiny']['by']['source'].keys() == {'east', 'west'}
    assert 'format only, source left out' in content['baselines']
    assert 'source only' in content['baselines']
    # Again, and nothing is scored anew.
    scores = tmp_path / 'report' / 'scores' / 'tiny.csv'
    before = scores.read_bytes()
    *_, again = finish(images, [model], tmp_path / 'report')
    assert scores.read_bytes() == before
    assert again.result.metrics['models'] == content['models']
    assert again.result.metrics['looks']['looks'] == 2


def test_without_splits_the_model_is_judged_by_what_it_has_not_seen(
    confounded, model, tmp_path, monkeypatch
):
    from napari_cxr.checkpoint.model_images import ModelImages, image_digest

    files = sorted(confounded.glob('*/*.png'), key=lambda path: int(path.stem))
    seen = {
        image_digest(path): split
        for path, split in zip(files, ['train'] * 12 + ['val'] * 8, strict=False)
    }
    monkeypatch.setattr(ModelImages, 'of_model', lambda path, card: ModelImages(seen))
    *events, finished = finish(
        list_images(confounded), [model], tmp_path / 'report', replace(QUICK, baselines=False)
    )
    (warned,) = [event.text for event in events if isinstance(event, EvaluationWarned)]
    assert warned.startswith('20 of 32 images were used to train the model')
    content = finished.result.metrics
    assert content['set']['split'] == 'test'
    assert (content['set']['images'], content['set']['validation_images']) == (12, 8)
    assert content['models']['tiny']['seen'] == {'train': 0, 'val': 0}


def test_a_sealed_set_answers_once(table, model, tmp_path):
    images = list_images(table)
    finish(images, [model], tmp_path / 'one', replace(QUICK, baselines=False, sealed=True))
    with pytest.raises(ListingError, match='answers once for each model, and has answered'):
        finish(images, [model], tmp_path / 'two', replace(QUICK, baselines=False))
    # Nor by a part of it.
    part = replace(images, items=images.items[-6:])
    with pytest.raises(ListingError, match='has answered for tiny'):
        finish(part, [model], tmp_path / 'three', replace(QUICK, baselines=False))
    assert not (tmp_path / 'three' / 'metrics.json').exists()


@pytest.mark.skipif(sys.platform == 'win32', reason='limits of a process')
def test_a_sealed_set_has_not_answered_where_the_disk_is_full(table, model, tmp_path):
    import resource

    images, how = list_images(table), replace(QUICK, baselines=False)
    finish(images, [model], tmp_path / 'before', how)
    size = (tmp_path / 'before' / 'report.html').stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, hard))
    try:
        with pytest.raises(OSError, match='File too large'):
            finish(images, [model], tmp_path / 'report', replace(how, sealed=True))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    left = sorted(path.name for path in (tmp_path / 'report').iterdir())
    assert left == ['scores']
    finish(images, [model], tmp_path / 'report', replace(how, sealed=True))
    assert (tmp_path / 'report' / 'report.html').is_file()


def test_one_image_a_class_has_no_baselines(confounded, model, tmp_path):
    for label, number in (('pneumonia', 0), ('normal', 1)):
        (tmp_path / 'two' / label).mkdir(parents=True)
        image = confounded / label / f'{number}.png'
        (tmp_path / 'two' / label / image.name).write_bytes(image.read_bytes())
    *events, finished = finish(list_images(tmp_path / 'two'), [model], tmp_path / 'report')
    assert finished.result.metrics['set']['images'] == 2
    assert finished.result.metrics['baselines'] == {}
    (warned,) = [event.text for event in events if isinstance(event, EvaluationWarned)]
    assert 'one image or patient' in warned


def test_shortcut_tests_belong_to_the_report(table, model, tmp_path):
    how = replace(QUICK, baselines=False, shortcut_tests=True)
    *events, finished = finish(list_images(table), [model], tmp_path / 'report', how)
    steps = [e for e in events if isinstance(e, EvaluationProgress) and 'Shortcut' in e.step]
    assert (steps[0].done, steps[-1].done, steps[-1].total) == (0, 16, 16)
    own = finished.result.metrics['shortcut_tests']['tiny']
    (said,) = [c for c in finished.result.metrics['cautions'] if c['code'] == 'shortcut tests']
    assert said['text'] == f'Shortcut tests of tiny: {own["verdict"]}'
    assert said['text'] in (tmp_path / 'report' / 'report.html').read_text()
    assert finished.shortcuts_page == str(tmp_path / 'report' / 'shortcuts.html')
    assert own['verdict'] in (tmp_path / 'report' / 'shortcuts.html').read_text()
    assert not (tmp_path / 'report' / 'shortcuts.part').exists()


def test_stopped_in_the_shortcut_tests_nobody_has_looked(table, model, tmp_path):
    images, how = list_images(table), replace(QUICK, baselines=False, shortcut_tests=True)
    steps = evaluate(images, [model], tmp_path / 'report', Decoders(), how)
    for event in steps:
        if isinstance(event, EvaluationProgress) and 'Shortcut' in event.step and event.done:
            break
    steps.close()
    assert (tmp_path / 'report' / 'shortcuts.part').is_file()
    *_, finished = finish(images, [model], tmp_path / 'report', how)
    assert finished.result.metrics['looks']['looks'] == 1
