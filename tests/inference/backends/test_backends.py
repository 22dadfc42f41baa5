"""Backends agree with torch and repeat themselves, and one is selected in a fixed order."""

import hashlib
import os
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_cxr import networks
from napari_cxr.checkpoint import Card, Checkpoint
from napari_cxr.inference import Preprocessing
from napari_cxr.inference.backends import (
    backend_network,
    conversion,
    exported_network,
    selection,
)
from napari_cxr.inference.backends.backend import (
    BACKENDS,
    TORCH,
    BackendUnavailable,
    backend_names,
    find_backend,
    preferred_backends,
    why_unavailable,
)
from napari_cxr.inference.backends.conversion import to_onnx
from napari_cxr.inference.backends.exported_network import (
    check_images,
    create_runtime,
    find_graph,
)
from napari_cxr.inference.backends.selection import AGREEMENT, select_backend
from napari_cxr.inference.classifier import Classifier, OutOfMemory
from napari_cxr.inference.device import Device
from napari_cxr.radiograph import Radiograph

ALL = [pytest.param(backend, id=backend.title) for backend in BACKENDS]
FULL = [one for one in BACKENDS if one.precision == 'float32']
HAS_ONNX_RUNTIME = not why_unavailable(find_backend('ONNX Runtime'), 'cpu')
NO_OPENVINO = why_unavailable(find_backend('OpenVINO'), 'cpu')


def of(architecture, size=64, sha256='', data=None, **preprocessing):
    """A model with random weights, batch norm as if it had been trained."""
    torch.manual_seed(0)
    network = networks.create(architecture, 3, 1, (size, size))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the mean of all batches
    network.train()
    with torch.no_grad():
        network(torch.randn(8, 1, size, size))
    card = Card(
        name=architecture,
        title='Random weights, for tests',
        architecture=architecture,
        labels=('a', 'b', 'c'),
        channels=1,
        preprocessing=Preprocessing(size, size, **preprocessing).to_dict(),
        data=data or {},
    )
    return Classifier(Checkpoint(card, network.state_dict(), sha256), Device('cpu', ''))


def around(network, labels=('a', 'b', 'c')):
    """A model of 20 x 20 pixels around a network that no file holds."""
    card = Card(
        name='odd', title='x', architecture='this network', labels=labels, channels=1,
        preprocessing=Preprocessing(20, 20).to_dict(),
    )  # fmt: skip
    checkpoint = Checkpoint(card, network.state_dict())
    classifier = Classifier(checkpoint, Device('cpu', ''))
    classifier.network = network.eval()
    return classifier


def eight_images(size=64):
    """Eight images that differ."""
    two, rng = check_images(size, size), np.random.default_rng(1)
    return np.stack(
        [np.clip(two[i % 2] ** (1 + i / 4) + rng.normal(0, 0.03, (size, size)), 0, 1)
         for i in range(8)]
    ).astype(np.float32)  # fmt: skip


class Models(dict):
    """Of each architecture a model, made when it is asked for, and its logits in plain torch."""

    def __missing__(self, name):
        own = {'mean': (0.0,), 'std': (1.0,)} if name == 'lung_texture' else {}
        model = of(name, **own)
        images = eight_images()
        self[name] = model, images, model.logits(images)[0]
        return self[name]


@pytest.fixture(scope='module')
def models():
    return Models()


def use(classifier, backend, **options):
    """Run a model on a backend from now on, as scoring does."""
    if reason := why_unavailable(backend, 'cpu'):
        pytest.skip(reason)
    selected = select_backend(classifier, backend.name, backend.precision, **options)
    classifier.use(selected.backend, selected.network)
    assert classifier.backend == backend


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv('NAPARI_CXR_CACHE', str(tmp_path / 'cache'))
    return tmp_path / 'cache'


@pytest.fixture
def bfloat16(monkeypatch):
    """Let torch emulate bfloat16 where the processor does not compute it."""
    from napari_cxr.inference import device

    monkeypatch.setattr(device, 'supports_bfloat16', lambda kind: True)


