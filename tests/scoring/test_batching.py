"""Each path has its place in one batch, in whatever order files come."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest

from napari_cxr.inference.label_rule import LabelRule
from napari_cxr.scoring import (
    Item,
    ScoreRow,
    ScoringError,
    ScoringFinished,
    ScoringSettings,
    ScoringStarted,
    ScoringWarned,
    batching,
    list_items,
    score,
    table_reader,
)
from napari_cxr.scoring.batching import ListingBatches
from napari_cxr.scoring.image_preparation import PreparedImage, prepare_here


def ready(number):
    return PreparedImage(np.full((2, 3), number + 1, np.float32), np.eye(3), (2, 3), (), 'PA')


def test_a_batch_is_whole_when_its_last_file_is_there():
    batches = ListingBatches(5, 2, range(5))
    assert batches.put(1, ready(1)) is None
    assert batches.put(2, ready(2)) is None
    last = batches.put(4, ready(4))
    assert [number for number, _ in last] == [4], 'the last batch has what is left'
    assert batches.batch(last)[0].shape == (1, 2, 3)
    whole = batches.put(0, ready(0))
    assert [number for number, _ in whole] == [0, 1]
    batch, places = batches.batch(whole)
    assert places == [0, 1] and batch[:, 0, 0].tolist() == [1, 2]
    assert batches.put(3, None) and not batches._open


def test_what_gives_no_image_or_is_done_leaves_its_place_empty():
    batches = ListingBatches(4, 4, {0, 1, 3})
    assert batches.put(3, ready(3)) is None
    assert batches.put(1, None) is None
    batch, places = batches.batch(batches.put(0, ready(0)))
    assert places == [0, 3] and batch[:, 0, 0].tolist() == [1, 0, 0, 4]


def test_a_batch_without_an_image_is_nothing():
    batches = ListingBatches(2, 2, range(2))
    assert batches.put(0, None) is None and batches.put(1, None) == []


def test_one_file_that_hangs_keeps_its_batch_only():
    batches = ListingBatches(10_000, 8, range(10_000))
    for number in range(1, 10_000):
        batches.put(number, ready(number))
        assert len(batches._open) <= 2


@pytest.mark.parametrize('shares', [False, True])
def test_a_device_that_fails_is_said_and_rows_are_kept(
    folder, classifier, tmp_path, monkeypatch, shares
):
    name = 'maps' if shares else 'logits'
    real, batches = getattr(classifier, name), []

    def run(images, at_most):
        batches.append(len(images))
        if len(batches) > 1:
            raise RuntimeError('CUDA error: an illegal memory access\nFor debugging consider')
        return real(images, at_most)

    monkeypatch.setattr(classifier, name, run)
    items, out = list_items([folder]), tmp_path / 't.csv'
    settings = ScoringSettings(batch=2, shares=shares)
    said = r'failed on cpu \(CUDA error: an illegal memory access\).* kept: .*resume'
    with pytest.raises(ScoringError, match=said):
        list(score(items, classifier, out, prepare_here, settings))
    assert any(row.status == 'scored' for row in table_reader.read_rows(out)[1])
    monkeypatch.undo()
    events = list(score(items, classifier, out, prepare_here, settings, resume=True))
    assert next(e.done for e in events if isinstance(e, ScoringStarted)) > 0
    assert isinstance(events[-1], ScoringFinished) and events[-1].failed == 1


ITEMS = [Item(f'{n}.png') for n in range(12)]

READY = SimpleNamespace(image=np.zeros((2, 2), np.float32))


class Network:
    """A network that waits until it is told to go on."""

    def __init__(self, go_on=None, fail=False):
        self.warning, self.go_on, self.fail = '', go_on, fail
        self.lock, self.now, self.most = threading.Lock(), 0, 0
        self.stopped = threading.Event()

    def stop(self):
        self.stopped.set()

    def score_batch(self, batch, places, images):
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        if self.go_on is not None:
            assert self.go_on.wait(60)
        with self.lock:
            self.now -= 1
        if self.fail:
            raise ValueError('x')
        self.warning = 'Short.'
        return [ScoreRow(n, ITEMS[n].path, 'scored') for n, _ in images]


@pytest.fixture
def run(monkeypatch):
    def begin(network, workers, read=None):
        monkeypatch.setattr(batching, 'BatchScorer', lambda *_: network)

        def every(todo, wanted):
            for number, _ in todo:
                yield number, READY

        classifier = SimpleNamespace(preprocessing=None)
        return batching.score_rows(
            ITEMS,
            range(12),
            12,
            classifier,
            read or every,
            ScoringSettings(),
            2,
            workers,
        )

    return begin


def test_as_many_batches_as_workers_run_at_once(run):
    go_on, network = threading.Event(), None
    network = Network(go_on)
    taken = []

    def read(todo, wanted):
        for number, _ in todo:
            taken.append(number)
            yield number, READY

    going = run(network, 3, read)
    assert next(going) is None, 'it waits, and hands control back'
    assert len(taken) == 8, 'three batches run, and nobody takes images beyond the fourth'
    go_on.set()
    found = list(going)
    assert sorted(row.number for some in found if isinstance(some, list) for row in some) == [
        *range(12)
    ]
    assert network.most <= 3 and any(isinstance(one, ScoringWarned) for one in found)


def test_what_a_batch_raises_is_raised(run):
    with pytest.raises(ValueError, match='x'):
        list(run(Network(fail=True), 2))


def test_closed_no_further_batch_begins(run):
    begun, network = [], Network()

    def batch(*_):
        begun.append(1)
        assert network.stopped.wait(60)

    network.score_batch = batch
    going = run(network, 1)
    next(going)
    going.close()
    assert begun == [1]


def test_closed_it_does_not_wait_for_a_batch_that_takes_long(run):
    go_on = threading.Event()
    network = Network(go_on)
    going = run(network, 1)
    next(going)
    going.close()
    assert network.now == 1, 'it is still at it'
    go_on.set()


def test_a_batch_that_is_stopped_makes_no_further_rows(monkeypatch):
    classifier = SimpleNamespace(
        logits=lambda batch, _: (np.zeros((4, 2)), 4), rule=LabelRule(('a', 'b'))
    )
    network, made = batching.BatchScorer(classifier, ITEMS, ScoringSettings()), []

    def row(number, *_):
        made.append(number)
        if number == 1:
            network.stop()
        return number

    monkeypatch.setattr(network, '_row', row)
    network.score_batch(np.zeros((4, 2, 2), np.float32), range(4), [(n, READY) for n in range(4)])
    assert made == [0, 1]
