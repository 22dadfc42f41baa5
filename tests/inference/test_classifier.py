import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from napari_cxr.checkpoint import open_model
from napari_cxr.inference.classifier import Classifier, OutOfMemory, RefusedImage
from napari_cxr.inference.device import (
    Device,
    DeviceUnavailable,
    choose_device,
    is_out_of_memory,
    supports_bfloat16,
)
from napari_cxr.radiograph import Geometry, Provenance, Radiograph, View


@pytest.fixture(scope='module')
def classifier(model_file):
    """The model in plain torch."""
    return Classifier(open_model(model_file), Device('cpu', 'CPU, as chosen'))


def image(seed=0, shape=(140, 120), **more):
    values = np.random.default_rng(seed).integers(0, 4096, shape).astype(np.uint16)
    return Radiograph(values, Radiograph.from_array(values).presets, **more)


def test_probabilities_are_the_softmax_of_the_logits(classifier):
    (prediction,) = classifier.predict([image()])
    assert prediction.labels == ('covid19', 'normal', 'pneumonia')
    exp = np.exp(prediction.logits)
    np.testing.assert_allclose(prediction.probabilities, exp / exp.sum(), rtol=1e-6)
    assert prediction.label == prediction.labels[int(np.argmax(prediction.logits))]


def test_the_temperature_divides_the_logits(classifier, model_file):
    from dataclasses import replace

    from napari_cxr.checkpoint import load

    checkpoint = load(model_file)
    warm = Classifier(
        replace(checkpoint, card=replace(checkpoint.card, temperature=2.0)), Device('cpu', '')
    )
    one, two = (c.predict([image()])[0] for c in (classifier, warm))
    assert one.logits == two.logits
    exp = np.exp(np.array(one.logits) / 2)
    np.testing.assert_allclose(two.probabilities, exp / exp.sum(), rtol=1e-6)


def test_several_labels_have_a_sigmoid_each(classifier, model_file):
    from dataclasses import replace

    from napari_cxr.checkpoint import load

    checkpoint = load(model_file)
    card = replace(checkpoint.card, multilabel=True, temperature=2.0)
    apart = Classifier(replace(checkpoint, card=card), Device('cpu', ''))
    (one,), (prediction, maps) = classifier.predict([image()]), apart.explain(image())
    assert prediction.multilabel and not one.multilabel
    np.testing.assert_allclose(prediction.logits, one.logits, atol=1e-5)
    expected = 1 / (1 + np.exp(-np.array(prediction.logits) / 2))
    np.testing.assert_allclose(prediction.probabilities, expected, rtol=1e-6)
    assert prediction.thresholds == (0.5, 0.5, 0.5) and prediction.negative == 'No finding'
    assert prediction.leading == one.label  # the sigmoid keeps the order
    assert [h.probability for h in maps] == list(prediction.probabilities)


def test_a_batch_equals_its_single_images(classifier):
    images = [image(seed) for seed in range(5)]
    together = classifier.predict(images)
    for one, row in zip(images, together, strict=True):
        np.testing.assert_allclose(classifier.predict([one])[0].logits, row.logits, atol=1e-5)


def test_explain_agrees_with_predict_and_places_every_class(classifier):
    radiograph = image()
    prediction, maps = classifier.explain(radiograph)
    np.testing.assert_allclose(
        prediction.logits, classifier.predict([radiograph])[0].logits, atol=1e-5
    )
    assert [h.label for h in maps] == list(classifier.labels)
    for h in maps:
        assert h.values.dtype == np.float32 and h.values.min() >= 0
        # 97 pixels at a jump of 32: 4 cells at 0, 32, 64, 96 of the input, whose centre (48)
        # is the radiograph's centre (69.5, 59.5).
        assert h.values.shape == (4, 4)
        np.testing.assert_allclose(h.to_radiograph @ [1.5, 1.5, 1], [69.5, 59.5, 1], atol=1e-9)
    assert any(h.values.max() > 0 for h in maps)


def test_one_class_may_be_explained(classifier):
    _, maps = classifier.explain(image(), ['normal'])
    everything = classifier.explain(image())[1]
    np.testing.assert_allclose(maps[0].values, everything[1].values, atol=1e-6)