@pytest.mark.parametrize('backend', ALL)
@pytest.mark.parametrize(
    'name', ['resnet10', pytest.param('densenet121', marks=pytest.mark.slow), 'lung_texture']
)
def test_backends_agree_and_repeat_themselves_to_the_last_digit(models, name, backend):
    classifier, images, plain = models[name]
    if name == 'lung_texture' and backend.precision == 'bfloat16':
        pytest.skip('its stages ask for float32')
    use(classifier, backend)
    logits, fitted = classifier.logits(images)
    assert fitted == 8 and logits.dtype == np.float32
    moved = np.abs(classifier.probabilities(logits) - classifier.probabilities(plain))
    assert moved.max() <= AGREEMENT[backend.precision]

    # A place in a batch gives the same bytes, whatever ran before and whatever is beside it.
    others = images[::-1].copy()
    others[3] = images[3]
    beside = classifier.logits(others)[0]
    assert beside[3].tobytes() == logits[3].tobytes()
    short = classifier.logits(images[:3])[0]
    assert classifier.logits(images)[0].tobytes() == logits.tobytes()
    near = 1e-5 if backend.precision == 'float32' else 1e-2
    np.testing.assert_allclose(
        classifier.probabilities(short), classifier.probabilities(logits[:3]), atol=near
    )

    # Heatmaps come from the same run of the stages.
    of_maps, maps, _ = classifier.maps(images)
    np.testing.assert_allclose(of_maps, logits, atol=1e-5)
    assert maps.dtype == np.float32 and maps.shape[:2] == (8, 3) and np.isfinite(maps).all()
    classifier.use()
    expected = classifier.maps(images)[1]
    assert (
        np.abs(maps - expected).max()
        <= (1e-4 if backend.precision == 'float32' else 0.1) * expected.max()
    )


@pytest.mark.parametrize('backend', ALL)
def test_what_is_prepared_again_gives_the_same_bytes(models, backend):
    given = []
    for first in (8, 3):
        classifier, images = of('resnet10'), models['resnet10'][1]
        use(classifier, backend)
        classifier.logits(images[:first])
        given.append(classifier.logits(images)[0].tobytes())
    assert given[0] == given[1]


@pytest.mark.parametrize('name', ['torch channels_last', 'ONNX Runtime', 'OpenVINO'])
def test_single_radiographs_run_on_the_backend_too(models, name):
    """So that a click, a command and a table say the same."""
    classifier, _, _ = models['resnet10']
    radiograph = Radiograph.from_array(
        np.random.default_rng(0).integers(0, 4096, (90, 80)).astype(np.uint16)
    )
    classifier.use()
    prediction = classifier.predict([radiograph])[0]
    _, (heatmap, *_) = classifier.explain(radiograph)
    use(classifier, find_backend(name))
    given, (shown, *_) = classifier.explain(radiograph, ['b', 'a'])
    assert classifier.predict([radiograph])[0] == given
    rows, _ = classifier.logits(classifier.prepare(radiograph).image[None])
    assert given.logits == tuple(map(float, rows[0]))
    np.testing.assert_allclose(given.probabilities, prediction.probabilities, atol=1e-5)
    assert shown.label == 'b' and heatmap.label == 'a'
    np.testing.assert_allclose(
        classifier.explain(radiograph)[1][0].values, heatmap.values, atol=1e-4
    )
    np.testing.assert_array_equal(shown.to_radiograph, heatmap.to_radiograph)


def test_stages_that_the_head_reads_come_in_its_order():
    class Sum(torch.nn.Module):
        def forward(self, a, second, first):
            return torch.stack(
                [a.mean((1, 2, 3)), second.mean((1, 2, 3)), first.mean((1, 2, 3))], 1
            )

    stages = {name: torch.nn.Conv2d(1, 1, 3) for name in ('one', 'two', 'three')}
    network = networks.StagedNetwork(
        stages, Sum(), classes=3, channels=1, reads=('two', 'one')
    ).eval()
    classifier = around(network)
    x = np.random.default_rng(0).normal(size=(2, 1, 20, 20)).astype(np.float32)
    with torch.inference_mode():
        expected = network(torch.from_numpy(x)).numpy()
    for backend in BACKENDS:
        if not why_unavailable(backend, 'cpu'):
            given = classifier.network_on(backend).logits(x)
            atol = 1e-5 if backend.precision == 'float32' else 0.05
            np.testing.assert_allclose(given, expected, atol=atol)


