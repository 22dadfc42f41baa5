"""The README's commands are there, and take the options that it shows."""

import os
import re
import shlex
import subprocess
import sys

import pytest
import typer

from napari_cxr.cli import app


@pytest.fixture(scope='module')
def commands(checkout):
    """Each line of the README's code blocks, in words."""
    page = (checkout / 'README.md').read_text(encoding='utf-8')
    blocks = re.findall(r'^```(?:sh|bash)\n(.*?)^```', page, re.MULTILINE | re.DOTALL)
    return [shlex.split(line, comments=True) for line in ''.join(blocks).splitlines() if line]


def test_it_opens_with_the_demo_and_the_tests(commands, checkout):
    assert [words[:2] for words in commands[:2]] == [
        ['python3', 'scripts/demo.py'],
        ['python3', 'scripts/test.py'],
    ]
    ci = (checkout / '.ci' / 'run').read_text(encoding='utf-8')
    assert ' '.join(commands[1]) in ci
    assert os.access(checkout / '.ci' / 'run', os.X_OK)


@pytest.mark.parametrize('page', ['README.md', 'CONTRIBUTING.md'])
def test_links_lead_somewhere(page, checkout):
    text = (checkout / page).read_text(encoding='utf-8')
    targets = re.findall(r'\]\((?!https?:)([^)#]+)', text)
    assert targets
    assert not [target for target in targets if not (checkout / target).exists()]


def test_the_demo_explains_itself_before_any_set_up(checkout):
    asked = [sys.executable, '-S', str(checkout / 'scripts' / 'demo.py'), '--help']
    told = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    assert '--headless' in told
    assert 'not for clinical use' in ' '.join(told.split())


def test_command_line_examples_are_valid(commands):
    known = typer.main.get_command(app).commands
    examples = [words for words in commands if words[0] == 'napari-cxr']
    assert {words[1] for words in examples} >= {'classify', 'info', 'models', 'train'}
    for words in examples:
        options = {name for param in known[words[1]].params for name in param.opts}
        shown = {word for word in words[2:] if word.startswith('-')}
        assert shown <= options, words


def test_recipes_in_the_examples_are_bundled(commands, checkout):
    recipes = [words[words.index('--recipe') + 1] for words in commands if '--recipe' in words]
    assert recipes
    for recipe in recipes:
        assert (checkout / 'src' / 'napari_cxr' / 'recipes' / f'{recipe}.toml').exists()
