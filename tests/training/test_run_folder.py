"""A run that starts from a file names it by name and hash, never by a person's path."""

from dataclasses import replace

import pytest
import torch

from napari_cxr.checkpoint import load
from napari_cxr.checkpoint.model_file import digest
from napari_cxr.training import BatchDone, EpochDone, RecipeError, index, train
from napari_cxr.training.recipe import AugmentationRecipe, CardRecipe, FreezeRecipe, SplitRecipe
from napari_cxr.training.run_folder import find_model, recipe_of


@pytest.fixture
def model(folder, recipe, tmp_path):
    """A model in a folder whose name must not get around."""
    whole = tmp_path / 'first'
    list(train(index(folder), replace(recipe, name='origin', epochs=1), whole, 'cpu'))
    path = tmp_path / 'John Doe' / 'mine.safetensors'
    path.parent.mkdir()
    return (whole / 'best.safetensors').rename(path)


@pytest.fixture
def transfer(recipe, model):
    return replace(
        recipe,
        weights=str(model),
        freeze=FreezeRecipe('everything'),
        augmentation=AugmentationRecipe(),
    )


def resumed(folder, out):
    return list(train(index(folder), recipe_of(out), out, 'cpu', resume=True))


def test_no_path_gets_into_the_run_and_the_copy_goes(folder, transfer, model, tmp_path):
    out = tmp_path / 'out'
    there = []
    for event in train(index(folder), transfer, out, 'cpu'):
        if isinstance(event, EpochDone):
            there.append((out / 'start.safetensors').read_bytes() == model.read_bytes())
    assert there == [True, True]
    assert not (out / 'start.safetensors').exists()
    named = f'origin@sha256:{digest(model)}'
    assert recipe_of(out).weights == named
    assert load(out / 'best.safetensors').card.recipe['weights'] == named
    for path in out.iterdir():
        assert b'John Doe' not in path.read_bytes(), path.name


def test_the_card_credits_whose_data_the_start_learnt(folder, recipe, tmp_path):
    credited = CardRecipe(attribution=('Hannover, CC BY 3.0',))
    first = tmp_path / 'first'
    list(train(index(folder), replace(recipe, card=credited, epochs=1), first, 'cpu'))
    again = replace(
        recipe,
        weights=str(first / 'best.safetensors'),
        epochs=1,
        card=CardRecipe(attribution=('Kermany, CC BY 4.0', 'Hannover, CC BY 3.0')),
    )
    list(train(index(folder), again, tmp_path / 'second', 'cpu'))
    card = load(tmp_path / 'second' / 'best.safetensors').card
    assert card.attribution == ('Kermany, CC BY 4.0', 'Hannover, CC BY 3.0')
    plain = replace(again, card=CardRecipe())
    list(train(index(folder), plain, tmp_path / 'third', 'cpu'))
    for name in ('best', 'last'):
        card = load(tmp_path / 'third' / f'{name}.safetensors').card
        assert card.attribution == ('Hannover, CC BY 3.0',)


def test_it_resumes_without_state_and_without_the_file(folder, transfer, model, tmp_path):
    list(train(index(folder), transfer, tmp_path / 'one', 'cpu'))
    out = tmp_path / 'two'
    events = train(index(folder), transfer, out, 'cpu')
    next(event for event in events if isinstance(event, BatchDone))
    events.close()
    (out / 'state.safetensors').unlink()  # as if it had been killed before the first one
    model.unlink()
    resumed(folder, out)
    one, two = (load(tmp_path / name / 'last.safetensors').tensors for name in ('one', 'two'))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_folds_that_were_not_begun_start_from_the_copy(folder, transfer, model, tmp_path):
    out = tmp_path / 'folds'
    recipe = replace(transfer, epochs=1, split=SplitRecipe('leave-source-out', val=0.5))
    events = train(index(folder), recipe, out, 'cpu')
    next(event for event in events if isinstance(event, BatchDone))
    events.close()
    model.unlink()
    resumed(folder, out)
    assert len(list(out.glob('source-*/best.safetensors'))) == 2
    assert not list(out.rglob('start.safetensors'))
    with pytest.raises(RecipeError, match=r"'origin', which is not among your models; set wei"):
        list(train(index(folder), recipe_of(out), tmp_path / 'other', 'cpu'))


def test_a_model_of_the_person_is_found_by_its_hash(transfer, model, tmp_path, monkeypatch):
    named, path = find_model(transfer, tmp_path)
    assert path == model
    assert find_model(named, tmp_path) == (named, None)
    monkeypatch.setenv('NAPARI_CXR_MODELS', str(model.parent))
    assert find_model(named, tmp_path) == (named, model)
    other = named.with_changes({'weights': f'origin@sha256:{64 * "0"}'})
    assert find_model(other, tmp_path) == (other, None)  # not another one of the same name


def test_a_file_that_is_no_model_is_refused(transfer, folder, tmp_path):
    text = tmp_path / 'notes.txt'
    text.write_text('no model')
    with pytest.raises(RecipeError, match=r'weights: notes\.txt'):
        list(train(index(folder), replace(transfer, weights=str(text)), tmp_path / 'out', 'cpu'))
    assert not (tmp_path / 'out').exists()
