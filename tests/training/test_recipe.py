"""Recipes survive TOML, and nonsense is refused by name."""

import pytest

from napari_cxr import networks
from napari_cxr.training import Recipe, RecipeError, recipes


@pytest.mark.parametrize('name', recipes.names())
def test_shipped_recipes_read_write_and_name_a_network(name):
    recipe = recipes.find(name)
    assert recipe.name == name
    assert Recipe.from_toml(recipe.to_toml()) == recipe
    assert recipe.network in networks.names()


def test_every_entry_survives(recipe):
    entries = recipe.to_dict()
    entries['input']['stretch'] = 'none'
    entries['card'] = {'attribution': ['a', 'b'], 'halve': True}
    changed = Recipe.from_dict(entries)
    assert changed.input.stretch is None
    assert changed.card.attribution == ('a', 'b')
    assert Recipe.from_toml(changed.to_toml()) == changed
    assert changed.augmentation == recipe.augmentation


@pytest.mark.parametrize(
    ('entries', 'message'),
    [
        (
            {'augmentation': {'rotaton': 3}},
            r'augmentation\.rotaton .* mean augmentation\.rotation\?',
        ),
        ({'learning_rate': 1}, 'learning_rate is no entry'),
        ({'epochs': 0}, 'epochs must be between 1 and'),
        ({'epochs': 2.0}, 'epochs must be a whole number'),
        ({'epochs': True}, 'epochs must be a whole number'),
        ({'batch': 1}, 'batch must be between 2'),
        ({'optimiser': {'learning_rate': 0}}, r'optimiser\.learning_rate must be above 0'),
        ({'optimiser': {'learning_rate': 'fast'}}, r'optimiser\.learning_rate must be a number'),
        ({'optimiser': {'learning_rate': float('nan')}}, r'learning_rate must be a number'),
        ({'optimiser': {'name': 'magic'}}, r"optimiser\.name must be one of 'adamw'"),
        ({'loss': {'label_smoothing': 1.0}}, r'loss\.label_smoothing must be'),
        ({'selection': {'metric': 'test_accuracy'}}, r'selection\.metric must be one of'),
        ({'split': {'val': 0}}, r'split\.val must be above 0'),
        ({'schedule': {'warm_up': 20}}, r'schedule\.warm_up must be below'),
        ({'input': {'height': 0, 'width': 5}}, 'input: height and width'),
        ({'input': {'height': 5}}, r'lacks input\.width'),
        ({'input': {'height': 5, 'width': 5, 'stretch': [1]}}, r'stretch must be a list of 2'),
        ({'input': {'height': 5, 'width': 5, 'mean': 3}}, r'input\.mean must be a list'),
        ({'loss': 3}, 'loss must be a table'),
        ({'card': {'halve': 1}}, r'card\.halve must be true or false'),
        ({'title': 3}, 'title must be a text'),
        ({'network': ''}, 'network must be given'),
    ],
)
def test_nonsense_is_refused_by_name(entries, message):
    with pytest.raises(RecipeError, match=message):
        Recipe.from_dict({'name': 'x', 'network': 'resnet10', **entries})


def test_missing_entries_wrong_toml_and_unknown_names(tmp_path):
    with pytest.raises(RecipeError, match='lacks network'):
        Recipe.from_dict({'name': 'x'})
    with pytest.raises(RecipeError, match='not TOML'):
        Recipe.from_toml('name = ')
    with pytest.raises(RecipeError, match=r"no recipe 'nothing'.*bundled-resnet10"):
        recipes.find('nothing')
    file = tmp_path / 'mine.toml'
    file.write_text('name = "mine"\nnetwork = "resnet18"\n')
    assert recipes.find(file).network == 'resnet18'
    file.write_bytes(b'\xff\xfe')
    with pytest.raises(RecipeError, match=r'mine\.toml cannot be read'):
        recipes.find(file)


@pytest.mark.parametrize('name', ['My first run', '', 'a/b', 'x' * 81])
def test_a_name_that_no_card_takes_is_refused_before_the_run(name):
    text = recipes.find('bundled-resnet10').to_toml()
    wrong = text.replace('name = "cxr3-resnet10"', f'name = "{name}"', 1)
    wrong = wrong.replace('name = "bundled-resnet10"', f'name = "{name}"', 1)
    with pytest.raises(RecipeError, match='name'):
        Recipe.from_toml(wrong)


def test_an_input_that_no_card_takes_is_refused_before_the_run():
    text = recipes.find('bundled-resnet10').to_toml().replace('height = 225', 'height = 100000')
    with pytest.raises(RecipeError, match=r'input\.height'):
        Recipe.from_toml(text)
