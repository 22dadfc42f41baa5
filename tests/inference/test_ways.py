"""Ways to run a network agree, repeat themselves, and the fastest is found and remembered."""

import json
import math
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_cxr import networks
from napari_cxr.checkpoint import Card, Checkpoint
from napari_cxr.inference import Preprocessing, comparing, remembered, ways
from napari_cxr.inference import classifier as model_module
from napari_cxr.inference.backends import backend, runtimes
from napari_cxr.inference.backends.backend import BACKENDS, BackendUnavailable, why_unavailable
from napari_cxr.inference.backends.conversion import as_torch, to_onnx
from napari_cxr.inference.classifier import Classifier, OutOfMemory
from napari_cxr.inference.device import Device
from napari_cxr.inference.engine_trial import NotInTime, Trial
from napari_cxr.inference.trial_images import trial_images
from napari_cxr.radiograph import Radiograph

ONE = comparing.Measured(0.0, 0.0, 0.0)
LIMITS = {'float32': 1e-3, 'bfloat16': 2e-2}
#: OpenVINO never gets ready for it in bfloat16, see `engine_trial`.
HANGS = ('lung_texture', 'OpenVINO bfloat16')


def of(architecture, size=64, sha256='', **preprocessing):
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
    )
    return Classifier(Checkpoint(card, network.state_dict(), sha256), Device('cpu', ''))


class Models(dict):
    """Of each architecture a model, made when it is asked for, and how it answers as ever."""

    def __missing__(self, name):
        own = {'mean': (0.0,), 'std': (1.0,)} if name == 'lung_texture' else {}
        model = of(name, **own)
        images = trial_images(model, 8)
        self[name] = model, images, model.logits(images)[0]
        return self[name]


@pytest.fixture(scope='module')
def models():
    return Models()


def use(classifier, way):
    if reason := why_unavailable(way, 'cpu'):
        pytest.skip(reason)
    if (classifier.card.architecture, way) == HANGS:
        pytest.skip('OpenVINO hangs with it, so `fastest` never chooses that')
    classifier.use(way)
    assert (classifier.way.name, classifier.way.precision) == (way, BACKENDS[way].precision)


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv('NAPARI_CXR_CACHE', str(tmp_path / 'cache'))


@pytest.mark.parametrize('way', BACKENDS)
@pytest.mark.parametrize(
    'name', ['resnet10', pytest.param('densenet121', marks=pytest.mark.slow), 'lung_texture']
)
def test_ways_agree_and_repeat_themselves_to_the_last_digit(models, name, way):
    classifier, images, plain = models[name]
    use(classifier, way)
    logits, fitted = classifier.logits(images)
    assert fitted == 8 and logits.dtype == np.float32
    moved = np.abs(classifier.probabilities(logits) - classifier.probabilities(plain))
    assert moved.max() <= LIMITS[classifier.way.precision]

    # A place in a batch gives the same bytes, whatever was run before and whatever is beside.
    others = images[::-1].copy()
    others[3] = images[3]
    beside = classifier.logits(others)[0]
    assert beside[3].tobytes() == logits[3].tobytes()
    short = classifier.logits(images[:3])[0]
    assert classifier.logits(images)[0].tobytes() == logits.tobytes()
    near = 1e-5 if classifier.way.precision == 'float32' else 1e-2
    np.testing.assert_allclose(
        classifier.probabilities(short), classifier.probabilities(logits[:3]), atol=near
    )

    # Heatmaps come from the same run of the stages.
    of_maps, maps, _ = classifier.maps(images)
    np.testing.assert_allclose(of_maps, logits, atol=1e-5)
    assert maps.dtype == np.float32 and maps.shape[:2] == (8, 3) and np.isfinite(maps).all()
    classifier.use('eager')
    expected = classifier.maps(images)[1]
    assert (
        np.abs(maps - expected).max()
        <= (1e-4 if BACKENDS[way].precision == 'float32' else 0.1) * expected.max()
    )


