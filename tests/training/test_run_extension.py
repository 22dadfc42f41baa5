"""A run goes on for more epochs: what it is then, and what is said of it."""

import csv
import json
from dataclasses import replace

import pytest
import torch

from napari_cxr.checkpoint import load, read_card
from napari_cxr.training import EpochDone, TrainingError, TrainingFinished, index, train
from napari_cxr.training.recipe import (
    RecipeError,
    ScheduleRecipe,
    SelectionRecipe,
    SplitRecipe,
    StoppingRecipe,
)
from napari_cxr.training.run_extension import extend_run, rate_text
from napari_cxr.training.run_folder import recipe_of


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def run(folder, recipe, out, **entries):
    return list(train(index(folder), recipe, out, 'cpu', **entries))


def epochs_of(out):
    rows = csv.DictReader((out / 'metrics.csv').read_text().splitlines())
    return [{k: v for k, v in row.items() if k not in ('seconds', 'utilisation')} for row in rows]


def test_with_a_constant_rate_it_is_the_run_of_so_many_epochs(folder, recipe, tmp_path):
    recipe = replace(recipe, schedule=ScheduleRecipe('constant'))
    run(folder, replace(recipe, epochs=3), tmp_path / 'whole')
    out = tmp_path / 'out'
    run(folder, recipe, out)
    said = extend_run(out, 3)
    assert 'The run goes on after epoch 2 to epoch 3. The learning rate is constant' in said
    longer = recipe_of(out)
    assert longer == replace(recipe, epochs=3)
    events = run(folder, longer, out, resume=True)
    assert [event.epoch for event in events if isinstance(event, EpochDone)] == [3]
    assert isinstance(events[-1], TrainingFinished)
    for name in ('best', 'last'):
        one, two = (load(tmp_path / d / f'{name}.safetensors') for d in ('whole', 'out'))
        assert all(torch.equal(t, two.tensors[key]) for key, t in one.tensors.items()), name
    assert epochs_of(out) == epochs_of(tmp_path / 'whole')
    card = read_card(out / 'best.safetensors')
    assert card.data['continued'] == [{'after': 2, 'planned': 2}]
    assert card.recipe['epochs'] == 3
    assert json.loads((out / 'result.json').read_text())['epochs'] == 3
    assert 'Resumed after 2 epochs' in (out / 'log.txt').read_text()
    names = {path.name for path in out.iterdir()}
    assert 'final-state.safetensors' in names and 'state.safetensors' not in names


def test_a_run_that_stopped_early_goes_on_and_patience_counts_anew(folder, recipe, tmp_path):
    # The last epoch always counts as better for selection, but never for stopping.
    recipe = replace(
        recipe, epochs=9, selection=SelectionRecipe('last'), stopping=StoppingRecipe(1, 'loss'),
        optimiser=replace(recipe.optimiser, learning_rate=1e-12),
    )  # fmt: skip
    out = tmp_path / 'out'
    run(folder, recipe, out)
    done = len(epochs_of(out))
    assert done < 9, 'patience ran out'
    assert 'Early stopping counts anew.' in extend_run(out, 9)
    run(folder, recipe_of(out), out, resume=True)
    assert done < len(epochs_of(out)) <= 9


def test_what_cannot_go_on_says_why(folder, recipe, tmp_path):
    recipe = replace(recipe, epochs=1)
    out = tmp_path / 'out'
    with pytest.raises(TrainingError, match='There is no run in'):
        extend_run(out, 5)
    run(folder, recipe, out)
    with pytest.raises(TrainingError, match=r'has done 1 epochs\. Give a larger number'):
        extend_run(out, 1)
    with pytest.raises(RecipeError, match='epochs'):
        extend_run(out, 10**9)
    assert recipe_of(out) == recipe and (out / 'result.json').is_file(), 'nothing has changed'
    kept = (out / 'final-state.safetensors').read_bytes()
    (out / 'final-state.safetensors').unlink()
    with pytest.raises(TrainingError, match=r'has no final-state\.safetensors.*set weights to'):
        extend_run(out, 2)
    # As a crash in the middle may leave it: the state has its name again, and it counts.
    (out / 'state.safetensors').write_bytes(kept)
    extend_run(out, 2)
    run(folder, recipe_of(out), out, resume=True)
    assert len(epochs_of(out)) == 2


def test_folds_and_runs_of_sweeps_keep_no_state_and_do_not_go_on(folder, recipe, tmp_path):
    recipe = replace(recipe, epochs=1, split=SplitRecipe('leave-source-out', val=0.5))
    out = tmp_path / 'folds'
    run(folder, recipe, out)
    assert not list(out.rglob('*state.safetensors'))
    for place in (out, next(out.glob('source-*'))):
        with pytest.raises(TrainingError, match='belongs to a run in folds'):
            extend_run(place, 5)
    alone = tmp_path / 'alone'
    run(folder, replace(recipe, split=SplitRecipe()), alone, keep_state=False)
    assert not list(alone.rglob('*state.safetensors'))
    (tmp_path / 'sweep.toml').write_text('name = "rates"')  # of which it is a run
    with pytest.raises(TrainingError, match='alone belongs to a sweep, whose runs keep no optim'):
        extend_run(alone, 5)
    with pytest.raises(TrainingError, match=r'is a sweep.* Train anew with the recipe'):
        extend_run(tmp_path, 5)


def test_what_becomes_of_the_rate_by_hand(recipe):
    """A cosine over 8 epochs is at a half of its height after 4, one over 4 epochs at 0."""
    short = replace(recipe, epochs=4, schedule=ScheduleRecipe('cosine'))
    longer = replace(short, epochs=8)
    assert 'rises from 0% to 50% of its highest' in rate_text(short, longer, 4)
    assert 'rises from 50% to 85% of its highest' in rate_text(short, longer, 2)
    staged = ScheduleRecipe('stages', after=(2,), shares=(0.1,))
    assert 'goes on by the stages' in rate_text(
        replace(short, schedule=staged), replace(longer, schedule=staged), 4
    )