@pytest.mark.parametrize(
    ('name', 'precision', 'found'),
    [
        ('OpenVINO', '', 'OpenVINO'),
        ('onnx-runtime', 'float32', 'ONNX Runtime'),
        ('ONNXRuntime', '', 'ONNX Runtime'),
        ('Torch', '', 'torch'),
        ('torch channels_last', 'bfloat16', 'torch channels_last in bfloat16'),
        ('openvino', 'bfloat16', 'OpenVINO in bfloat16'),
        # As journals of version 0.1 name them.
        ('eager', '', 'torch'),
        ('channels last', '', 'torch channels_last'),
        ('bfloat16', '', 'torch channels_last in bfloat16'),
        ('OpenVINO bfloat16', '', 'OpenVINO in bfloat16'),
    ],
)
def test_a_backend_is_found_by_its_name(name, precision, found):
    assert find_backend(name, precision).title == found


def test_journals_name_backends_as_in_version_0_1():
    names = [backend.journal_name for backend in BACKENDS]
    assert sorted(names) == [
        'ONNX Runtime', 'OpenVINO', 'OpenVINO bfloat16', 'bfloat16', 'channels last', 'eager',
    ]  # fmt: skip
    assert [find_backend(name) for name in names] == list(BACKENDS)


def test_an_unknown_or_missing_backend_is_named_with_those_that_there_are(models, monkeypatch):
    from napari_cxr.inference import device
    from napari_cxr.inference.backends import backend as module

    classifier = models['resnet10'][0]
    classifier.use()
    with pytest.raises(
        BackendUnavailable,
        match=r"no backend 'fast': choose ONNX Runtime, OpenVINO, torch channels_last or torch",
    ):
        select_backend(classifier, 'fast')
    with pytest.raises(BackendUnavailable, match=r'ONNX Runtime does not compute in bfloat16.*Op'):
        select_backend(classifier, 'ONNX Runtime', 'bfloat16')
    monkeypatch.setattr(classifier, '_last', (None, None))
    monkeypatch.setattr(module, 'find_spec', lambda package: None)
    with pytest.raises(
        BackendUnavailable,
        match=r'needs onnx and openvino.*napari-cxr\[openvino\].*is torch channels_last, torch',
    ):
        select_backend(classifier, 'OpenVINO')
    with pytest.raises(BackendUnavailable, match=r'onnx and onnxruntime.*napari-cxr\[onnx\]'):
        select_backend(classifier, 'ONNX Runtime')
    monkeypatch.setattr(device, 'supports_bfloat16', lambda kind: False)
    with pytest.raises(BackendUnavailable, match='processor does not compute bfloat16'):
        select_backend(classifier, precision='bfloat16')
    reduced = find_backend('torch channels_last', 'bfloat16')
    assert 'GPU does not compute bfloat16' in why_unavailable(reduced, 'cuda:0')
    assert 'choose the CPU' in why_unavailable(find_backend('ONNX Runtime'), 'cuda:0')
    assert classifier.backend == TORCH


def test_the_order_of_preference():
    def order(device, precision='float32'):
        return [backend.name for backend in preferred_backends(device, precision)]

    assert order('cpu') == backend_names()
    assert order('cpu') == ['ONNX Runtime', 'OpenVINO', 'torch channels_last', 'torch']
    assert order('cuda:0') == order('mps') == ['torch']
    assert order('cpu', 'bfloat16') == ['OpenVINO', 'torch channels_last']
    assert order('cuda:1', 'bfloat16') == ['torch channels_last']


