"""What a training would cost here, before it is started."""

from dataclasses import replace

import pytest

from napari_cxr.training import recipe as recipes
from napari_cxr.training.recipe import SplitRecipe
from napari_cxr.training.training_costs import (
    TrainingCosts,
    cost_text,
    estimate_costs,
    measure_speed,
)

#: Operations a second of an invented machine.
SPEED = 1e11


@pytest.fixture(autouse=True)
def nothing_downloaded(monkeypatch, tmp_path):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))


def test_a_new_last_layer_by_hand():
    # ResNet-10: 1.83 G operations for each of 1,000 images, once; images are read already.
    costs = estimate_costs(recipes.find('start-bundled'), 1000, SPEED, cores=1, read=True)
    assert costs.seconds == pytest.approx((1827.6 / 90 + 5, 1827.6 / 30 + 40), rel=0.01)
    unread = estimate_costs(recipes.find('start-bundled'), 1000, SPEED, cores=1)
    assert unread.seconds[1] == pytest.approx(costs.seconds[1] + 1200, rel=0.01)
    assert costs.download == 0 and 0.8e9 < costs.memory < 1e9


def test_all_epochs_by_hand():
    # ResNet-18: 3.94 G operations, thrice for 650 of 1,000 images and once for 350, 40 times.
    recipe = recipes.find('start-from-scratch')
    costs = estimate_costs(recipe, 1000, SPEED, cores=1, read=True)
    assert costs.seconds[0] == pytest.approx(3937.57e6 * 2300 * 40 / 90e9 + 5, rel=0.01)
    # Numbers that 32 images put out, and 11.2 million parameters.
    assert costs.memory == pytest.approx(0.8e9 + 32 * 7.93e6 * 5 + 11.17e6 * 16, rel=0.02)
    folds = replace(recipe, split=SplitRecipe(method='k-fold', folds=5))
    assert estimate_costs(folds, 1000, SPEED, cores=1, read=True).seconds[0] > (
        4.5 * costs.seconds[0]
    )
    more = estimate_costs(recipe, 1000, SPEED, cores=8, read=True)
    assert costs.seconds[0] / 8.5 < more.seconds[0] < costs.seconds[0] / 7


def test_weights_are_downloaded_once(tmp_path):
    recipe = recipes.find('start-fine-tuning')
    assert estimate_costs(recipe, 10, SPEED).download == pytest.approx(94e6, rel=0.05)
    there = tmp_path / 'hub' / 'checkpoints'
    there.mkdir(parents=True)
    (there / 'resnet50-11ad3fa6.pth').touch()
    assert estimate_costs(recipe, 10, SPEED).download == 0
    assert estimate_costs(replace(recipe, network='unheard-of'), 10, SPEED) is None


@pytest.mark.parametrize(
    ('costs', 'text'),
    [
        (TrainingCosts((8, 42), 0.9e9, 0, 9), '10 to 40 s · 1 GB memory · no download'),
        (
            TrainingCosts((100, 530), 2.2e9, 98e6, 9),
            '2 to 9 min · 2 GB memory · 98 MB download',
        ),
        (TrainingCosts((40, 3000), 1e9, 0, 9), '40 s to 1 h · 1 GB memory · no download'),
        (TrainingCosts((7000, 9e5), 1e9, 0, 9), '2 h to 10 days · 1 GB memory · no download'),
    ],
)
def test_what_is_said(costs, text):
    assert cost_text(costs) == text


def test_this_machine_computes():
    assert 1e8 < measure_speed() < 1e14


def test_the_table_holds_what_torch_counts():
    """If a network is missing or has changed: python scripts/recipe_costs.py."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from napari_cxr import networks
    from napari_cxr.training import training_costs

    for name in ('start-bundled', 'start-from-scratch'):
        recipe = recipes.find(name)
        size = recipe.input.height, recipe.input.width
        with torch.device('meta'):
            network = networks.create(recipe.network, 2, recipe.input.channels, size).eval()
            image = torch.zeros(1, recipe.input.channels, *size)
        with FlopCounterMode(display=False) as counter:
            network(image)
        assert training_costs._known_costs(recipe)['operations'] == counter.get_total_flops()
    for name in recipes.names():
        assert training_costs._known_costs(recipes.find(name)) is not None, name
