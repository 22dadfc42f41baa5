"""The pages of the documentation: links lead somewhere, commands are valid, the site builds."""

import ast
import re
import shlex
import subprocess
import sys

import pytest
import typer

from napari_cxr.cli import app

PAGES = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'SECURITY.md', 'CODE_OF_CONDUCT.md']

OURS = (
    r'https://(?:github\.com/napari-cxr/napari-cxr/blob|'
    r'raw\.githubusercontent\.com/napari-cxr/napari-cxr)/main/'
)


@pytest.fixture(scope='module')
def pages(checkout):
    """The text of each page, by its path in the checkout."""
    paths = [checkout / name for name in PAGES]
    paths += [*(checkout / 'docs').glob('*.md'), *checkout.glob('benchmarks/*.md')]
    return {path: path.read_text(encoding='utf-8') for path in sorted(paths)}


def anchors(text):
    """What GitHub, and the site, call the headings of a page."""
    text = re.sub(r'^```.*?^```', '', text, flags=re.M | re.S)
    headings = re.findall(r'^#+ (.*)$', text, re.M)
    return {re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-') for heading in headings}


def test_links_lead_to_files_and_headings(pages, checkout):
    wrong = []
    for path, text in pages.items():
        links = re.findall(r'\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)', text)
        files = [(path.parent / target if target else path, anchor) for target, anchor in links]
        # The README's are whole addresses, for the hub.
        links = re.findall(rf'\]\({OURS}([^)#\s]*)(?:#([^)\s]+))?\)', text)
        files += [(checkout / target, anchor) for target, anchor in links]
        for file, anchor in files:
            if not file.exists():
                wrong.append(f'{path.name}: {file}')
            elif (
                anchor
                and file.suffix == '.md'
                and anchor not in anchors(file.read_text(encoding='utf-8'))
            ):
                wrong.append(f'{path.name}: {file}#{anchor}')
    assert wrong == []


def commands_in(text):
    """The commands of napari-cxr in the blocks of a page, in words."""
    for block in re.findall(r'^```(?:sh|bash)\n(.*?)^```', text, re.M | re.S):
        for line in block.replace('\\\n', ' ').splitlines():
            words = shlex.split(line, comments=True)
            if words and words[0] == 'napari-cxr':
                yield words[1:]


def test_commands_exist_and_take_the_options_that_are_shown(pages):
    wrong, seen = [], 0
    for path, text in pages.items():
        for words in commands_in(text):
            command, shown = typer.main.get_command(app), list(words)
            options = {name for parameter in command.params for name in parameter.opts}
            while shown and shown[0] in getattr(command, 'commands', {}):
                command = command.commands[shown.pop(0)]
                options |= {name for parameter in command.params for name in parameter.opts}
            if hasattr(command, 'commands') and shown and not shown[0].startswith('-'):
                wrong.append(f'{path.name}: no command {shown[0]!r} in {" ".join(words)}')
            ending = shown[: shown.index('>') if '>' in shown else None]
            used = {word.partition('=')[0] for word in ending if re.match(r'--?[a-z]', word)}
            if unknown := used - options - {'--help', '-h'}:
                wrong.append(f'{path.name}: {unknown} in {" ".join(words)}')
            seen += 1
    assert wrong == []
    assert seen > 40


def test_python_on_the_pages_can_be_parsed(pages):
    for path, text in pages.items():
        for block in re.findall(r'^```python\n(.*?)^```', text, re.M | re.S):
            ast.parse(block, str(path))


@pytest.mark.slow
def test_the_site_builds_without_a_warning(checkout, tmp_path):
    pytest.importorskip('sphinx')
    command = [sys.executable, '-m', 'sphinx', '-W', '--keep-going', '-q', 'docs', tmp_path]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / 'python.html').read_text(encoding='utf-8')
    assert 'load_model' in page and 'Parameters' in page
    # Nothing is fetched from elsewhere when it is read.
    assert not re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="https?://(?!napari)', page)