@pytest.mark.parametrize('missing', range(4))
def test_the_first_that_is_installed_is_selected(models, monkeypatch, missing):
    classifier = models['resnet10'][0]
    there = [backend for backend in FULL[missing:] if not why_unavailable(backend, 'cpu')]
    monkeypatch.setattr(
        selection,
        'why_unavailable',
        lambda backend, device: '' if backend in there else 'It is not installed.',
    )
    monkeypatch.setattr(classifier, '_last', (None, None))
    assert select_backend(classifier).backend == there[0]


@pytest.fixture
def torch_only(monkeypatch):
    """Let torch be all that is installed."""
    monkeypatch.setattr(
        selection,
        'why_unavailable',
        lambda backend, device: (
            'It is not installed.' if backend.library else why_unavailable(backend, device)
        ),
    )


def moved_by(classifier, change):
    """Return a copy of a model's network whose first logit is another."""
    other = of(classifier.card.architecture).network
    with torch.no_grad():
        other.head.linear.bias += torch.tensor([change, 0.0, 0.0])
    return other


@pytest.mark.parametrize(
    ('change', 'selected'), [(1e-4, 'torch channels_last'), (0.1, 'torch'), (np.nan, 'torch')]
)
def test_a_backend_that_disagrees_is_not_selected(torch_only, monkeypatch, change, selected):
    classifier = of('resnet10')
    wrong = moved_by(classifier, change)
    monkeypatch.setattr(backend_network, 'channels_last', lambda network, reduced: wrong)
    assert select_backend(classifier).backend.name == selected
    if selected == 'torch':
        with pytest.raises(BackendUnavailable, match=r'other probabilities than torch .*0\.001'):
            select_backend(classifier, 'torch channels_last')


@pytest.mark.parametrize(
    ('error', 'raised'),
    [
        (RuntimeError('It fails.\nAnd how.'), BackendUnavailable),
        (torch.OutOfMemoryError('out of memory'), OutOfMemory),
    ],
)
def test_a_backend_that_fails_is_not_selected(torch_only, monkeypatch, error, raised):
    classifier = of('resnet10')

    def failing(network, reduced):
        def run(x):
            raise error

        return backend_network.BackendNetwork(network, run)

    monkeypatch.setattr(backend_network, 'channels_last', failing)
    assert select_backend(classifier).backend == TORCH
    with pytest.raises(raised):
        select_backend(classifier, 'torch channels_last')


def test_reduced_precision_only_where_asked_for_or_checked(torch_only, bfloat16):
    plain, checked = of('resnet10'), of('resnet10', data={'checked_precisions': ['bfloat16']})
    for classifier, precision, selected in (
        (plain, 'auto', 'torch channels_last'),
        (plain, 'float32', 'torch channels_last'),
        (plain, 'bfloat16', 'torch channels_last in bfloat16'),
        (checked, 'auto', 'torch channels_last in bfloat16'),
        (checked, 'float32', 'torch channels_last'),
    ):
        assert select_backend(classifier, precision=precision).backend.title == selected


def test_without_bfloat16_a_checked_model_runs_in_float32(torch_only, monkeypatch):
    from napari_cxr.inference import device

    monkeypatch.setattr(device, 'supports_bfloat16', lambda kind: False)
    checked = of('resnet10', data={'checked_precisions': ['bfloat16']})
    assert select_backend(checked).backend.title == 'torch channels_last'


def test_stages_that_ask_for_float32_do_not_run_in_bfloat16(models, bfloat16):
    """OpenVINO 2026.4 never finishes compiling `lung_texture` for bfloat16."""
    classifier = models['lung_texture'][0]
    for name in ('', 'OpenVINO', 'torch channels_last'):
        with pytest.raises(BackendUnavailable, match=r'compute in float32.*choose float32'):
            select_backend(classifier, name, 'bfloat16')


@pytest.mark.skipif(not HAS_ONNX_RUNTIME, reason='without ONNX Runtime')
def test_a_network_that_cannot_be_converted_says_so():
    class Odd(torch.nn.Module):
        def forward(self, x):
            return torch.linalg.svdvals(x).unsqueeze(-1)

    network = networks.StagedNetwork(
        {'odd': Odd()}, networks.heads.AverageLinear(1, 2), classes=2, channels=1
    )
    with pytest.raises(BackendUnavailable, match=r'ONNX Runtime cannot run this network \('):
        around(network, ('a', 'b')).network_on(find_backend('ONNX Runtime'))


