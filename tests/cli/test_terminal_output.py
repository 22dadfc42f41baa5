"""What commands print cannot steer a terminal, whatever files and folders are called."""

import os
import re
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from napari_cxr.cli import app, terminal_output

#: Moves the cursor, forges a line, turns letters around; and how that is written harmlessly.
NAME = 'a\x1b[2Jb\u202ec'
SHOWN = r'a\x1b[2Jb\u202ec'

_STEERING = re.compile('[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]')


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('NAPARI_CXR_MODELS', str(tmp_path / 'models'))
    monkeypatch.setenv('COLUMNS', '400')
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


@pytest.mark.parametrize(
    'words',
    [
        ('runs', NAME),
        ('models', 'show', NAME),
        ('models', 'get', NAME),
        ('recipes', 'show', NAME),
        ('score', NAME, '--out', 'a.csv'),
        ('score', '.', '--out', 'a.csv', '--model', NAME),
        ('score', '.', '--out', 'a.csv', '--device', NAME),
        ('train', NAME, '--out', 'run', '--recipe', 'start-bundled'),
        ('models', 'add', NAME, '--name', 'x'),
        ('models', NAME),
        ('--' + NAME,),
        ('score', '--' + NAME),
    ],
)
def test_no_argument_steers_the_terminal(run, words):
    done = run(*words)
    assert done.exit_code
    assert SHOWN in done.output.replace('\n', '')
    assert not _STEERING.search(done.output)


@pytest.mark.skipif(sys.platform == 'win32', reason='Windows has no such names')
def test_no_name_on_the_disk_steers_the_terminal(run, tmp_path):
    folder = tmp_path / f'{NAME}\nWARNING: forged'
    (folder / 'one').mkdir(parents=True)
    (folder / 'one' / 'recipe.toml').write_text(f'name = "{SHOWN.replace("x1b", "u001b")}"\n')
    done = run('runs', folder)
    assert done.exit_code == 0 and SHOWN in done.output
    done = run('runs', folder, tmp_path / 'nothing')
    assert done.exit_code == 2
    done = run('score', folder / 'one', '--out', 'a.csv')
    assert done.exit_code == 2 and SHOWN in done.output and r'\nWARNING: forged' in done.output
    assert not _STEERING.search(done.output)


def test_a_path_by_itself_is_exact_for_a_program(capfdbinary, monkeypatch):
    path = os.fsdecode(b'a\x1bb\xff.csv')
    terminal_output.echo_path(path)
    assert capfdbinary.readouterr().out == b'a\x1bb\xff.csv\n'
    monkeypatch.setattr(sys.stdout, 'isatty', lambda: True, raising=False)
    terminal_output.echo_path(path)
    assert capfdbinary.readouterr().out == rb'a\x1bb\udcff.csv' + b'\n'


def test_commands_print_in_no_other_way():
    from pathlib import Path

    for file in Path(terminal_output.__file__).parent.glob('*.py'):
        if file.name != 'terminal_output.py':
            other = re.findall(
                r'typer\.(?:echo|secho)\(|console\.print\(', file.read_text('utf-8')
            )
            # The version, which is ours.
            assert other == (['typer.echo('] if file.name == '__init__.py' else []), file


@pytest.mark.parametrize('command', [[], ['train']])
def test_help_in_a_narrow_terminal_names_every_option_in_full(command):
    def helped(columns):
        done = subprocess.run(
            [sys.executable, '-m', 'napari_cxr', *command, '--help'],
            env={**os.environ, 'COLUMNS': str(columns)},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    narrow = helped(50)
    options = re.findall(r'^[│* ]*(--[a-z-]+)', helped(200), re.MULTILINE)
    assert '--help' in options
    for option in options:
        assert re.search(rf'^ +(-\w, )?{option}\b', narrow, re.MULTILINE)
    assert max(map(len, narrow.splitlines())) <= 50
