"""Recipes and sweeps on the command line: listed, and shown as TOML."""

import json
import subprocess
import sys
import tomllib

import pytest
from typer.testing import CliRunner

from napari_cxr.cli import app
from napari_cxr.cli.recipes_command import (
    _parameters_by_stage,
    count_parameters,
    counted_parameters,
)
from napari_cxr.training import recipe as recipes
from napari_cxr.training.recipe import HeadRecipe
from napari_cxr.training.recipe.schema import as_table
from napari_cxr.training.sweep import names


@pytest.fixture
def run():
    def invoke(*arguments):
        return CliRunner().invoke(app, [str(a) for a in arguments])

    return invoke


def test_recipes_are_listed_with_their_sizes(run):
    result = run('recipes', '--json')
    assert result.exit_code == 0, result.output
    rows = {(row['kind'], row['name']): row for row in map(json.loads, result.stdout.splitlines())}
    assert {name for kind, name in rows if kind == 'recipe'} == set(recipes.names())
    assert {name for kind, name in rows if kind == 'sweep'} == set(names())

    def counts(kind, name):
        return rows[kind, name]['parameters'], rows[kind, name]['trainable']

    # As the papers have them.
    assert counts('recipe', 'nova-vgg16') == (14_715_714, 1_026)
    assert counts('recipe', 'nova-custom-cnn') == (17_019_073, 17_019_073)
    assert counts('recipe', 'zhong') == (63_148_835, 63_148_835)
    assert counts('recipe', 'detl-step1')[0] == 5_039_010
    # Up to the second block: 3 * 32 and 32 * 32, 32 * 64 and 64 * 64 kernels of 9, and biases.
    frozen = 9 * (3 * 32 + 32 * 32 + 32 * 64 + 64 * 64) + 2 * (32 + 64)
    assert counts('recipe', 'detl-step2') == (5_039_010, 5_039_010 - frozen)
    assert rows['sweep', 'nova']['runs'] == 19
    networks = {row['network']: row['parameters'] for row in rows['sweep', 'nova']['networks']}
    # At 150 pixels, which is the first run's.
    assert networks['nova_cnn'] == 6_795_457
    assert [networks[f'nova_cnn_k{k}'] for k in (8, 12)] == [18_488_673, 20_626_273]
    assert rows['recipe', 'zhong']['paper'] == 'Zhong'


def test_recipes_in_words_and_for_other_numbers_of_classes(run):
    text = run('recipes', '--classes', '5').stdout
    assert 'nova (sweep, 19 runs)' in text and 'Basu, Mitra, Saha (DETL)' in text
    linear = f'densenet121: {6_953_856 + 5 * 1025:,} parameters, {5 * 1025:,} trainable'
    assert linear in text


def test_a_recipe_that_freezes_an_unknown_stage_is_told():
    wrong = recipes.find('start-from-scratch').with_changes(
        {'weights': 'a-model', 'freeze.up_to': 'layer9'}
    )
    with pytest.raises(recipes.RecipeError, match=r"no stage 'layer9'; there are stem, layer1"):
        count_parameters(wrong, 2)


@pytest.mark.parametrize('name', ['zhong', 'start-from-scratch'])
def test_a_recipe_is_shown_as_the_toml_that_makes_it(run, name, tmp_path):
    result = run('recipes', 'show', name)
    assert result.exit_code == 0, result.output
    (tmp_path / 'own.toml').write_text(result.stdout)
    assert recipes.find(tmp_path / 'own.toml') == recipes.find(name)
    assert run('recipes', 'show', tmp_path / 'own.toml').stdout == result.stdout


def test_a_sweep_is_shown_and_an_unknown_name_is_wrong_usage(run):
    shown = tomllib.loads(run('recipes', 'show', 'nova').stdout)
    assert shown['name'] == 'nova' and 'base' in shown
    result = run('recipes', 'show', 'no-such-recipe')
    assert result.exit_code == 2 and 'no-such-recipe' in result.stderr and result.stdout == ''


@pytest.mark.parametrize('name', ['zhong', 'nova-custom-cnn', 'start-few-images'])
def test_the_table_of_parameters_says_what_the_networks_have(name):
    recipe = recipes.find(name)
    entries = {} if recipe.head == HeadRecipe() else as_table(recipe.head)
    size, channels = (recipe.input.height, recipe.input.width), recipe.input.channels
    for classes in (2,) if entries.get('single') else (2, 4):
        counted = counted_parameters(recipe.network, classes, channels, size, json.dumps(entries))
        said = _parameters_by_stage(recipe.network, classes, channels, size, recipe.head)
        assert said == counted and list(said[1]) == list(counted[1])


def test_all_built_in_recipes_are_listed_without_torch(without_torch):
    """If a network is missing: python scripts/recipe_parameters.py."""
    for classes in ('2', '7'):
        done = subprocess.run(
            [sys.executable, '-m', 'napari_cxr', 'recipes', '--json', '--classes', classes],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.splitlines()) == len(recipes.names()) + len(names())