@pytest.mark.parametrize('name', ['torch channels_last', 'ONNX Runtime', 'OpenVINO'])
def test_batches_are_halved_until_they_fit(models, monkeypatch, name):
    classifier, images, _ = models['resnet10']
    use(classifier, find_backend(name))
    expected = classifier.logits(images, at_most=2)[0]
    run = classifier.running.logits

    def short_of_memory(x):
        if len(x) > 2:
            raise torch.OutOfMemoryError('out of memory')
        return run(x)

    monkeypatch.setattr(classifier.running, 'logits', short_of_memory)
    logits, fitted = classifier.logits(images)
    assert fitted == 2 and logits.tobytes() == expected.tobytes()
    monkeypatch.setattr(
        classifier.running, 'logits', lambda x: short_of_memory(np.repeat(x, 3, axis=0))
    )
    with pytest.raises(OutOfMemory, match='memory of this computer is full'):
        classifier.logits(images)


@pytest.mark.parametrize(
    'error',
    [
        RuntimeError('Failed to allocate memory for requested buffer of size 1'),
        RuntimeError('std::bad_alloc'),
        MemoryError(),
    ],
)
def test_a_library_that_is_out_of_memory_is_understood(monkeypatch, error):
    def runtime(x):
        raise error

    monkeypatch.setattr(exported_network, '_onnx_runtime', lambda *_: runtime)
    with pytest.raises(MemoryError):
        create_runtime('onnxruntime', 'float32', b'', 1)(np.zeros((1, 1, 2, 2)))


def test_another_error_of_a_library_is_handed_on(monkeypatch):
    def runtime(x):
        raise KeyError('shape')

    monkeypatch.setattr(exported_network, '_onnx_runtime', lambda *_: runtime)
    with pytest.raises(RuntimeError, match='shape'):
        create_runtime('onnxruntime', 'float32', b'', 1)(np.zeros((1, 1, 2, 2)))


@pytest.mark.skipif(bool(NO_OPENVINO), reason=NO_OPENVINO)
def test_openvino_reports_nothing_to_its_makers():
    code = (
        'import sys\n'
        'from napari_cxr.inference.backends.exported_network import import_library\n'
        'import_library("openvino")\n'
        "assert sys.modules['openvino_telemetry'] is None\n"
        'from openvino.tools.ovc import telemetry_utils\n'
        "assert telemetry_utils.tm.__name__ == 'openvino.tools.ovc.telemetry_stub'\n"
    )
    subprocess.run([sys.executable, '-c', code], check=True)


@pytest.mark.skipif(platform.system() != 'Linux', reason='the folder is that of Linux')
def test_onnx_runtime_keeps_no_number_of_this_device_for_its_makers(tmp_path):
    code = (
        'from onnx import TensorProto, helper\n'
        'from napari_cxr.inference.backends.exported_network import create_runtime\n'
        'import numpy as np\n'
        'ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1]) for n in "xy"]\n'
        'graph = helper.make_graph('
        '[helper.make_node("Neg", ["x"], ["y"])], "g", ends[:1], ends[1:])\n'
        'model = helper.make_model('
        'graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)\n'
        'run = create_runtime("onnxruntime", "float32", model.SerializeToString(), 1)\n'
        'assert run(np.ones(1, np.float32))[0] == [-1]\n'
    )
    env = {**os.environ, 'HOME': str(tmp_path), 'ORT_DISABLE_TELEMETRY': '0'}
    env.pop('XDG_CACHE_HOME', None)
    subprocess.run([sys.executable, '-c', code], check=True, env=env)
    assert not list(tmp_path.rglob('*'))