def test_what_is_no_radiograph_is_refused(classifier):
    with pytest.raises(RefusedImage, match='CT image'):
        classifier.predict([image(refusal='This is a CT image, not a projection radiograph.')])


def test_the_provenance_of_a_prediction(classifier, model_file):
    import hashlib

    prediction = classifier.predict([image()])[0]
    assert prediction.model == 'tiny' and prediction.device == 'cpu'
    assert prediction.model_hash == hashlib.sha256(model_file.read_bytes()).hexdigest()[:12]
    assert prediction.preprocessing['height'] == 97 and prediction.preset == 'Full range'


def test_a_prediction_says_whose_lungs_the_model_was_shown(classifier, model_file):
    from dataclasses import replace

    from napari_cxr.checkpoint import load
    from napari_cxr.lungs import LungField

    right, left = np.zeros((8, 8), np.float32), np.zeros((8, 8), np.float32)
    right[2:6, 1:3] = left[2:6, 5:7] = 1
    found = LungField(right, left, (140, 120))
    checkpoint = load(model_file)
    entries = {**checkpoint.card.preprocessing, 'lungs': 'crop'}
    card = replace(checkpoint.card, preprocessing=entries)
    looking = Classifier(replace(checkpoint, card=card), Device('cpu', ''))
    for field, whose in (
        (found, 'network'),
        (replace(found, source='atlas'), 'atlas'),
        (replace(found, drawn=True), 'drawn'),
    ):
        assert looking.explain(image(), field=field)[0].lungs == whose
        assert classifier.explain(image(), field=field)[0].lungs == ''
    # Noise is no chest, so its lungs are the average ones.
    assert looking.predict([image()])[0].lungs == 'atlas'
    assert classifier.predict([image()])[0].lungs == ''


def test_cautions(classifier):
    lateral = image(
        geometry=Geometry(view=View.LATERAL),
        provenance=Provenance(lossy=True),
        notes=('A note from the header.',),
        shape=(60, 60),
    )
    found = {c.code: c.text for c in classifier.predict([lateral])[0].warnings}
    assert {'view', 'lossy', 'note', 'enlarged', 'not-a-chest'} <= set(found)
    assert 'lateral' in found['view'] and '1.6 times' in found['enlarged']


def test_polarity_is_doubted(classifier):
    from napari_cxr import samples

    chest = samples.phantom((240, 240), seed=1).astype(np.float32)
    right, wrong = (Radiograph.from_array(x) for x in (chest, 1 - chest))
    codes = [{c.code for c in p.warnings} for p in classifier.predict([right, wrong])]
    assert 'polarity' not in codes[0] and 'polarity' in codes[1]


def test_the_cautions_do_not_depend_on_what_a_model_cuts_off(classifier):
    from dataclasses import replace

    from napari_cxr import samples
    from napari_cxr.inference.prediction import find_warnings

    wide = np.zeros((240, 480), np.float32)
    wide[:, 120:360] = samples.phantom((240, 240), seed=1)
    radiograph = Radiograph.from_array(wide)
    for fit in ('crop', 'pad', 'stretch'):
        ready = replace(classifier.preprocessing, fit=fit, border=0.1).apply(radiograph)
        assert not find_warnings(radiograph, ready), fit


def test_the_header_inversion_is_undone(classifier):
    from napari_cxr import samples

    chest = samples.phantom((240, 240), seed=1).astype(np.float32)
    stored = Radiograph.from_array(1 - chest)
    as_header_says = Radiograph(stored.values, stored.presets, inverted=True)
    one, two = classifier.predict([Radiograph.from_array(chest), as_header_says])
    np.testing.assert_allclose(one.logits, two.logits, atol=1e-4)


def test_out_of_memory_halves_the_batch_and_says_so(classifier, monkeypatch):
    sizes = []

    def network(x):
        sizes.append(len(x))
        if len(x) > 2:
            raise torch.OutOfMemoryError('full')
        return real(x)

    real = classifier.network
    monkeypatch.setattr(classifier, 'network', network)
    rows = classifier.predict([image(seed) for seed in range(5)])
    assert sizes == [5, 3, 2, 2, 1] and len(rows) == 5
    assert any(c.code == 'memory' and '2' in c.text for c in rows[0].warnings)


