"""The network is got ready in the fastest way, and in another where that one fails."""

from types import SimpleNamespace

import pytest
import torch

from napari_cxr.inference import comparing, remembered, ways
from napari_cxr.inference.backends.backend import BackendUnavailable
from napari_cxr.inference.classifier import OutOfMemory
from napari_cxr.inference.device import Device
from napari_cxr.scoring import ScoringError, ScoringSettings
from napari_cxr.scoring.pipeline import batch_workers_for, ready_network

ITEMS = range(7)
FAILURES = [BackendUnavailable('It is broken.'), OutOfMemory('Full.')]


def drained(generator):
    try:
        while True:
            next(generator)
    except StopIteration as end:
        return end.value


@pytest.fixture
def failing(classifier, own_ways, monkeypatch):
    """Let the way that is the fastest fail when it is got ready, and count the comparisons."""

    def failing(error, times):
        compared = []

        def comparing_them(classifier, batch, names):
            yield 'eager'
            compared.append(batch)
            found = {'eager': comparing.Measured(1.0, 0.0, 0.0)}
            if len(compared) <= times:
                found['channels last'] = comparing.Measured(0.1, 0.0, 0.0)
            return found

        def get_ready(way, lanes=1, batch=0):
            if way == 'eager':
                return classifier.network
            raise error

        monkeypatch.setattr(ways, 'comparing', comparing_them)
        monkeypatch.setattr(ways, '_SOON', 0.0)
        monkeypatch.setattr(classifier, 'get_ready', get_ready)
        return compared

    return failing


@pytest.mark.parametrize('error', FAILURES)
def test_what_was_fastest_and_fails_is_found_anew(classifier, failing, error):
    compared = failing(error, times=1)
    assert ways.fastest(classifier, 4, reduced=True) == 'channels last'
    assert drained(ready_network(ITEMS, classifier, ScoringSettings(), 4, 1)) == 'eager'
    assert compared == [4, 4] and classifier.way.name == 'eager'
    key = ways._key(classifier, 4, ['eager', 'channels last'])
    assert list(remembered.get(key)['ways']) == ['eager']


@pytest.mark.parametrize('error', FAILURES)
def test_what_fails_again_and_again_is_not_waited_for(classifier, failing, error):
    compared = failing(error, times=100)
    assert drained(ready_network(ITEMS, classifier, ScoringSettings(), 4, 1)) == 'eager'
    assert compared == [4, 4]
    assert remembered.get(ways._key(classifier, 4, ['eager', 'channels last'])) is None


@pytest.mark.parametrize(
    ('error', 'raised'), [(FAILURES[0], ScoringError), (FAILURES[1], OutOfMemory)]
)
def test_the_way_that_a_table_was_begun_in_must_run(classifier, failing, error, raised):
    failing(error, times=1)
    with pytest.raises(raised, match=str(error)):
        drained(ready_network(ITEMS, classifier, ScoringSettings(), 4, 1, 'channels last'))


def test_it_is_ready_for_whole_batches_and_for_no_more_than_there_is(
    classifier, fastest, monkeypatch
):
    asked = []

    def get_ready(*arguments):
        asked.append(arguments)
        return classifier.network

    monkeypatch.setattr(classifier, 'get_ready', get_ready)
    fastest('channels last')
    for batch in (4, 8):
        way = drained(ready_network(ITEMS, classifier, ScoringSettings(), batch, 2))
        assert way == classifier.way.name == 'channels last'
    assert asked == [('channels last', 2, 4), ('channels last', 2, 7)]
    monkeypatch.undo()


def test_a_lane_for_each_core_but_none_without_a_batch():
    on_cpu = SimpleNamespace(device=Device('cpu', ''))
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert [batch_workers_for(on_cpu, batches) for batches in (0, 1, 2, 3, 100)] == [
            1,
            1,
            2,
            3,
            3,
        ]
        assert batch_workers_for(SimpleNamespace(device=Device('cuda:0', '')), 100) == 1
    finally:
        torch.set_num_threads(before)
