"""The network runs on the backend that is preferred, asked for, or that a table started with."""

from types import SimpleNamespace

import pytest
import torch

from napari_cxr.inference.backends import selection
from napari_cxr.inference.backends.backend import BackendUnavailable, find_backend
from napari_cxr.inference.classifier import OutOfMemory
from napari_cxr.inference.device import Device
from napari_cxr.scoring import ScoringError, ScoringSettings
from napari_cxr.scoring.batching import batch_workers_for
from napari_cxr.scoring.pipeline import backend_to_resume, select_network_backend


def drained(generator):
    try:
        while True:
            next(generator)
    except StopIteration as end:
        return end.value


def select(classifier, settings=None, there=None, batch=4, workers=1):
    settings = ScoringSettings() if settings is None else settings
    return drained(select_network_backend(classifier, settings, there or {}, batch, workers))


@pytest.fixture
def failing(classifier, monkeypatch):
    """Let another backend than torch be preferred, which fails when the network is prepared."""
    preferred = [find_backend('torch channels_last'), find_backend('torch')]
    monkeypatch.setattr(selection, 'preferred_backends', lambda device, precision: preferred)
    real = classifier.network_on

    def failing(error):
        def network_on(backend, workers=1, batch=0):
            if backend == preferred[0]:
                raise error
            return real(backend, workers, batch)

        monkeypatch.setattr(classifier, 'network_on', network_on)

    return failing


FAILURES = [BackendUnavailable('It is broken.'), OutOfMemory('Full.')]


@pytest.mark.parametrize('error', FAILURES)
def test_where_one_fails_the_next_is_taken(classifier, failing, error):
    failing(error)
    assert select(classifier).name == classifier.backend.name == 'torch'


@pytest.mark.parametrize(
    ('error', 'raised'), [(FAILURES[0], ScoringError), (FAILURES[1], OutOfMemory)]
)
@pytest.mark.parametrize('there', [{}, {'way': 'channels last'}])
def test_the_one_that_must_be_taken_fails(classifier, failing, error, raised, there):
    failing(error)
    settings = ScoringSettings(backend='' if there else 'torch channels_last')
    with pytest.raises(raised, match=str(error)):
        select(classifier, settings, there)


def test_it_is_prepared_for_the_batch_and_the_workers(classifier, monkeypatch):
    asked = []

    def network_on(*arguments):
        asked.append(arguments)
        return classifier.running

    monkeypatch.setattr(classifier, 'network_on', network_on)
    backend = select(classifier, ScoringSettings(backend='torch channels_last'), {}, 7, 2)
    assert backend == classifier.backend == find_backend('torch channels_last')
    assert asked == [(backend, 2, 7)]


def test_a_table_keeps_the_backend_that_it_started_with():
    there = {'way': 'OpenVINO bfloat16', 'precision': 'bfloat16'}
    same = ScoringSettings(backend='openvino', precision='bfloat16')
    for settings in (ScoringSettings(), ScoringSettings(precision='float32'), same):
        assert backend_to_resume(settings, there) == ('OpenVINO bfloat16', 'auto')
    assert backend_to_resume(same, {}) == ('openvino', 'bfloat16')
    with pytest.raises(ScoringError, match=r'with the backend OpenVINO in bfloat16 .* torch give'):
        backend_to_resume(ScoringSettings(backend='torch'), there)
    with pytest.raises(ScoringError, match=r"no backend 'new': choose ONNX Runtime"):
        backend_to_resume(ScoringSettings(backend='torch'), {'way': 'new'})


def test_a_worker_for_each_core_but_none_without_a_batch():
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
