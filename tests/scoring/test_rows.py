"""Files to rows: batches in threads, beside the decoders."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest

from napari_cxr.inference.label_rule import LabelRule
from napari_cxr.scoring import Item, Row, Settings, Warned, rows
from napari_cxr.scoring import network as network_module

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

    def rows(self, batch, places, images):
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
        return [Row(n, ITEMS[n].path, 'scored') for n, _ in images]


@pytest.fixture
def run(monkeypatch):
    def begin(network, lanes, read=None):
        monkeypatch.setattr(rows, 'Network', lambda *_: network)

        def every(todo, wanted):
            for number, _ in todo:
                yield number, READY

        classifier = SimpleNamespace(preprocessing=None)
        return rows.rows_of(
            ITEMS, range(12), lambda _: True, 12, classifier, read or every, Settings(), 2, lanes
        )

    return begin


def test_as_many_batches_as_lanes_are_under_way(run):
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
    assert network.most <= 3 and any(isinstance(one, Warned) for one in found)


def test_what_a_batch_raises_is_raised(run):
    with pytest.raises(ValueError, match='x'):
        list(run(Network(fail=True), 2))


def test_closed_no_further_batch_begins(run):
    begun, network = [], Network()

    def batch(*_):
        begun.append(1)
        assert network.stopped.wait(60)

    network.rows = batch
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
    network, made = network_module.Network(classifier, ITEMS, Settings()), []

    def row(number, *_):
        made.append(number)
        if number == 1:
            network.stop()
        return number

    monkeypatch.setattr(network, '_row', row)
    network.rows(np.zeros((4, 2, 2), np.float32), range(4), [(n, READY) for n in range(4)])
    assert made == [0, 1]
