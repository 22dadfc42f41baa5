"""The jobs behind the Classify dock, through a real process."""

from dataclasses import replace

import numpy as np
import pytest

from napari_cxr.checkpoint import load, save
from napari_cxr.lungs import LungField
from napari_cxr.radiograph import Radiograph, UnreadableImage
from napari_cxr.workers import classifier_jobs
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


def test_pixels_that_changed_in_place_are_looked_at_again(model_file):
    def classified(values):
        prediction, (heatmap, *_), *rest = returned(
            classify(Radiograph.from_array(values.copy()), str(model_file), 'cpu')
        )
        return prediction, heatmap.values, rest[1]

    values = np.random.default_rng(0).integers(0, 255, (120, 150)).astype(np.uint8)
    first = classified(values)
    kept = classifier_jobs._last_findings
    again = classified(values)
    assert classifier_jobs._last_findings is kept
    assert again[0] == first[0] and np.array_equal(again[1], first[1])
    values[30:90, 30:90] = 255
    changed = classified(values)
    assert changed[0].logits != first[0].logits
    classifier_jobs._last_findings = None
    alone = classified(values)
    assert changed[0] == alone[0] and np.array_equal(changed[1], alone[1])
    np.testing.assert_array_equal(changed[2].right, alone[2].right)


def returned(steps):
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value
