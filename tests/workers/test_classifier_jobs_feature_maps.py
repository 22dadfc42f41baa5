"""The jobs behind the feature-map viewer, through a real process."""

import numpy as np
import pytest

from napari_cxr.inference.classifier import Classifier
from napari_cxr.radiograph import Radiograph
from napari_cxr.workers.worker_process import WorkerProcess


@pytest.fixture
def torch_worker():
    worker = WorkerProcess('torch')
    yield worker
    worker.close()


def test_maps_come_through_with_their_place(torch_worker, model_file):
    values = np.random.default_rng(0).integers(0, 255, (120, 150)).astype(np.uint8)
    radiograph = Radiograph.from_array(values)
    model = {'model': str(model_file), 'device': 'cpu'}
    listed = torch_worker.call('stages', **model)
    classifier = Classifier.load(model_file, 'cpu')
    assert [row[0] for row in listed] == list(classifier.network.stage_names)
    name, filters, rows, columns = listed[2]
    maps = torch_worker.call('feature_maps', radiograph=radiograph, stage=name, **model)
    assert maps.values.shape == (filters, rows, columns)
    assert maps.stage == name and maps.model == 'tiny' and not maps.untraceable
    here = classifier.feature_maps(radiograph, name)
    np.testing.assert_allclose(maps.values, here.values, atol=1e-5)
    np.testing.assert_allclose(maps.to_radiograph, here.to_radiograph)
    # 120 x 150 is cut to its middle 120 x 120 and drawn with 97 x 97 pixels: the first
    # cell looks at the first of these.
    step = 120 / 97
    np.testing.assert_allclose(
        maps.to_radiograph @ [0, 0, 1], [step / 2 - 0.5, step / 2 - 0.5 + 15, 1]
    )


def test_an_untraceable_stage_is_spread_evenly(model_file, monkeypatch):
    from napari_cxr.inference import classifier as module
    from napari_cxr.networks import Untraceable

    def refuse(*_):
        raise Untraceable('nobody knows')

    monkeypatch.setattr(module, 'stage_grid', refuse)
    radiograph = Radiograph.from_array(np.zeros((97, 97), np.uint8))
    maps = Classifier.load(model_file, 'cpu').feature_maps(radiograph, 'layer4')
    assert maps.untraceable == 'nobody knows'
    rows = maps.values.shape[1]
    top = (maps.to_radiograph @ [-0.5, -0.5, 1])[:2]
    bottom = (maps.to_radiograph @ [rows - 0.5, rows - 0.5, 1])[:2]
    np.testing.assert_allclose([top, bottom], [[-0.5, -0.5], [96.5, 96.5]], atol=1e-9)
