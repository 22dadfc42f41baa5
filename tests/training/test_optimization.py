"""Losses by hand, against torch's own smoothing, and as Keras weighs them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from labelled_images import dataset_of
from torch.nn import functional

from napari_cxr import networks
from napari_cxr.training import (
    EpochDone,
    Recipe,
    RecipeError,
    TrainingStarted,
    index,
    train,
    training_run,
)
from napari_cxr.training.optimization import (
    build_optimiser,
    classes_within,
    image_losses,
    image_weights,
    loss_within,
    precision_of,
    rate_fraction,
    set_learning_rate,
    update_average,
)
from napari_cxr.training.recipe import FreezeRecipe, LossRecipe, OptimiserRecipe, ScheduleRecipe

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.0, 0.0, 0.0], [-3.0, 1.0, 4.0]])

CLASSES = torch.tensor([0, 1, 1])

ONE_HOT = functional.one_hot(CLASSES, 3).float()


def smoothed(form, share):
    return LossRecipe(label_smoothing=share, smoothing=form)


def test_smoothing_over_all_classes_is_that_of_torch():
    ours = image_losses(LOGITS, ONE_HOT, smoothed('all', 0.12), sigmoid=False)
    theirs = functional.cross_entropy(LOGITS, CLASSES, label_smoothing=0.12, reduction='none')
    torch.testing.assert_close(ours, theirs)


def test_smoothing_over_the_others_leaves_the_true_class_what_the_paper_prints():
    ours = image_losses(LOGITS, ONE_HOT, smoothed('others', 0.12), sigmoid=False)
    # e K / (K - 1) over all is e over the others.
    theirs = functional.cross_entropy(LOGITS, CLASSES, label_smoothing=0.18, reduction='none')
    torch.testing.assert_close(ours, theirs)
    # Zhong: 0.88 for the class, 0.06 for each of the two others.
    by_hand = -(0.88 * LOGITS.log_softmax(1)[0, 0] + 0.06 * LOGITS.log_softmax(1)[0, 1:].sum())
    torch.testing.assert_close(ours[0], by_hand)


def test_columns_are_choices_of_two():
    truth = torch.tensor([[1.0, 1.0, 0.0]])
    z = LOGITS[:1]
    plain = image_losses(z, truth, LossRecipe(), sigmoid=True)
    s = torch.sigmoid(z[0])
    by_hand = -(s[0].log() + s[1].log() + (1 - s[2]).log()) / 3
    torch.testing.assert_close(plain[0], by_hand)
    # Keras: y (1 - e) + e / 2.
    soft = image_losses(z, truth, smoothed('all', 0.2), sigmoid=True)
    target = torch.tensor([0.9, 0.9, 0.1])
    torch.testing.assert_close(soft[0], -(target * s.log() + (1 - target) * (1 - s).log()).mean())
    crossed = image_losses(z, truth, smoothed('others', 0.2), sigmoid=True)
    target = torch.tensor([0.8, 0.8, 0.2])
    by_hand = -(target * s.log() + (1 - target) * (1 - s).log()).mean()
    torch.testing.assert_close(crossed[0], by_hand)


def test_one_output_has_the_binary_cross_entropy_of_its_sigmoid():
    z = torch.tensor([1.7, -0.3])
    both = torch.stack([-z / 2, z / 2], dim=1)
    truth = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    ours = image_losses(both, truth, LossRecipe('binary cross-entropy'), sigmoid=False)
    theirs = functional.binary_cross_entropy_with_logits(z, truth[:, 1], reduction='none')
    torch.testing.assert_close(ours, theirs)


def test_given_weights_are_taken_as_they_are(tmp_path):
    dataset = dataset_of(tmp_path, ['covid', 'normal', 'normal', 'covid|normal'])
    given = LossRecipe(weights='given', class_weights={'covid': 10.0, 'normal': 3.0})
    weights = image_weights(dataset, given, np.array([0, 1, 3]))
    np.testing.assert_array_equal(weights, [10, 3, 1, 6.5])  # the third is not learnt from
    lacking = LossRecipe(weights='given', class_weights={'covid': 10.0})
    with pytest.raises(RecipeError, match=r"see 'normal'; the classes are covid, normal"):
        image_weights(dataset, lacking, np.arange(4))


def test_weights_know_how_often_the_sampler_draws(tmp_path):
    dataset = dataset_of(tmp_path, ['a', 'b', 'b', 'b'])
    plan = LossRecipe(weights='class')
    plain = image_weights(dataset, plan, np.arange(4))
    np.testing.assert_allclose(plain, [2, 2 / 3, 2 / 3, 2 / 3])
    # Drawn so that each class is as likely, nothing is left to be weighted.
    often = np.array([2, 2 / 3, 2 / 3, 2 / 3])
    np.testing.assert_allclose(image_weights(dataset, plan, np.arange(4), often), np.ones(4))


def test_weights_of_several_labels_have_the_mean_one(tmp_path):
    dataset = dataset_of(tmp_path, ['a', 'b', 'a|b', 'b'])
    weights = image_weights(dataset, LossRecipe(weights='class'), np.arange(4))
    assert weights.mean() == pytest.approx(1)
    # a is on 2 images, b on 3: 1/2, 1/3, their mean and 1/3, brought to the mean 1.
    raw = np.array([1 / 2, 1 / 3, 5 / 12, 1 / 3])
    np.testing.assert_allclose(weights, raw / raw.mean(), rtol=1e-6)


def test_the_loss_within_a_source_knows_only_its_classes():
    classes = torch.tensor([[True, False, True], [True, True, True], [False, False, False]])
    z = LOGITS.clone().requires_grad_()
    ours = loss_within(z, ONE_HOT, classes)
    # Of the first image 2 stands against .5; of the second all are alike; the third is out.
    by_hand = [np.log(1 + np.exp(0.5 - 2.0)), np.log(3), 0]
    np.testing.assert_allclose(ours.detach().numpy(), by_hand, rtol=1e-6)
    ours.sum().backward()
    assert z.grad[0, 1] == 0 and not z.grad[2].any()
    assert z.grad[0, 2] > 0 > z.grad[0, 0]


def sourced(dataset, sources):
    pairs = zip(dataset.samples, sources, strict=True)
    return replace(dataset, samples=tuple(replace(s, source=name) for s, name in pairs))


def test_classes_within_are_those_of_the_training_images(tmp_path):
    labels = ['a', 'b', 'c', 'a', 'b', 'a', 'b']
    dataset = sourced(dataset_of(tmp_path, labels), ['x', 'x', 'x', 'y', 'y', '', ''])
    found = classes_within(dataset, np.array([0, 1, 3, 5, 6]))
    # c of x and b of y are not learnt from; no source at all is none.
    assert found.tolist() == [[True, True, False]] * 2 + [[False] * 3] * 5
    with pytest.raises(RecipeError, match='no source has training images of two classes'):
        classes_within(dataset, np.array([0, 2, 3])[[0, 2]])
    several = sourced(dataset_of(tmp_path, ['a', 'b', 'a|b']), 'xxx')
    with pytest.raises(RecipeError, match='images have several labels; set it to 0'):
        classes_within(several, np.arange(3))


def test_a_run_mixes_both_losses_by_their_shares(folder, recipe, tmp_path):
    """With two classes in every source, and rates of nothing, the shares change nothing."""
    recipe = recipe.with_changes(
        {'epochs': 1, 'optimiser.name': 'sgd', 'optimiser.learning_rate': 1e-9}
    )
    losses = {}
    for share in (0.0, 0.4, 1.0):
        own = recipe.with_changes({'loss.within_source': share})
        events = list(train(index(folder), own, tmp_path / str(share), 'cpu'))
        losses[share] = next(e.train_loss for e in events if isinstance(e, EpochDone))
    assert losses[0.4] == pytest.approx(losses[0.0], rel=1e-5)
    assert losses[1.0] == pytest.approx(losses[0.0], rel=1e-5)


def test_what_takes_part_counts_for_what_does_not(folder, recipe, tmp_path, monkeypatch):
    data = index(folder)
    gone = [
        i
        for i, s in enumerate(data.samples)
        if (s.source, s.label, s.split) == ('b', 'left', 'train')
    ]
    # Losses of 0 over all classes, and of 1 for each image that is compared in its source.
    monkeypatch.setattr(training_run, 'image_losses', lambda z, *_: 0 * z.sum(1))
    monkeypatch.setattr(
        training_run, 'loss_within', lambda z, _, inside: 0 * z.sum(1) + inside.any(1)
    )
    for weights in ('none', 'class'):
        own = recipe.with_changes(
            {'epochs': 1, 'loss.within_source': 0.4, 'loss.weights': weights}
        )
        events = list(train(data.drop(gone), own, tmp_path / weights, 'cpu'))
        (loss,) = (e.train_loss for e in events if isinstance(e, EpochDone))
        assert loss == pytest.approx(0.4, rel=1e-5)


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


@pytest.mark.parametrize('name', ['adamw', 'adam', 'sgd'])
def test_fused_steps_are_the_plain_ones(name):
    network, built = optimiser_of(OptimiserRecipe(name, 3e-3, 0.02))
    own = list(network.parameters())
    plain = {id(p): p.detach().clone().requires_grad_() for p in own}
    groups = [
        {
            'params': [plain[id(p)] for p in group['params']],
            'weight_decay': group['weight_decay'],
        }
        for group in built.param_groups
    ]
    other = type(built)(groups, lr=3e-3, fused=False, foreach=False)
    assert built.defaults['fused']
    for step in range(3):
        torch.manual_seed(step)
        for p in own:
            p.grad = torch.randn(p.shape)
            plain[id(p)].grad = p.grad.clone()
        built.step()
        other.step()
    for p in own:
        torch.testing.assert_close(p.detach(), plain[id(p)].detach(), rtol=1e-5, atol=1e-6)


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


def test_what_is_not_known_of_an_image_costs_nothing():
    nan = float('nan')
    logits = torch.tensor([[0.0, 5.0], [0.0, 0.0], [1.0, 2.0]], requires_grad=True)
    truth = torch.tensor([[1.0, nan], [0.0, 1.0], [nan, nan]])
    each = image_losses(logits, truth, LossRecipe(name='binary cross-entropy'), True)
    assert each.tolist() == pytest.approx([np.log(2), np.log(2), 0])
    each.sum().backward()
    assert logits.grad[0, 1] == 0 and (logits.grad[2] == 0).all() and logits.grad[0, 0] == -0.5


def test_images_with_a_label_count_by_its_weight():
    logits, truth = torch.zeros(2, 2), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    weight = torch.tensor([3.0, 1.0])
    each = image_losses(logits, truth, LossRecipe(), True, weight)
    # log 2 for each cell, three times where the first label is there.
    assert each.tolist() == pytest.approx([2 * np.log(2), np.log(2)])
    with pytest.raises(RecipeError, match='pos_weight'):
        LossRecipe(pos_weight={'a': 0.0})
