"""The moving average of weights."""

from dataclasses import replace

import pytest
import torch

from napari_cxr import networks
from napari_cxr.training import Recipe, RecipeError, TrainingStarted, index, train
from napari_cxr.training.optim import (
    build_optimiser,
    precision_of,
    rate_fraction,
    set_learning_rate,
    update_average,
)
from napari_cxr.training.recipe import FreezeRecipe, OptimiserRecipe, ScheduleRecipe


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
    update_average(average, network, 0.5, step)
    state = average.state_dict()
    assert float(state['stages.layer2.0.conv1.weight'][0, 0, 0, 0]) == pytest.approx(expected)
    assert int(state['stages.stem.1.num_batches_tracked']) == 2  # whole numbers are copied


def test_frozen_stages_stay():
    average, network = filled(1), filled(2)
    update_average(average, network, 0.5, 1000, frozen=('stem', 'layer1'))
    moved = {name for name, t in average.state_dict().items() if float(t.max()) != 1}
    assert moved == {n for n in moved if not n.startswith(('stages.stem', 'stages.layer1'))}
    assert len({n.split('.')[1] for n in moved if n.startswith('stages')}) == 3
    assert any(n.startswith('head') for n in moved)


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
    set_learning_rate(built, 0.4)
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
    rates = [rate_fraction(cosine, done, 10, 0.5) for done in (0, 0.5, 1.5, 2, 6, 10)]
    # Half an epoch a step: a quarter of the way after the first; then half a cosine over 8.
    assert rates == pytest.approx([0.25, 0.5, 1, 1, 0.5, 0], abs=1e-12)
    assert rate_fraction(ScheduleRecipe('constant'), 7, 10, 0.5) == 1


def test_stages_begin_with_the_epoch_that_they_name():
    # Zhong's code: 4e-4 in epochs 0 to 2, 2e-4 in 3 to 5, 1e-4 after.
    stages = ScheduleRecipe('stages', after=(3, 6), shares=(0.5, 0.25))
    thirds = [rate_fraction(stages, k / 3, 12, 1 / 3) for k in range(36)]
    assert thirds == [1.0] * 9 + [0.5] * 9 + [0.25] * 18
    rising = ScheduleRecipe('stages', warm_up=1, after=(2,), shares=(0.1,))
    assert [rate_fraction(rising, k / 2, 3, 0.5) for k in range(6)] == [0.5, 1, 1, 1, 0.1, 0.1]


CPU = torch.device('cpu')


def test_auto_takes_what_the_processor_computes(monkeypatch):
    assert precision_of('float32', CPU) is None
    assert precision_of('bfloat16', CPU) is torch.bfloat16
    for able in (True, False):
        monkeypatch.setattr(torch.cpu, 'get_capabilities', lambda able=able: {'amx_bf16': able})
        assert precision_of('auto', CPU) is (torch.bfloat16 if able else None)


@pytest.mark.parametrize('precision', ['float32', 'bfloat16'])
def test_it_is_that_of_learning_and_never_of_measuring(
    folder, recipe, tmp_path, monkeypatch, precision
):
    seen = set()
    plain = networks.StagedNetwork._run

    def watched(network, *given):
        seen.add((torch.is_grad_enabled(), torch.is_autocast_enabled('cpu')))
        return plain(network, *given)

    monkeypatch.setattr(networks.StagedNetwork, '_run', watched)
    recipe = replace(recipe, precision=precision, epochs=1)
    events = list(train(index(folder), recipe, tmp_path / 'out', 'cpu'))
    (started,) = (event for event in events if isinstance(event, TrainingStarted))
    assert started.precision == precision
    assert seen == {(True, precision == 'bfloat16'), (False, False)}
