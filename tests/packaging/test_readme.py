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


def test_it_opens_with_a_picture_the_installation_and_the_two_commands_of_a_clone(
    commands, checkout
):
    page = (checkout / 'README.md').read_text(encoding='utf-8')
    picture, installed = page.index('docs/images/classify.png'), page.index('pip install')
    assert picture < installed < page.index('scripts/demo.py')
    assert [words[:2] for words in commands[:4]] == [
        ['pip', 'install'],
        ['napari-cxr', 'doctor'],
        ['python3', 'scripts/demo.py'],
        ['python3', 'scripts/test.py'],
    ]
    ci = (checkout / '.ci' / 'run').read_text(encoding='utf-8')
    assert ' '.join(commands[3]) in ci
    assert os.access(checkout / '.ci' / 'run', os.X_OK)


def test_links_are_whole_addresses(checkout):
    """A package index and the hub show the page where relative links lead nowhere."""
    text = (checkout / 'README.md').read_text(encoding='utf-8')
    assert not re.findall(r'\]\((?!https://|#)', text)


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
