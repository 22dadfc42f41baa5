"""The training worker: a survey, samples, a run, a stop and its resumption, in a real process."""

from contextlib import closing

import numpy as np
import pytest
from PIL import Image

from napari_cxr.checkpoint import load
from napari_cxr.training import (
    EpochDone,
    ReadingProgress,
    Recipe,
    TrainingFinished,
    TrainingStarted,
)
from napari_cxr.training.dataset_survey import Survey
from napari_cxr.workers.worker_process import JobFailed, WorkerDied, WorkerProcess


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Two classes of ten images each."""
    root = tmp_path_factory.mktemp('images')
    for i in range(20):
        label = ('left', 'right')[i % 2]
        image = np.random.default_rng(i).integers(60, 120, (40, 40))
        image[:, slice(None, 20) if label == 'left' else slice(20, None)] += 90
        (root / label).mkdir(exist_ok=True)
        Image.fromarray(image.astype(np.uint8)).save(root / label / f'{i}.png')
    return root


@pytest.fixture(scope='module')
def recipe():
    return Recipe.from_dict(
        {
            'name': 'small',
            'network': 'resnet10',
            'epochs': 2,
            'batch': 4,
            'precision': 'float32',
            'input': {'height': 33, 'width': 33},
            'data': {'duplicates': False},
            'augmentation': {'rotation': 5.0},
        }
    )


@pytest.fixture(scope='module')
def worker():
    worker = WorkerProcess('torch', grace=30, background=True)
    yield worker
    worker.close()


def events_of(worker, job, **arguments):
    """All events of a job, without the heartbeats, and its result."""
    run, events = worker.run(job, **arguments), []
    while True:
        try:
            event = next(run)
        except StopIteration as end:
            return events, end.value
        if event is not None:
            events.append(event)


@pytest.mark.slow
def test_a_folder_is_surveyed_and_sampled(worker, folder, recipe):
    events, survey = events_of(worker, 'survey', source=str(folder), recipe=recipe.to_dict())
    assert isinstance(survey, Survey) and survey.labels == ('left', 'right')
    assert len(survey.paths) == 20 and survey.split_kind == 'by image'
    assert any(isinstance(event, ReadingProgress) for event in events)
    paths = [str(folder / path) for path in survey.paths[:3]]
    labels = ['left', 'left', 'right']
    plan = recipe.with_changes({'augmentation.only': ['left']}).to_dict()
    _, samples = events_of(worker, 'preview', paths=paths, labels=labels, recipe=plan)
    assert samples.dtype == np.uint8 and samples.shape == (1, 3, 2, 33, 33, 3)
    changed = [not np.array_equal(before, after) for before, after in samples[0]]
    assert changed == [True, True, False]


@pytest.mark.slow
def test_a_stopped_run_goes_on_where_it_was(worker, folder, recipe, tmp_path):
    whole, _ = events_of(
        worker,
        'train',
        source=str(folder),
        plan=recipe.to_toml(),
        out=str(tmp_path / 'whole'),
        device='cpu',
    )
    assert isinstance(whole[-1], TrainingFinished)

    out = str(tmp_path / 'stopped')
    arguments = {'source': str(folder), 'out': out, 'device': 'cpu'}
    with closing(worker.run('train', plan=recipe.to_toml(), **arguments)) as run:
        for event in run:
            if isinstance(event, EpochDone):
                break
    rest, _ = events_of(worker, 'train', plan='', **arguments)
    started = next(event for event in rest if isinstance(event, TrainingStarted))
    assert started.epoch == 1
    kept = [load(tmp_path / name / 'last.safetensors').tensors for name in ('whole', 'stopped')]
    assert kept[0].keys() == kept[1].keys()
    assert all(kept[0][name].equal(kept[1][name]) for name in kept[0])


def test_what_cannot_be_trained_on_is_one_clear_sentence(worker, folder, recipe, tmp_path):
    with pytest.raises(JobFailed, match='neither a folder') as caught:
        worker.call(
            'train',
            source=str(folder / 'nothing'),
            plan=recipe.to_toml(),
            out=str(tmp_path / 'out'),
            device='cpu',
        )
    assert caught.value.kind == 'DatasetError'


def test_networks_are_listed(worker):
    names = worker.call('network_names')
    assert 'resnet18' in names and isinstance(names, tuple)


@pytest.mark.slow
def test_a_run_that_ends_with_the_program_keeps_its_state(folder, recipe, tmp_path):
    worker = WorkerProcess('torch', grace=30)
    plan = recipe.with_changes({'epochs': 400}).to_toml()
    out = tmp_path / 'out'
    run = worker.run('train', source=str(folder), plan=plan, out=str(out), device='cpu')
    next(event for event in run if isinstance(event, EpochDone))
    worker.retire(grace=30)
    assert not worker.alive
    assert (out / 'state.safetensors').is_file()
    assert 'Stopped' in (out / 'log.txt').read_text()
    run.close()
    with pytest.raises(WorkerDied, match='ending'):
        worker.call('network_names')