def test_out_of_memory_with_one_image_is_an_error(classifier, monkeypatch):
    def network(x):
        raise torch.OutOfMemoryError('full')

    monkeypatch.setattr(classifier, 'network', network)
    with pytest.raises(OutOfMemory, match='Close other programs'):
        classifier.predict([image()])


def test_devices(monkeypatch):
    assert choose_device('cpu').name == 'cpu'
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.setattr(torch.backends.mps, 'is_available', lambda: False)
    automatic = choose_device()
    assert automatic.name == 'cpu' and automatic.reason.startswith('CPU: ')
    for name in ('cuda', 'cuda:0', 'mps', 'tpu', 'cuda:x'):
        with pytest.raises(DeviceUnavailable):
            choose_device(name)


@pytest.fixture
def gpu(monkeypatch):
    """A CUDA device, on which computing does what it is told to."""
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 1)
    monkeypatch.setattr(torch.cuda, 'get_device_name', lambda number: 'A fast one')
    monkeypatch.setattr(torch.backends.mps, 'is_available', lambda: False)
    ones = torch.ones

    def computes(error=None):
        def made(*shape, device):
            if error is not None:
                raise error
            return ones(*shape)

        monkeypatch.setattr(torch, 'ones', made)

    return computes


def test_a_gpu_is_taken_where_there_is_one(gpu):
    gpu()
    assert choose_device() == Device('cuda:0', 'A fast one')
    with pytest.raises(DeviceUnavailable, match='1 CUDA device'):
        choose_device('cuda:3')


def test_a_gpu_on_which_torch_cannot_compute_is_not_taken(gpu):
    error = torch.AcceleratorError('CUDA error: no kernel image is available\nand more')
    gpu(error)
    automatic = choose_device()
    said = r'cannot compute on cuda:0, A fast one \(CUDA error: no kernel image is available\)'
    assert automatic.name == 'cpu' and re.match(f'CPU: torch {said}', automatic.reason)
    with pytest.raises(DeviceUnavailable, match=said):
        choose_device('cuda')


@pytest.mark.parametrize(('major', 'there'), [(7, False), (8, True)])
def test_bfloat16_that_a_gpu_only_emulates_is_of_no_use(gpu, monkeypatch, major, there):
    properties = SimpleNamespace(major=major)
    monkeypatch.setattr(torch.cuda, 'current_device', lambda: 0)
    monkeypatch.setattr(torch.cuda, 'get_device_properties', lambda device: properties)
    monkeypatch.setattr(torch.cuda, '_check_bf16_tensor_supported', lambda device: True)
    assert supports_bfloat16('cuda') is there


@pytest.mark.parametrize(
    'error',
    [
        torch.OutOfMemoryError('CUDA out of memory.'),
        RuntimeError('CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`'),
        RuntimeError('MPS backend out of memory (MPS allocated: 5 GB, max allowed: 6 GB).'),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to"),
        RuntimeError('DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes.'),
        MemoryError(),
    ],
)
def test_a_full_memory_is_known_by_what_is_said(classifier, monkeypatch, error):
    def network(x):
        raise error

    assert is_out_of_memory(error)
    monkeypatch.setattr(classifier, 'network', network)
    with pytest.raises(OutOfMemory, match='memory of this computer is full'):
        classifier.predict([image(), image(1)])


def test_a_model_that_does_not_fit_while_it_is_loaded_is_said(model_file, monkeypatch):
    def full(self):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to")

    monkeypatch.setattr('napari_cxr.checkpoint.Checkpoint.network', full)
    with pytest.raises(OutOfMemory, match='memory of this computer is full'):
        Classifier.load(model_file, 'cpu', 'torch')


def test_a_full_memory_of_this_machine_is_known():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
    assert not is_out_of_memory(RuntimeError('mat1 and mat2 shapes cannot be multiplied'))


def test_memory_that_is_full_while_maps_are_made_is_said(classifier, monkeypatch):
    def full(*_):
        raise RuntimeError('MPS backend out of memory')

    monkeypatch.setattr(classifier.network, 'features_up_to', full)
    for one in (classifier.explain, lambda r: classifier.feature_maps(r, 'layer4')):
        with pytest.raises(OutOfMemory):
            one(image())
