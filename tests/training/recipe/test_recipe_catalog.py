"""Recipes of other packages: by an entry point, beside our own, and never at their cost."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import napari_cxr
from napari_cxr.training import RecipeError
from napari_cxr.training import recipe as recipes

ENTRY_POINTS = """\
[napari_cxr.recipes]
folder = hospital.recipes
function = hospital:texts
damaged = hospital:fails
missing = hospital.nowhere
neither = hospital:NUMBER
"""

MODULE = """\
NUMBER = 7

def texts():
    yield 'name = "made"\\nnetwork = "resnet18"\\nweights = "random"\\n'
    yield 'name = "zhong"\\nnetwork = "resnet18"\\nweights = "random"\\n'  # our own has it
    yield 'name = "wrong"\\nnetwork = "resnet18"\\nepocs = 3\\n'
    yield 'name = [nonsense'

def fails():
    raise OSError('no such disk')
"""


@pytest.fixture(scope='module')
def found(tmp_path_factory):
    """Ask in a process that has such a package: what is installed is looked up once."""
    site = tmp_path_factory.mktemp('site')
    (site / 'hospital' / 'recipes').mkdir(parents=True)
    (site / 'hospital' / '__init__.py').write_text(MODULE)
    recipe = (Path(napari_cxr.__file__).parent / 'recipes' / 'zhong.toml').read_text('utf-8')
    files = {
        '__init__.py': '',
        'small-zhong.toml': recipe.replace('name = "zhong"', 'name = "small-zhong"'),
        'rates.toml': 'name = "rates"\nbase = "small-zhong"\ngrid = {epochs = [20, 30]}\n',
        'notes.txt': 'not a recipe',
    }
    for name, text in files.items():
        (site / 'hospital' / 'recipes' / name).write_text(text, 'utf-8')
    about = site / 'hospital_recipes-1.0.dist-info'
    about.mkdir()
    (about / 'METADATA').write_text(
        'Metadata-Version: 2.1\nName: hospital-recipes\nVersion: 1.0\n'
    )
    (about / 'entry_points.txt').write_text(ENTRY_POINTS)
    code = (
        'import json\n'
        'from napari_cxr.training import recipe, sweep\n'
        'print(json.dumps([\n'
        '    recipe.names(), sweep.names(), recipe.names(),\n'
        '    recipe.find("made").network, recipe.find("small-zhong").name,\n'
        '    [run.recipe.epochs for run in sweep.find("rates").runs],\n'
        ']))\n'
    )
    path = os.pathsep.join(filter(None, [str(site), os.environ.get('PYTHONPATH')]))
    done = subprocess.run(
        [sys.executable, '-c', code],
        env={**os.environ, 'PYTHONPATH': path},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout), done.stderr


def test_recipes_of_other_packages_come_after_our_own(found):
    (names, sweeps, again, network, name, epochs), _ = found
    own = [name for name in recipes.names() if name not in ('made', 'small-zhong')]
    assert names == again == [*own, 'made', 'small-zhong']
    assert 'rates' in sweeps and 'rates' not in names
    assert (network, name, epochs) == ('resnet18', 'small-zhong', [20, 30])


def test_a_broken_one_costs_itself_and_says_why_once(found):
    _, errors = found
    for line in (
        "The recipe 'zhong' of hospital-recipes is left out: There is another recipe of that",
        "The recipe 'wrong' of hospital-recipes is left out: epocs is not an entry of a recipe;",
        "The recipe '' of hospital-recipes is left out: The recipe is not TOML",
        "The recipes 'damaged' of hospital-recipes are left out: no such disk",
        "The recipes 'missing' of hospital-recipes are left out: No module named 'hospital.nowh",
        "The recipes 'neither' of hospital-recipes are left out: it is neither a package with",
    ):
        assert errors.count(line) == 1, line
    assert errors.count('left out') == 6


def test_a_name_that_nobody_offers_is_refused_with_those_that_there_are():
    with pytest.raises(
        RecipeError, match=r"no recipe 'zong': give a TOML file, or one of .*zhong"
    ):
        recipes.find('zong')


@pytest.mark.parametrize('kind', ['recipe', 'sweep'])
@pytest.mark.parametrize(
    ('odd', 'why'),
    [
        ('pipe', 'cannot be read: it is a named pipe, not a file'),
        ('folder', 'cannot be read: it is a folder, not a file'),
        ('deep', 'is not TOML: its tables or lists are nested too deeply'),
        ('long', 'is not TOML: it holds a key of more than 64 parts'),
        ('large', 'cannot be read: it is larger than 4 MB'),
        ('binary', 'cannot be read: it is not text in UTF-8'),
    ],
)
def test_an_odd_file_of_a_persons_own_is_one_sentence(tmp_path, kind, odd, why):
    from napari_cxr.training.sweep import sweep_plan

    path = tmp_path / 'mine.toml'
    if odd == 'pipe':
        pytest.importorskip('fcntl')
        os.mkfifo(path)
    elif odd == 'folder':
        path.mkdir()
    elif odd == 'large':
        with path.open('wb') as file:
            file.truncate(1 << 40)
    else:
        contents = {'deep': b'a = ' + b'[' * 10**5, 'long': b'.'.join([b'a'] * 10**5) + b' = 1'}
        path.write_bytes(contents.get(odd, b'\xff\xfe'))
    find = recipes.find if kind == 'recipe' else sweep_plan.find
    with pytest.raises(RecipeError) as caught:
        find(path)
    assert why in str(caught.value) and '\n' not in str(caught.value)