@pytest.mark.parametrize(
    'backend', [pytest.param(one, id=one.title) for one in BACKENDS if one.library]
)
def test_with_several_workers_a_batch_gives_the_same_bytes(models, backend):
    classifier, images, _ = models['resnet10']
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        use(classifier, backend)
        expected = [classifier.logits(images[:n])[0].tobytes() for n in (6, 3, 6)]
        use(classifier, backend, workers=3)
        with ThreadPoolExecutor(3) as workers:
            for _ in range(4):
                given = workers.map(lambda n: classifier.logits(images[:n])[0], (6, 3, 6))
                assert [logits.tobytes() for logits in given] == expected
    finally:
        torch.set_num_threads(before)


@pytest.mark.skipif(bool(NO_OPENVINO), reason=NO_OPENVINO)
def test_control_c_is_heard_after_openvino(models):
    """Its stack for signal handlers must outlive what it compiled, wherever that ends."""
    classifier, _, _ = models['resnet10']
    code = (
        'import signal, sys, threading\n'
        'import numpy as np\n'
        'from napari_cxr.inference.backends.exported_network import create_runtime\n'
        'onnx = sys.stdin.buffer.read()\n'
        'def make():\n'
        "    return create_runtime('openvino', 'float32', onnx, 1)\n"
        'x = np.zeros((1, 1, 64, 64), np.float32)\n'
        'runtimes = [make(), make()]\n'
        'for run in runtimes:\n'
        '    run(x)\n'
        'del run\n'
        'runtimes.pop(0)\n'
        'thread = threading.Thread(target=runtimes.clear)\n'
        'thread.start()\n'
        'thread.join()\n'
        'signal.signal(signal.SIGINT, signal.default_int_handler)\n'  # ignored in a background
        'try:\n'
        '    signal.raise_signal(signal.SIGINT)\n'
        'except KeyboardInterrupt:\n'
        "    print('heard')\n"
    )
    onnx = to_onnx(classifier.network, (64, 64))
    done = subprocess.run([sys.executable, '-c', code], input=onnx, capture_output=True)
    assert (done.returncode, done.stdout.split()) == (0, [b'heard']), done.stderr


@pytest.mark.parametrize('precision', ['float32', 'bfloat16'])
def test_the_last_batch_is_filled_up_and_needs_nothing_of_its_own(models, monkeypatch, precision):
    if reason := why_unavailable(find_backend('OpenVINO', precision), 'cpu'):
        pytest.skip(reason)
    openvino = exported_network.import_library('openvino')
    classifier, images, _ = models['resnet10']
    x = classifier.preprocessing.normalise(images)
    onnx, prepared, real = to_onnx(classifier.network, (64, 64)), [], openvino.Core.compile_model

    def counting(core, model, *more):
        prepared.append(model.input(0).shape[0])
        return real(core, model, *more)

    monkeypatch.setattr(openvino.Core, 'compile_model', counting)
    run = create_runtime('openvino', precision, onnx, 1, 2, batch=6)
    assert prepared == [6]
    whole, part = run(x[:6])[0], run(x[:2])[0]
    assert len(part) == 2 and part.tobytes() == whole[:2].tobytes() and prepared == [6]
    with pytest.raises(Exception, match='shape'):
        run(x[:6, :, :32])
    assert len(run(x[:2])[0]) == 2
    assert prepared == [6, 2], 'what does not fit as a whole is not filled up'


def test_on_a_gpu_single_precision_is_computed_in_full(monkeypatch):
    card = Card(
        name='x', title='x', architecture='resnet10', labels=('a', 'b'), channels=1,
        preprocessing=Preprocessing(64, 64).to_dict(),
    )  # fmt: skip
    weights = networks.create('resnet10', 2, 1, (64, 64)).state_dict()
    monkeypatch.setattr(torch.nn.Module, 'to', lambda self, device: self)
    backends = torch.backends.cudnn, torch.backends.cuda.matmul
    before = [backend.allow_tf32 for backend in backends]
    try:
        for device, rounded in (('cpu', True), ('cuda:0', False)):
            for backend in backends:
                backend.allow_tf32 = True
            assert Classifier(Checkpoint(card, weights, ''), Device(device, '')).network
            assert [backend.allow_tf32 for backend in backends] == [rounded, rounded]
    finally:
        for backend, allowed in zip(backends, before, strict=True):
            backend.allow_tf32 = allowed


