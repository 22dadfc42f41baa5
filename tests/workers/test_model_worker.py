"""A model runs in a worker without torch wherever that is possible."""

import shutil
import sys
from dataclasses import replace

import numpy as np
import pytest

from napari_cxr import samples
from napari_cxr.checkpoint import catalog, load, save
from napari_cxr.inference import device
from napari_cxr.inference.backends.exported_network import find_graph
from napari_cxr.inference.classifier import Classifier
from napari_cxr.radiograph import Radiograph
from napari_cxr.workers import model_worker
from napari_cxr.workers.model_worker import worker_role
from napari_cxr.workers.worker_process import WorkerProcess


def role_of(*arguments):
    choosing = worker_role(*arguments)
    while True:
        try:
            next(choosing)
        except StopIteration as end:
            return end.value


@pytest.fixture
def nothing_exported(monkeypatch):
    """Let exporting do nothing, as with a network that cannot be; returns what was asked for."""
    asked = []

    def export(path):
        asked.append(path)
        yield None

    monkeypatch.setattr(model_worker, 'export_model', export)
    return asked


@pytest.mark.parametrize(
    ('arguments', 'role'),
    [
        (('cxr-opacity', 'cpu'), 'inference'),
        (('cxr3-resnet10', 'cpu', 'OpenVINO'), 'inference'),
        (('cxr-opacity', 'cpu', 'torch'), 'torch'),
        (('cxr-opacity', 'cpu', '', 'bfloat16'), 'torch'),
        (('cxr-opacity', 'cuda'), 'torch'),
        (('cxr3-lung-texture', 'cpu'), 'torch'),  # its head has no closed form
    ],
)
def test_torch_is_taken_only_where_it_is_needed(nothing_exported, arguments, role):
    pytest.importorskip('openvino')
    assert role_of(*arguments) == role and not nothing_exported


@pytest.mark.parametrize(('reason', 'role'), [('no driver', 'inference'), ('', 'torch')])
def test_where_there_may_be_a_gpu_torch_is_asked(monkeypatch, reason, role):
    monkeypatch.setattr(device, '_why_no_gpu', lambda: reason)
    assert role_of('cxr-opacity', 'auto') == role


def test_a_model_that_cannot_be_exported_runs_in_torch(nothing_exported, model_file, tmp_path):
    checkpoint = load(model_file)
    path = tmp_path / 'odd.safetensors'
    save(path, checkpoint.tensors, replace(checkpoint.card, name='odd'))
    assert role_of(path, 'cpu') == 'torch' and nothing_exported == [path]
    assert role_of(path, 'cpu') == 'torch' and len(nothing_exported) == 2


def test_a_new_model_is_exported_once(model_file, tmp_path):
    checkpoint = load(model_file)
    path = tmp_path / 'new.safetensors'
    save(path, checkpoint.tensors, replace(checkpoint.card, name='new'))
    assert role_of(path, 'cpu') == 'inference'
    opened = model_worker._opened(path)
    assert find_graph(opened.sha256).closed_form
    # Another name for the same content needs nothing more.
    assert role_of(shutil.copy(path, tmp_path / 'again.safetensors'), 'cpu') == 'inference'


def test_the_inference_worker_needs_no_torch_and_says_what_the_classifier_says(without_torch):
    radiograph = Radiograph.from_array(samples.phantom((300, 260), seed=3))
    worker = WorkerProcess('inference')
    try:
        model = {'model': 'cxr-opacity', 'device': 'cpu'}
        assert worker.call('load', **model) == 'CPU, as chosen'
        prediction, heatmaps, *_ = worker.call('classify', radiograph=radiograph, **model)
        again = worker.call('predict', radiograph=radiograph, **model)
        with pytest.raises(Exception, match='torch must not be imported'):
            worker.call('network_names')
    finally:
        worker.close()
    expected, maps = Classifier.load(catalog.resolve('cxr-opacity'), 'cpu').explain(radiograph)
    for given in (prediction, again):
        np.testing.assert_allclose(given.probabilities, expected.probabilities, atol=1e-6)
    np.testing.assert_allclose(heatmaps[0].values, maps[0].values, atol=1e-6)
    assert 'torch' in sys.modules, 'in this process it may be'