@pytest.mark.parametrize('way', BACKENDS)
def test_what_is_prepared_anew_gives_the_same_bytes(models, way):
    classifier, images, _ = models['resnet10']
    given = []
    for first in (8, 3):
        use(classifier, way)
        classifier.logits(images[:first])
        given.append(classifier.logits(images)[0].tobytes())
        classifier.use('eager')
        classifier._made = None, classifier.network  # what was got ready is kept
    assert given[0] == given[1]


@pytest.mark.parametrize('way', ['channels last', 'bfloat16', 'OpenVINO'])
def test_single_radiographs_are_answered_as_ever(models, way):
    classifier, _, _ = models['resnet10']
    radiograph = Radiograph.from_array(
        np.random.default_rng(0).integers(0, 4096, (90, 80)).astype(np.uint16)
    )
    classifier.use('eager')
    prediction = classifier.predict([radiograph])[0]
    _, (heatmap, *_) = classifier.explain(radiograph)
    use(classifier, way)
    assert classifier.predict([radiograph])[0] == prediction
    np.testing.assert_array_equal(classifier.explain(radiograph)[1][0].values, heatmap.values)


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
    x = torch.randn(2, 1, 20, 20)
    for way in BACKENDS:
        if not why_unavailable(way, 'cpu'):
            with torch.inference_mode():
                given = backend.network_on_backend(way, network, 'cpu', (20, 20))(x)
                atol = 1e-5 if BACKENDS[way].precision == 'float32' else 0.05
                np.testing.assert_allclose(given, network(x), atol=atol)


def test_a_way_that_is_not_there_says_what_to_do(models, monkeypatch):
    classifier = models['resnet10'][0]
    classifier.use('eager')
    with pytest.raises(
        BackendUnavailable, match=r"no way 'fast' .* there is eager, channels last"
    ):
        classifier.use('fast')
    monkeypatch.setattr(classifier, '_made', (None, classifier.network))
    monkeypatch.setattr(backend, 'find_spec', lambda module: None)
    with pytest.raises(
        BackendUnavailable, match=r'needs onnx and openvino.*napari-cxr\[openvino\]'
    ):
        classifier.use('OpenVINO')
    with pytest.raises(BackendUnavailable, match=r'onnx and onnxruntime.*napari-cxr\[onnx\]'):
        classifier.use('ONNX Runtime')
    monkeypatch.setattr(backend, 'supports_bfloat16', lambda kind: False)
    with pytest.raises(BackendUnavailable, match='processor does not compute bfloat16'):
        classifier.use('bfloat16')
    assert 'GPU does not compute bfloat16' in why_unavailable('bfloat16', 'cuda:0')
    assert 'choose the CPU' in why_unavailable('ONNX Runtime', 'cuda:0')
    assert classifier.way.name == 'eager'


def test_a_network_that_cannot_be_converted_says_so():
    if reason := why_unavailable('ONNX Runtime', 'cpu'):
        pytest.skip(reason)

    class Odd(torch.nn.Module):
        def forward(self, x):
            return torch.linalg.svdvals(x).unsqueeze(-1)

    network = networks.StagedNetwork(
        {'odd': Odd()}, networks.heads.AverageLinear(1, 2), classes=2, channels=1
    )
    with pytest.raises(BackendUnavailable, match=r'ONNX Runtime cannot run this network .*: inst'):
        backend.network_on_backend('ONNX Runtime', network.eval(), 'cpu', (20, 20))