def test_the_images_of_the_check_are_always_the_same():
    """Another picture would let two versions select differently for no reason."""
    images = check_images(64, 48)
    assert images.shape == (2, 64, 48) and images.dtype == np.float32
    assert images.min() >= 0 and images.max() <= 1 and images.std() > 0.1
    assert images.tobytes() == check_images(64, 48).tobytes()
    assert np.abs(images[0] - images[1]).mean() > 0.05


@pytest.fixture
def conversions(monkeypatch):
    """The sizes that networks are converted for."""
    if not HAS_ONNX_RUNTIME:
        pytest.skip('without ONNX Runtime')
    converted = []

    def counting(network, size):
        converted.append(size)
        return to_onnx(network, size)

    monkeypatch.setattr(conversion, 'to_onnx', counting)
    return converted


def logits_of(sha256, name='ONNX Runtime', architecture='lung_texture', size=64):
    """What a new process would say: the logits of a model that was just loaded."""
    own = {'mean': (0.0,), 'std': (1.0,)} if architecture == 'lung_texture' else {}
    classifier = of(architecture, size, sha256, **own)
    use(classifier, find_backend(name))
    return classifier.logits(check_images(size, size))[0].tobytes()


def test_a_network_is_converted_once_for_all_processes(conversions, own_cache, monkeypatch):
    first = logits_of('a' * 64)
    (kept,) = (own_cache / 'onnx').iterdir()
    assert logits_of('a' * 64) == first and conversions == [(64, 64)]
    if not NO_OPENVINO:
        logits_of('a' * 64, 'OpenVINO')
    assert conversions == [(64, 64)], 'both libraries take the same'
    logits_of('b' * 64)
    assert conversions == [(64, 64), (64, 64)], 'another file'
    logits_of('', size=48)
    assert conversions == [(64, 64), (64, 64), (48, 48)], 'nothing is kept without a file'
    logits_of('')
    assert len(conversions) == 4 and len(list((own_cache / 'onnx').iterdir())) == 2
    assert kept.exists()


@pytest.mark.parametrize('damage', [b'', b'x' * 100, None])
def test_a_damaged_conversion_is_made_again(conversions, own_cache, damage):
    first = logits_of('a' * 64)
    (kept,) = (own_cache / 'onnx').iterdir()
    content = kept.read_bytes()
    kept.write_bytes(content[:-1] + b'?' if damage is None else damage)
    assert logits_of('a' * 64) == first and len(conversions) == 2
    assert kept.read_bytes() == content


def test_a_conversion_that_does_not_run_or_agree_is_made_again(conversions, own_cache):
    first = logits_of('a' * 64, architecture='resnet10')
    (kept,) = (own_cache / 'onnx').iterdir()
    graph = find_graph('a' * 64)
    moved = np.add(graph.logits, [0.1, 0, 0]).tolist()
    for wrong in (replace(graph, onnx=b'no ONNX'), replace(graph, logits=moved)):
        conversions.clear()
        content = wrong.to_bytes()
        kept.write_bytes(hashlib.sha256(content).digest() + content)
        assert logits_of('a' * 64, architecture='resnet10') == first and len(conversions) == 1


def test_a_folder_that_cannot_be_written_to_is_no_error(conversions, own_cache):
    own_cache.write_text('a file where the folder should be')
    assert logits_of('a' * 64) == logits_of('a' * 64)
    assert len(conversions) == 2


def test_a_conversion_that_always_disagrees_is_tried_twice_at_most(conversions, monkeypatch):
    def disagree(*_):
        raise BackendUnavailable('It disagrees.')

    logits_of('a' * 64)
    conversions.clear()

    classifier = of('lung_texture', sha256='a' * 64, mean=(0.0,), std=(1.0,))
    monkeypatch.setattr(selection, '_check', disagree)
    for _ in range(2):
        with pytest.raises(BackendUnavailable, match='It disagrees'):
            select_backend(classifier, 'ONNX Runtime')
    assert len(conversions) == 2
    assert select_backend(classifier).backend == TORCH
