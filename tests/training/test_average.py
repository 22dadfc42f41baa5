"""The moving average of weights."""

import pytest
import torch

from napari_cxr import networks
from napari_cxr.training.average import follow


def filled(value):
    network = networks.create('resnet10', 2)
    with torch.no_grad():
        for tensor in network.state_dict().values():
            tensor.fill_(value)
    return network


@pytest.mark.parametrize(
    ('step', 'expected'),
    [
        (1, 1 + 9 / 11),  # young: 2/11 of it stays
        (1000, 1.5),
    ],
)
def test_it_moves_by_its_decay_and_slower_the_older_it_is(step, expected):
    average, network = filled(1), filled(2)
    follow(average, network, 0.5, step)
    state = average.state_dict()
    assert float(state['stages.layer2.0.conv1.weight'][0, 0, 0, 0]) == pytest.approx(expected)
    assert int(state['stages.stem.1.num_batches_tracked']) == 2  # whole numbers are copied


def test_frozen_stages_stay():
    average, network = filled(1), filled(2)
    follow(average, network, 0.5, 1000, frozen=('stem', 'layer1'))
    moved = {name for name, t in average.state_dict().items() if float(t.max()) != 1}
    assert moved == {n for n in moved if not n.startswith(('stages.stem', 'stages.layer1'))}
    assert len({n.split('.')[1] for n in moved if n.startswith('stages')}) == 3
    assert any(n.startswith('head') for n in moved)
