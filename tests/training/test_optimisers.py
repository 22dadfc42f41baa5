"""Each optimiser is torch's own, with the recipe's numbers, and a rate for each stage."""

from dataclasses import replace

import pytest
import torch

from napari_cxr import networks
from napari_cxr.training import Recipe, RecipeError
from napari_cxr.training.optimisers import build_optimiser, set_rate
from napari_cxr.training.recipe import FreezeRecipe, OptimiserRecipe, ScheduleRecipe
from napari_cxr.training.schedule import share_of_rate


def optimiser_of(plan, freeze=None):
    network = networks.create('resnet10', 2)
    recipe = Recipe('some', 'resnet10', optimiser=plan, freeze=freeze or FreezeRecipe())
    return network, build_optimiser(network, recipe)


@pytest.mark.parametrize(
    ('name', 'kind', 'entries'),
    [
        ('adamw', torch.optim.AdamW, {'betas': (0.9, 0.999), 'eps': 1e-8}),
        ('adam', torch.optim.Adam, {'betas': (0.9, 0.999), 'eps': 1e-8}),
        ('nadam', torch.optim.NAdam, {'betas': (0.9, 0.999), 'eps': 1e-8}),
        ('rmsprop', torch.optim.RMSprop, {'alpha': 0.99, 'momentum': 0.5}),
        ('sgd', torch.optim.SGD, {'momentum': 0.5, 'nesterov': False}),
    ],
)
def test_each_name_is_torchs(name, kind, entries):
    momentum = entries.get('momentum', 0.0)
    _, built = optimiser_of(OptimiserRecipe(name, 3e-3, 0.02, momentum))
    assert type(built) is kind
    for group in built.param_groups:
        assert group['lr'] == 3e-3
        assert entries.items() <= group.items()
        decays = {p.ndim > 1 for p in group['params']}
        assert group['weight_decay'] == (0.02 if decays == {True} else 0)


def test_every_parameter_is_in_one_group():
    network, built = optimiser_of(OptimiserRecipe())
    held = [id(p) for group in built.param_groups for p in group['params']]
    assert len(held) == len(set(held))
    assert set(held) == {id(p) for p in network.parameters()}


def test_rates_fall_from_the_head_to_the_first_stage():
    network, built = optimiser_of(OptimiserRecipe(), FreezeRecipe(rate=0.1, decay=0.5))
    set_rate(built, 0.4)
    rates = {id(p): group['lr'] for group in built.param_groups for p in group['params']}
    parts = [*reversed(network.stages.values()), network.head]
    for power, part in enumerate(parts[:-1]):
        for p in part.parameters():
            assert rates[id(p)] == pytest.approx(0.04 * 0.5**power)
    assert {rates[id(p)] for p in network.head.parameters()} == {0.4}


def test_momentum_belongs_to_two_of_them():
    with pytest.raises(RecipeError, match='belongs to sgd and rmsprop'):
        replace(OptimiserRecipe(), momentum=0.9)


def test_schedule_by_hand():
    cosine = ScheduleRecipe('cosine', warm_up=2)
    rates = [share_of_rate(cosine, done, 10, 0.5) for done in (0, 0.5, 1.5, 2, 6, 10)]
    # Half an epoch a step: a quarter of the way after the first; then half a cosine over 8.
    assert rates == pytest.approx([0.25, 0.5, 1, 1, 0.5, 0], abs=1e-12)
    assert share_of_rate(ScheduleRecipe('constant'), 7, 10, 0.5) == 1


def test_stages_begin_with_the_epoch_that_they_name():
    # Zhong's code: 4e-4 in epochs 0 to 2, 2e-4 in 3 to 5, 1e-4 after.
    stages = ScheduleRecipe('stages', after=(3, 6), shares=(0.5, 0.25))
    thirds = [share_of_rate(stages, k / 3, 12, 1 / 3) for k in range(36)]
    assert thirds == [1.0] * 9 + [0.5] * 9 + [0.25] * 18
    rising = ScheduleRecipe('stages', warm_up=1, after=(2,), shares=(0.1,))
    assert [share_of_rate(rising, k / 2, 3, 0.5) for k in range(6)] == [0.5, 1, 1, 1, 0.1, 0.1]
