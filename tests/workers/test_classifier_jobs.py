"""The jobs behind the Classify dock, through a real process."""

from dataclasses import replace

import numpy as np
import pytest

from napari_cxr.checkpoint import load, save
from napari_cxr.lungs import LungField
from napari_cxr.radiograph import Radiograph, UnreadableImage
from napari_cxr.workers.classifier_jobs import classify
from napari_cxr.workers.worker_process import WorkerProcess


@pytest.fixture
def torch_worker():
    worker = WorkerProcess('torch')
    yield worker
    worker.close()


def test_a_result_tells_that_a_person_drew_the_lungs(torch_worker, model_file, tmp_path):
    model = load(model_file)
    entries = {**model.card.preprocessing, 'lungs': 'crop'}
    path = tmp_path / 'looking.safetensors'
    save(path, model.tensors, replace(model.card, preprocessing=entries))
    right, left = np.zeros((8, 8), np.float32), np.zeros((8, 8), np.float32)
    right[2:6, 1:3] = left[2:6, 5:7] = 1
    field = LungField(right, left, (120, 150), drawn=True)
    values = np.random.default_rng(0).integers(0, 255, (120, 150)).astype(np.uint8)
    prediction, _, _, told, *_ = torch_worker.call(
        'classify',
        radiograph=Radiograph.from_array(values),
        model=str(path),
        device='cpu',
        field=field,
    )
    assert prediction.lungs == 'drawn' and told.drawn


def test_several_frames_are_refused_as_the_classifier_does(model_file):
    frames = Radiograph.from_array(np.zeros((2, 60, 60), np.uint8))
    with pytest.raises(UnreadableImage, match='network looks at one image'):
        list(classify(frames, str(model_file), 'cpu'))
