"""A model, and files to score."""

import imageio.v3 as iio
import numpy as np
import pytest

from napari_cxr import samples


@pytest.fixture(scope='session')
def classifier(model_file):
    from napari_cxr.inference.classifier import Classifier

    return Classifier.load(model_file, 'cpu')


@pytest.fixture(scope='session')
def pixels_of_seven():
    """Seven small images of 8 bits, each another, and none of them doubtful."""
    return [np.uint8(255 * samples.phantom((60, 52), seed=i)) for i in range(7)]


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
def plain_torch(monkeypatch):
    """Run the network in plain torch, unless a test names another backend."""
    from napari_cxr.inference.backends import selection
    from napari_cxr.inference.backends.backend import TORCH

    monkeypatch.setattr(selection, 'preferred_backends', lambda device, precision: [TORCH])


@pytest.fixture(autouse=True)
def classifier_as_it_was(request):
    """Let no test find the backend of another."""
    if 'classifier' not in request.fixturenames:
        yield
        return
    request.getfixturevalue('plain_torch')
    classifier = request.getfixturevalue('classifier')
    classifier.use()
    yield
    classifier.use()
