"""A model, and files to score."""

import imageio.v3 as iio
import numpy as np
import pytest


@pytest.fixture(scope='session')
def classifier(model_file):
    from napari_cxr.inference.classifier import Classifier

    return Classifier.load(model_file, 'cpu')


@pytest.fixture(scope='session')
def pixels_of_seven():
    """Seven small images of 8 bits, each another."""
    return [np.random.default_rng(i).integers(0, 256, (60, 52), np.uint8) for i in range(7)]


@pytest.fixture
def folder(tmp_path, pixels_of_seven):
    """Two class folders of a scoring job: seven images, and a file that is none."""
    root = tmp_path / 'images'
    for name in ('normal', 'pneumonia'):
        (root / name).mkdir(parents=True)
    for i, pixels in enumerate(pixels_of_seven):
        iio.imwrite(root / ('normal' if i % 2 else 'pneumonia') / f'{i}.png', pixels)
    (root / 'normal' / '2b.png').write_text('<html>moved</html>')
    return root


@pytest.fixture
def fastest(monkeypatch):
    """Let a name stand for what `ways.finding` finds, which measures nothing then."""
    from napari_cxr.inference import ways

    def found(way):
        yield from ()
        return way

    return lambda way: monkeypatch.setattr(ways, 'finding', lambda *_, **__: found(way))


@pytest.fixture
def own_ways(monkeypatch, tmp_path):
    """Let torch's ways be compared, and what comes of it be remembered by one test only."""
    from napari_cxr.inference import ways

    names = ('eager', 'channels last')
    monkeypatch.setattr(
        ways, 'why_unavailable', lambda name, _: '' if name in names else 'Not now.'
    )
    monkeypatch.setenv('NAPARI_CXR_CACHE', str(tmp_path / 'cache'))


@pytest.fixture(autouse=True)
def eager(request):
    """Run the network as it is, where a test does not say how."""
    if 'classifier' not in request.fixturenames:
        yield
        return
    if 'own_ways' not in request.fixturenames:
        request.getfixturevalue('fastest')('eager')
    yield
    request.getfixturevalue('classifier').use('eager')