@pytest.mark.parametrize('way', ['channels last', 'ONNX Runtime', 'OpenVINO'])
def test_batches_are_halved_until_they_fit(models, monkeypatch, way):
    classifier, images, _ = models['resnet10']
    use(classifier, way)
    expected = classifier.logits(images, at_most=2)[0]
    run = classifier._running._run_stages

    def short_of_memory(x):
        if len(x) > 2:
            raise torch.OutOfMemoryError('out of memory')
        return run(x)

    monkeypatch.setattr(classifier._running, '_run_stages', short_of_memory)
    logits, fitted = classifier.logits(images)
    assert fitted == 2 and logits.tobytes() == expected.tobytes()
    monkeypatch.setattr(
        classifier._running, '_run_stages', lambda x: short_of_memory(x.repeat(3, 1, 1, 1))
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
def test_a_library_that_is_out_of_memory_is_understood(error):
    def engine(x):
        raise error

    with pytest.raises(torch.OutOfMemoryError):
        as_torch(engine)(torch.zeros(1, 1, 2, 2))


def test_another_error_of_a_library_stays_what_it_is():
    def engine(x):
        raise KeyError('shape')

    with pytest.raises(KeyError):
        as_torch(engine)(torch.zeros(1, 1, 2, 2))


@pytest.mark.skipif(
    bool(why_unavailable('OpenVINO', 'cpu')), reason=why_unavailable('OpenVINO', 'cpu')
)
def test_openvino_reports_nothing_to_its_makers():
    code = (
        'import sys\n'
        'from napari_cxr.inference.backends.runtimes import _import_openvino\n'
        '_import_openvino()\n'
        "assert sys.modules['openvino_telemetry'] is None\n"
        'from openvino.tools.ovc import telemetry_utils\n'
        "assert telemetry_utils.tm.__name__ == 'openvino.tools.ovc.telemetry_stub'\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, '-c', code], check=True)


def drained(generator):
    try:
        while True:
            next(generator)
    except StopIteration as end:
        return end.value


@pytest.fixture
def trial(models):
    """Begin to try a library on a batch of two; none is left behind."""
    begun = []

    def trial(name, onnx=None, limit=50.0):
        classifier, images, _ = models['resnet10']
        if onnx is None:
            if reason := why_unavailable(name, 'cpu'):
                pytest.skip(reason)
            onnx = to_onnx(classifier.network, (64, 64))
        x = classifier.preprocessing.normalise(images[:2])
        begun.append(Trial(BACKENDS[name], onnx, 1, x, limit))
        return begun[-1]

    yield trial
    for one in begun:
        one.close()


@pytest.mark.parametrize('name', ['ONNX Runtime', 'OpenVINO'])
def test_converted_stages_are_tried_elsewhere_first(models, trial, name):
    one = trial(name)
    assert one.ended(100)
    tried = one.result()
    classifier, images, _ = models['resnet10']
    with torch.inference_mode():
        x = torch.from_numpy(classifier.preprocessing.normalise(images[:2]))
        np.testing.assert_allclose(tried.outputs[0], classifier.network.features(x)[0], atol=1e-4)
    assert 0 < tried.seconds < tried.ready + tried.seconds < 50
    folder = Path(one._folder.name)
    assert folder.exists()
    one.close()
    assert not folder.exists()


def test_what_does_not_run_elsewhere_says_so(trial):
    one = trial('ONNX Runtime', b'no ONNX')
    assert one.ended(100)
    with pytest.raises(RuntimeError, match='does not run this network'):
        one.result()


@pytest.fixture
def hanging(monkeypatch, tmp_path):
    """Let a library in another process do something instead of getting ready."""

    def hanging(*lines):
        (tmp_path / 'sitecustomize.py').write_text(
            'from napari_cxr.inference.backends import runtimes\n'
            'def hanging(*_, **__):\n'
            '    import os, signal, time\n' + ''.join(f'    {line}\n' for line in lines)
            + 'runtimes.create_runtime = hanging\n'
        )  # fmt: skip
        monkeypatch.setenv('PYTHONPATH', str(tmp_path))

    return hanging


@pytest.mark.skipif(sys.platform == 'win32', reason='signals')
def test_what_works_for_ever_hangs_however_busy_the_machine_is(hanging, trial):
    hanging('signal.alarm(0)', 'while True: pass')
    one = trial('ONNX Runtime', b'', 1.0)
    one._until = math.inf
    assert one.ended(100)
    with pytest.raises(RuntimeError, match='not ready after 1 seconds of work'):
        one.result()


def test_what_waits_says_nothing(hanging, trial):
    hanging('time.sleep(60)')
    one = trial('ONNX Runtime', b'', 0.05)
    with pytest.raises(NotInTime, match='not ready after 0 seconds'):
        while not one.ended(0.05):
            pass


@pytest.mark.skipif(sys.platform == 'win32', reason='signals')
def test_what_is_tried_ends_by_itself_and_not_by_ctrl_c(hanging, trial):
    """Whoever started it may be killed while a library hangs."""
    hanging('os.kill(os.getpid(), signal.SIGINT)', 'time.sleep(60)')
    one = trial('ONNX Runtime', b'', 1.0)
    assert one._process.wait(60) == -signal.SIGALRM
    with pytest.raises(RuntimeError, match='does not run'):
        one.result()


@pytest.fixture
def small():
    return of('lung_texture', sha256='a' * 64, mean=(0.0,), std=(1.0,))


def plain_torch(monkeypatch, times):
    """Compare torch's ways only, as if they took so many seconds a batch."""
    monkeypatch.setattr(
        ways, 'why_unavailable', lambda name, device: '' if name in times else 'no'
    )

    def taking_turns(running, asked, found):
        yield 'eager'
        return {name: [times[name]] for name in running}

    monkeypatch.setattr(comparing, '_taking_turns', taking_turns)


def test_the_fastest_is_measured_once_and_remembered(small, monkeypatch, tmp_path):
    plain_torch(monkeypatch, {'eager': 1.0, 'channels last': 0.5, 'bfloat16': 0.25})
    assert ways.fastest(small, 2, reduced=False) == 'channels last'
    kept = json.loads((tmp_path / 'cache' / 'ways.json').read_text())
    key = json.loads(next(iter(kept)))
    assert key['model'] == small.file_hash and key['batch'] == 2
    assert key['threads'] == torch.get_num_threads() and torch.__version__ in key['versions']

    def again(*_):
        raise AssertionError('measured again')

    monkeypatch.setattr(ways, 'comparing', again)
    assert ways.fastest(small, 2, reduced=False) == 'channels last'
    with pytest.raises(AssertionError, match='measured again'):
        ways.fastest(small, 3, reduced=False)
    small.device = Device('cpu', 'as chosen')
    assert ways.fastest(small, 2, reduced=False) == 'channels last', 'the same processor'
    ways.forget(small, 2, reduced=False)
    with pytest.raises(AssertionError, match='measured again'):
        ways.fastest(small, 2, reduced=False)
    monkeypatch.setattr(torch, '__version__', '99.0')
    with pytest.raises(AssertionError, match='measured again'):
        ways.fastest(small, 2, reduced=False)


@pytest.mark.parametrize(
    'content', ['', '{', '[1, 2]', '"x"', '\x00\xff', '{KEY: 3}', '{KEY: {"ways": 3}}',
                '{KEY: {"ways": {"channels last": {}}, "until": null}}',
                '{KEY: {"ways": {"channels last": ONE}}}',
                '{KEY: {"ways": {"channels last": ONE}, "until": "x"}}',
                '{KEY: {"ways": {"channels last": ONE}, "until": 1e300}}',
                '{KEY: {"ways": {"channels last": NAN}, "until": null}}',
                '{KEY: {"ways": {"channels last": TEXT}, "until": null}}'],
)  # fmt: skip
def test_what_is_remembered_may_be_damaged(small, monkeypatch, tmp_path, content):
    times = {'eager': 0.1, 'channels last': 0.5}
    plain_torch(monkeypatch, times)
    key = json.dumps(ways._key(small, 2, list(times)))
    (tmp_path / 'cache').mkdir()
    content = content.replace('KEY', key)
    for word, seconds in (('ONE', 0.0), ('NAN', math.nan), ('TEXT', '0')):
        content = content.replace(word, json.dumps(asdict(ONE) | {'seconds': seconds}))
    (tmp_path / 'cache' / 'ways.json').write_text(content, encoding='latin-1')
    assert ways.fastest(small, 2, reduced=False) == 'eager'


def test_what_cannot_be_remembered_is_no_error(small, monkeypatch, tmp_path):
    plain_torch(monkeypatch, {'eager': 1.0, 'channels last': 0.5})
    (tmp_path / 'cache').write_text('a file where the folder should be')
    assert ways.fastest(small, 2, reduced=False) == 'channels last'
    assert remembered.get('anything') is None


def test_only_so_much_is_remembered(tmp_path):
    for number in range(205):
        remembered.put(str(number), number)
    assert remembered.get('4') is None and remembered.get('5') == 5
    assert remembered.get('204') == 204


@pytest.mark.skipif(bool(why_unavailable('bfloat16', 'cpu')), reason='no bfloat16 here')
def test_less_precision_is_taken_only_where_there_is_less(small, models, monkeypatch):
    plain_torch(monkeypatch, {'eager': 1.0, 'channels last': 0.5, 'bfloat16': 0.25})
    assert ways.fastest(models['resnet10'][0], 2, reduced=True) == 'bfloat16'
    # The stages of this one ask for single precision.
    assert ways.fastest(small, 2, reduced=True) == 'channels last'


def test_a_way_that_disagrees_or_fails_is_not_taken(small, monkeypatch):
    plain_torch(monkeypatch, {'eager': 1.0, 'channels last': 0.1, 'bfloat16': 0.1})
    wrong = of('lung_texture', mean=(0.0,), std=(1.0,)).network
    with torch.no_grad():
        wrong.head.linear.bias += torch.tensor([1.0, 0.0, 0.0])

    def by(name, network, *more):
        if name == 'bfloat16':
            raise BackendUnavailable('It fails.\nAnd how.')
        return network if name == 'eager' else wrong

    monkeypatch.setattr(comparing, 'network_on_backend', by)
    found = drained(comparing.comparing(small, 2, ['eager', 'channels last', 'bfloat16']))
    assert found['eager'].difference == 0
    assert found['bfloat16'] == comparing.OutOfTheQuestion('It fails.')
    assert found['channels last'].reason.startswith('Its probabilities differ by up to 0.')
    assert not found['channels last'].passing
    assert ways.fastest(small, 2, reduced=True) == 'eager'


@pytest.mark.parametrize(
    'error',
    [
        torch.OutOfMemoryError('CUDA out of memory'),
        RuntimeError('DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes.'),
        MemoryError(),
    ],
)
@pytest.mark.parametrize(('images', 'at'), [(1000, 0), (ways._MANY, 0), (ways._MANY, 1)])
def test_out_of_memory_it_is_the_plain_way_and_not_remembered(
    small, monkeypatch, error, images, at
):
    plain_torch(monkeypatch, {'eager': 1.0, 'channels last': 0.5})
    real, runs = comparing.answer, []

    def answer(network, x):
        runs.append(len(x))
        if len(runs) > at:
            raise error
        return real(network, x)

    with monkeypatch.context() as patch:
        for module in (comparing, ways):
            patch.setattr(module, 'answer', answer)
        assert ways.fastest(small, 2, reduced=False, images=images) == 'eager'
        assert len(runs) == at + 1
    assert ways.fastest(small, 2, reduced=False) == 'channels last', 'there is memory again'


def test_what_was_not_ready_in_time_is_tried_again_after_a_day(small, monkeypatch):
    plain_torch(monkeypatch, {'eager': 1.0, 'channels last': 0.5})
    now, compared = time.time(), []

    def busy(classifier, batch, names):
        yield 'eager'
        compared.append(names)
        return {
            'eager': comparing.Measured(1.0, 0.0, 0.0),
            'channels last': comparing.OutOfTheQuestion('It was not ready.', passing=True),
        }

    with monkeypatch.context() as patch:
        patch.setattr(ways, 'comparing', busy)
        for hours, times in ((0, 1), (23, 1), (25, 2), (-30, 3)):
            patch.setattr(time, 'time', lambda hours=hours: now + hours * 3600)
            assert ways.fastest(small, 2, reduced=False) == 'eager'
            assert len(compared) == times
    monkeypatch.setattr(time, 'time', lambda: now)
    assert ways.fastest(small, 2, reduced=False) == 'channels last'
    monkeypatch.setattr(time, 'time', lambda: now + 1e9)
    monkeypatch.setattr(ways, 'comparing', busy)
    assert ways.fastest(small, 2, reduced=False) == 'channels last', 'that is known for good'


@pytest.mark.parametrize(
    ('error', 'passing'),
    [
        (NotInTime('It was not ready.'), True),
        (OSError(28, 'No space left on device'), True),
        (RuntimeError('It does not run this network.'), False),
    ],
)
def test_a_library_that_fails_may_run_another_time_or_not(small, monkeypatch, error, passing):
    if reason := why_unavailable('ONNX Runtime', 'cpu'):
        pytest.skip(reason)
    ended = []

    class Failing:
        def __init__(self, *_):
            if isinstance(error, OSError):
                raise error

        def ended(self, within):
            raise error

        def close(self):
            ended.append(True)

    monkeypatch.setattr(comparing, 'Trial', Failing)
    found = drained(comparing.comparing(small, 2, ['eager', 'ONNX Runtime']))
    assert found['ONNX Runtime'] == comparing.OutOfTheQuestion(str(error), passing)
    assert ended or isinstance(error, OSError)


def test_another_error_of_the_plain_way_stays_what_it_is(small, monkeypatch):
    plain_torch(monkeypatch, {'eager': 1.0, 'channels last': 0.5})

    def answer(network, x):
        raise RuntimeError('another')

    monkeypatch.setattr(comparing, 'answer', answer)
    with pytest.raises(RuntimeError, match='another'):
        ways.fastest(small, 2, reduced=False)


@pytest.mark.parametrize('way', ['ONNX Runtime', 'OpenVINO', 'OpenVINO bfloat16'])
def test_in_lanes_a_batch_gives_the_same_bytes(models, way):
    classifier, images, _ = models['resnet10']
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        use(classifier, way)
        expected = [classifier.logits(images[:n])[0].tobytes() for n in (6, 3, 6)]
        classifier.take(way, classifier.get_ready(way, lanes=3))
        with ThreadPoolExecutor(3) as lanes:
            for _ in range(4):
                given = lanes.map(lambda n: classifier.logits(images[:n])[0], (6, 3, 6))
                assert [logits.tobytes() for logits in given] == expected
    finally:
        torch.set_num_threads(before)


@pytest.mark.skipif(
    bool(why_unavailable('OpenVINO', 'cpu')), reason=why_unavailable('OpenVINO', 'cpu')
)
def test_control_c_is_heard_after_openvino(models):
    """Its stack for signal handlers must outlive the engines, wherever they end."""
    classifier, _, _ = models['resnet10']
    code = (
        'import signal, sys, threading\n'
        'import numpy as np\n'
        'from napari_cxr.inference.backends.runtimes import create_runtime\n'
        'onnx = sys.stdin.buffer.read()\n'
        'def make():\n'
        "    return create_runtime('openvino', 'float32', onnx, 1)\n"
        'x = np.zeros((1, 1, 64, 64), np.float32)\n'
        'engines = [make(), make()]\n'
        'for run in engines:\n'
        '    run(x)\n'
        'del run\n'
        'engines.pop(0)\n'
        'thread = threading.Thread(target=engines.clear)\n'
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


@pytest.mark.parametrize('way', ['OpenVINO', 'OpenVINO bfloat16'])
def test_the_last_batch_is_filled_up_and_needs_nothing_of_its_own(models, monkeypatch, way):
    if reason := why_unavailable(way, 'cpu'):
        pytest.skip(reason)
    openvino = runtimes._import_openvino()
    classifier, images, _ = models['resnet10']
    x = classifier.preprocessing.normalise(images)
    onnx, prepared, real = to_onnx(classifier.network, (64, 64)), [], openvino.Core.compile_model

    def counting(core, model, *more):
        prepared.append(model.input(0).shape[0])
        return real(core, model, *more)

    monkeypatch.setattr(openvino.Core, 'compile_model', counting)
    run = runtimes.create_runtime('openvino', BACKENDS[way].precision, onnx, 1, 2, batch=6)
    assert prepared == [6]
    whole, part = run(x[:6])[0], run(x[:2])[0]
    assert len(part) == 2 and part.tobytes() == whole[:2].tobytes() and prepared == [6]
    with pytest.raises(Exception, match='shape'):
        run(x[:6, :, :32])
    assert len(run(x[:2])[0]) == 2
    assert prepared == [6, 2], 'what does not fit as a whole is not filled up'


def test_a_network_is_converted_once(small, monkeypatch):
    if reason := why_unavailable('ONNX Runtime', 'cpu'):
        pytest.skip(reason)
    converted = []

    def counting(network, size):
        converted.append(size)
        return to_onnx(network, size)

    for module in (backend, model_module):
        monkeypatch.setattr(module, 'to_onnx', counting)
    drained(comparing.comparing(small, 2, ['eager', 'ONNX Runtime']))
    small.use('ONNX Runtime')
    small.use('eager')
    small.use('ONNX Runtime')
    assert converted == [(64, 64)], 'what was got ready last is kept'
    small.take('ONNX Runtime', small.get_ready('ONNX Runtime', lanes=2))
    assert len(converted) == 2, 'what was converted is not'


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
            Classifier(Checkpoint(card, weights, ''), Device(device, ''))
            assert [backend.allow_tf32 for backend in backends] == [rounded, rounded]
    finally:
        for backend, allowed in zip(backends, before, strict=True):
            backend.allow_tf32 = allowed


def test_few_images_are_not_kept_waiting(small, monkeypatch):
    plain_torch(monkeypatch, {'eager': 1.0, 'channels last': 0.5})
    monkeypatch.setattr(ways, '_glance', lambda classifier, batch: 0.5)
    assert ways.fastest(small, 2, reduced=False, images=39) == 'eager'
    assert remembered.get(ways._key(small, 2, ['eager', 'channels last'])) is None
    assert ways.fastest(small, 2, reduced=False, images=41) == 'channels last'


def test_what_takes_long_to_get_ready_must_make_up_for_it():
    known = {
        'eager': comparing.Measured(1.0, 1.0, 0.0),
        'channels last': comparing.Measured(0.97, 1.0, 0.0),
        'OpenVINO': comparing.Measured(0.5, 30.0, 0.0),
    }
    assert ways._best(known, 50) == 'eager'
    assert ways._best(known, 100) == 'OpenVINO'
    assert ways._best({'eager': known['eager'], 'channels last': known['channels last']}, 1e6) == (
        'eager'
    )


def test_all_full_ways_of_this_machine_are_measured(small):
    full = [name for name, way in BACKENDS.items() if way.precision == 'float32']
    names = [name for name in full if not why_unavailable(name, 'cpu')]
    found = drained(comparing.comparing(small, 2, names))
    assert list(found) == names
    for one in found.values():
        assert isinstance(one, comparing.Measured), one
        assert 0 <= one.seconds < 10 and 0 <= one.ready < 60 and one.difference < 1e-3


def test_closing_stops_it(small):
    going = ways.finding(small, 2, reduced=True)
    assert next(going) in BACKENDS
    going.close()


def test_the_trial_images_are_unlike_each_other(small):
    images = trial_images(small, 10)
    assert images.shape == (10, 64, 64) and images.dtype == np.float32
    assert len({image.tobytes() for image in images}) == 8
    fit = replace(small.preprocessing, height=80, width=50, lungs='only', margin=0.1)
    small.preprocessing = fit
    assert trial_images(small, 2).shape == (2, 80, 50)
