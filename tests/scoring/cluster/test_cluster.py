"""Scoring on a Dask cluster: the same table, whatever happens to its workers."""

import csv
import os
import signal
import socket
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import imageio.v3 as iio
import numpy as np
import pytest

from napari_cxr import samples
from napari_cxr.scoring import (
    RowScored,
    ScoringError,
    ScoringFinished,
    ScoringProgress,
    ScoringSettings,
    ScoringStarted,
    ScoringWarned,
    list_items,
    score,
)
from napari_cxr.scoring.cluster import score_on_cluster
from napari_cxr.scoring.cluster.worker_tasks import score_task
from napari_cxr.scoring.image_preparation import prepare_here
from napari_cxr.workers.decoder_pool import DecoderPool

distributed = pytest.importorskip('distributed')

FOUR = ScoringSettings(batch=4)


@pytest.fixture
def plain_torch():
    """Let each process select a backend as it would for a person."""


class Here:
    """Decoders for files that one trusts, in the worker's own process."""

    def __init__(self, count):
        pass

    def prepare(self, todo, wanted):
        return prepare_here(todo, wanted)

    def close(self):
        pass


@pytest.fixture
def here():
    """A worker in this process."""
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=':0'
    ) as there:
        yield there


@pytest.fixture(scope='module')
def many(tmp_path_factory):
    """Two class folders of sixty images, and a file that is none."""
    root = tmp_path_factory.mktemp('many') / 'images'
    for name in ('normal', 'pneumonia'):
        (root / name).mkdir(parents=True)
    for i in range(60):
        # Four persons: a person takes a second to draw, another radiograph of one a tenth.
        pixels = np.uint8(255 * samples.phantom((60, 52), seed=i % 4, take=i // 4))
        iio.imwrite(root / ('normal' if i % 2 else 'pneumonia') / f'{i:02}.png', pixels)
    (root / 'normal' / '21b.png').write_text('<html>moved</html>')
    return list_items([root], 'folders')


@pytest.fixture(scope='module')
def whole(many, classifier, tmp_path_factory):
    """The table of a run on this machine."""
    out = tmp_path_factory.mktemp('whole') / 'whole.csv'
    list(score(many, classifier, out, prepare_here, FOUR))
    return out.read_bytes()


@pytest.fixture
def run(classifier, model_file):
    """Score on a cluster."""

    def run(items, out, there, pool=Here, settings=FOUR, **options):
        address = there if isinstance(there, str) else there.scheduler_address
        options = {'model': model_file, 'device': 'cpu'} | options
        return score_on_cluster(items, classifier, out, address, pool, settings, **options)

    return run


def started(events):
    return next(event for event in events if isinstance(event, ScoringStarted))


def rows_of(path):
    with path.open(newline='') as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_worker_that_is_killed_changes_nothing(run, many, whole, tmp_path):
    out, killed, events = tmp_path / 'x.csv', None, []
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=':0'
    ) as two:
        for event in run(many, out, two, DecoderPool):
            events.append(event)
            if isinstance(event, RowScored) and killed is None:
                killed = two.workers[0].pid
                os.kill(killed, signal.SIGKILL)
    assert killed is not None and out.read_bytes() == whole
    assert started(events).device == '2 workers (cpu)'
    assert sum(isinstance(event, RowScored) for event in events) == 61, 'each row comes once'
    last = [event for event in events if isinstance(event, ScoringProgress)][-1]
    assert (last.done, last.failed, last.total) == (61, 1, 61)
    end = events[-1]
    assert isinstance(end, ScoringFinished) and end.failed == 1 and end.metrics['images'] == 60


def test_what_kills_each_worker_is_tried_alone_and_told(
    run, here, many, whole, classifier, tmp_path
):
    bad = many[37].path

    class Deadly(Here):
        def prepare(self, todo, wanted):
            todo = list(todo)
            if any(str(path) == bad for _, path in todo):
                # What a scheduler says of a task at which four workers died, one after the other.
                worker = SimpleNamespace(address='tcp://1.2.3.4:5')
                raise distributed.KilledWorker('task', worker, 3)
            yield from prepare_here(todo, wanted)

    list(run(many, tmp_path / 'x.csv', here, Deadly))
    list(score(many, classifier, tmp_path / 'here.csv', prepare_here, FOUR))
    expected = rows_of(tmp_path / 'here.csv')
    for i, (row, wanted) in enumerate(zip(rows_of(tmp_path / 'x.csv'), expected, strict=True)):
        if i // 4 == 37 // 4:
            assert row['status'] == 'error' and '4 workers of the cluster died' in row['error']
        else:
            assert row == wanted


@pytest.mark.parametrize('part', [slice(1, None), slice(None, 1)])
def test_a_worker_that_keeps_rows_back_is_told_of(run, here, many, tmp_path, monkeypatch, part):
    from napari_cxr.scoring.cluster import task_dispatch

    monkeypatch.setattr(
        task_dispatch, 'score_task', lambda job, paths, pool: score_task(job, paths[part], pool)
    )
    with pytest.raises(ScoringError, match='sent other rows than it was asked for'):
        list(run(many, tmp_path / 'x.csv', here))


def test_a_task_takes_one_core(run, here, many, whole, tmp_path, monkeypatch):
    import torch

    from napari_cxr.inference.classifier import Classifier

    real, seen = Classifier.logits, set()

    def logits(*arguments):
        seen.add(torch.get_num_threads())
        return real(*arguments)

    monkeypatch.setattr(Classifier, 'logits', logits)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        list(run(many, tmp_path / 'x.csv', here))
    finally:
        torch.set_num_threads(before)
    assert seen == {1} and (tmp_path / 'x.csv').read_bytes() == whole


def test_workers_that_prefer_other_backends_take_one_that_all_have(
    run, here, many, tmp_path, monkeypatch
):
    from napari_cxr.inference.backends import selection
    from napari_cxr.inference.backends.backend import why_unavailable
    from napari_cxr.scoring import cluster
    from napari_cxr.scoring.cluster.task_dispatch import WorkerDevice

    real, asked = cluster.check_workers, []

    def another_too(client, address, job, items):
        found = yield from real(client, address, job, items)
        asked.append(job.backend)
        return [*found, WorkerDevice(*other)] if len(asked) == 1 else found

    monkeypatch.setattr(cluster, 'check_workers', another_too)
    for other, missing, taken in (
        (('cpu', 'channels last'), '', 'torch channels_last'),
        (('cpu', 'channels last'), 'torch channels_last', 'torch'),
        (('cuda:0', 'eager'), '', 'torch'),
    ):
        asked.clear()
        monkeypatch.setattr(
            selection,
            'why_unavailable',
            lambda backend, device, missing=missing: (
                'It is missing.' if backend.name == missing else why_unavailable(backend, device)
            ),
        )
        out = tmp_path / f'{other[0]}-{missing}.csv'
        list(run(many[:4], out, here))
        assert {row['backend'] for row in rows_of(out)} == {taken}
    # One that is asked for is not replaced.
    monkeypatch.undo()
    named = ScoringSettings(batch=4, backend='torch channels_last')
    out = tmp_path / 'named.csv'
    list(run(many[:4], out, here, settings=named))
    assert {row['backend'] for row in rows_of(out)} == {'torch channels_last'}
    named = ScoringSettings(batch=4, backend='ONNX Runtime', precision='bfloat16')
    with pytest.raises(ScoringError, match='does not compute in bfloat16'):
        list(run(many[:4], tmp_path / 'none.csv', here, settings=named))


def test_begun_here_it_goes_on_there_and_back(run, here, many, whole, classifier, tmp_path):
    out = tmp_path / 'x.csv'

    def begin(events):
        done = 0
        for event in events:
            if isinstance(event, ScoringStarted):
                done = event.done
            if isinstance(event, ScoringProgress) and event.done > done:
                break
        events.close()
        return done

    assert begin(score(many, classifier, out, prepare_here, FOUR)) == 0
    assert begin(run(many, out, here, resume=True)) > 0
    assert begin(score(many, classifier, out, prepare_here, FOUR, resume=True)) > 0
    list(run(many, out, here, settings=ScoringSettings(), resume=True))
    assert out.read_bytes() == whole


def test_relative_paths_and_heatmaps_are_those_of_a_run_here(
    run, here, folder, classifier, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    items = list_items([Path('images')])
    settings = ScoringSettings(batch=4, heatmaps=Path('maps'), identify=True)
    list(score(items, classifier, 'a.csv', prepare_here, settings))
    drawn = {path: path.read_bytes() for path in Path('maps').iterdir()}
    for path in drawn:
        path.unlink()
    events = run(items, tmp_path / 'b.csv', here, settings=settings)
    monkeypatch.setattr('napari_cxr.scoring.cluster.worker_tasks.Path', elsewhere)
    list(events)
    assert Path('b.csv').read_bytes() == Path('a.csv').read_bytes()
    assert {path: path.read_bytes() for path in Path('maps').iterdir()} == drawn
    assert len(drawn) == 14


def elsewhere(*parts):
    """Paths on a worker, whose own folder is another: relative ones lead nowhere."""
    path = Path(*parts)
    assert path.is_absolute()
    return path


def test_closed_it_takes_back_what_is_under_way(run, here, many, tmp_path):
    begun, ended = tmp_path / 'begun', tmp_path / 'ended'

    class Endless:
        def __init__(self, count):
            pass

        def prepare(self, todo, wanted):
            begun.touch()
            try:
                while True:
                    time.sleep(0.01)
                    yield None
            finally:
                ended.touch()

        def close(self):
            pass

    events = run(many, tmp_path / 'x.csv', here, Endless)
    for event in events:
        if isinstance(event, ScoringProgress) and begun.exists():
            break
    assert not ended.exists()
    events.close()
    until(ended.exists)


def until(true, seconds=20):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_scheduler_that_goes_away_takes_no_row_along(
    run, here, many, whole, classifier, tmp_path
):
    out = tmp_path / 'x.csv'
    with pytest.raises(ScoringError, match='connection to the Dask scheduler was lost'):
        for event in run(many, out, here):
            if isinstance(event, RowScored):
                here.close()
    events = list(score(many, classifier, out, prepare_here, FOUR, resume=True))
    assert started(events).done > 0 and out.read_bytes() == whole


def test_a_scheduler_that_hangs_keeps_nobody_from_stopping(run, here, many, tmp_path, monkeypatch):
    from napari_cxr.scoring.cluster import task_dispatch

    answers, asked, real = threading.Event(), [], task_dispatch.TaskDispatch._tasks_at_once

    def hanging(run):
        asked.append(True)
        if len(asked) > 1:
            assert answers.wait(60)
        return real(run)

    monkeypatch.setattr(task_dispatch, '_POLL_SECONDS', 0.0)
    monkeypatch.setattr(task_dispatch.TaskDispatch, '_tasks_at_once', hanging)
    events = run(many, tmp_path / 'x.csv', here)
    for event in events:
        if isinstance(event, RowScored) and len(asked) > 1:
            break
    events.close()
    answers.set()
    assert len(asked) == 2, 'nor is it asked again and again'


def test_without_workers_it_waits_for_one(run, here, many, whole, tmp_path):
    out, said, gone = tmp_path / 'x.csv', [], False
    for event in run(many, out, here):
        if isinstance(event, RowScored) and not gone:
            gone = True
            here.scale(0)
            until(lambda: not here.workers)
        if isinstance(event, ScoringWarned):
            said.append(event.text)
            here.scale(1)
    assert said == ['The cluster has no worker left; waiting for one.']
    assert out.read_bytes() == whole


def test_a_cluster_that_cannot_do_it_is_told_before_anything_is_begun(
    run, here, many, tmp_path, monkeypatch
):
    out = tmp_path / 'x.csv'

    def refused(said, items=many, **options):
        with pytest.raises(ScoringError, match=said):
            list(run(items, out, here, **options))
        assert not list(tmp_path.glob('x.csv*'))

    refused('There is no model .* and no such file', model='another')
    with monkeypatch.context() as patch:
        patch.setattr('napari_cxr.scoring.cluster.__version__', '0.0.1')
        refused('instead of 0.0.1: install the same version')
    refused('another file of the model', model='cxr3-resnet10')
    (tmp_path / 'gone.txt').write_text('gone.png\n')
    refused('does not see the files', items=list_items([tmp_path / 'gone.txt']))
    refused('no device', device='warp')
    here.scale(0)
    until(lambda: not here.workers)
    refused('No worker has joined')


def test_no_scheduler_is_told(run, many, tmp_path, monkeypatch):
    limits, client = [], distributed.Client

    def connecting(timeout, **options):
        limits.append(timeout)
        return client(timeout=0.5, **options)

    monkeypatch.setattr(distributed, 'Client', connecting)
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        nobody = f'tcp://127.0.0.1:{free.getsockname()[1]}'
    for address in (nobody, 'gopher://here:1'):
        with pytest.raises(ScoringError, match='No Dask scheduler answers at'):
            list(run(many, tmp_path / 'x.csv', address))
    assert limits == [5.0] * 2, 'so it is told soon'
    for address in ('gopher://here', 'nowhere', 'no/such/scheduler.json', 'tcp://here:there'):
        with pytest.raises(ScoringError, match=r'scheduler file that is .* with its port'):
            list(run(many, tmp_path / 'x.csv', address))
    assert len(limits) == 2, 'nobody is asked'
    assert not list(tmp_path.iterdir())


def test_without_dask_it_is_told(run, many, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'distributed', None)
    with pytest.raises(ScoringError, match=r'napari-cxr\[dask\]'):
        list(run(many, tmp_path / 'x.csv', 'tcp://127.0.0.1:1'))
