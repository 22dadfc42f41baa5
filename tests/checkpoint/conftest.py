"""A small real card and checkpoint."""

import pytest

from napari_cxr.checkpoint import Card


@pytest.fixture
def card():
    return Card(
        name='small',
        title='A network that knows nothing',
        architecture='resnet10',
        labels=('covid19', 'normal'),
        channels=1,
        preprocessing={'height': 64, 'width': 64, 'channels': 1},
        temperature=1.5,
        operating_points={'covid19': {'sensitivity 0.95': 0.25}},
        metrics={'model': {'all': {'images': 3, 'accuracy': [0.5, 0.1, None]}}},
        not_measured=('Anything.',),
    )


@pytest.fixture
def tensors():
    from napari_cxr import networks

    return networks.create('resnet10', classes=2, channels=1).state_dict()
