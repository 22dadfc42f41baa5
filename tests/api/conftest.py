"""Files that the examples of the API name."""

import numpy as np
import pytest

from napari_cxr import api
from napari_cxr.api import worker


@pytest.fixture(scope='session')
def workplace(tmp_path_factory):
    """A folder with film.dcm, folder/ with two radiographs, and images/ with a folder a class."""
    from PIL import Image

    from napari_cxr.samples import write_phantom_dicom

    root = tmp_path_factory.mktemp('workplace')
    (root / 'folder').mkdir()
    (root / 'runs').mkdir()
    write_phantom_dicom(root / 'film.dcm', shape=(320, 320))
    for seed in (1, 2):
        write_phantom_dicom(root / 'folder' / f'{seed}.dcm', shape=(320, 320), seed=seed)
    random = np.random.default_rng(0)
    for label, side in (('normal', slice(None, 20)), ('pneumonia', slice(20, None))):
        (root / 'images' / label).mkdir(parents=True)
        for number in range(8):
            # Noise, because phantoms of this size would be near-duplicates of each other.
            pixels = random.integers(60, 120, (40, 40), dtype=np.uint8)
            pixels[:, side] += 90
            Image.fromarray(pixels).save(root / 'images' / label / f'{number}.png')
    return root


@pytest.fixture
def in_workplace(workplace, monkeypatch):
    """Work in that folder."""
    monkeypatch.chdir(workplace)
    return workplace


@pytest.fixture(scope='session', autouse=True)
def ended_workers():
    """End the worker processes after the tests."""
    yield
    for process in (worker._worker, worker._background_worker):
        for role in ('inference', 'torch'):
            process(role).close()


@pytest.fixture
def tiny(model_file):
    """The small model with random weights."""
    return api.load_model(model_file, device='cpu')
