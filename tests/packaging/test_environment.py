"""The set-up that the README's two commands share."""

import importlib.util
import os
import platform
import stat

import pytest

pytestmark = pytest.mark.skipif(platform.system() != 'Linux', reason='apt-get is Debian’s')


@pytest.fixture
def environment(checkout, tmp_path, monkeypatch):
    """scripts/environment.py for a checkout of its own, with steps that are only noted."""
    spec = importlib.util.spec_from_file_location(
        'environment', checkout / 'scripts' / 'environment.py'
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    root = tmp_path / 'checkout'
    root.mkdir()
    (root / 'pyproject.toml').write_text('[project]\n')
    monkeypatch.setattr(module, 'ROOT', root)
    monkeypatch.setattr(module, 'ENVIRONMENT', root / '.venv')
    monkeypatch.setattr(module, 'STAMP', root / '.venv' / module.STAMP.name)
    monkeypatch.setattr(module, 'UNFINISHED', root / '.venv' / module.UNFINISHED.name)
    module.steps = []

    def note(command, env=None):
        module.steps.append(command)
        if command[1:3] == ['-m', 'venv']:
            (root / '.venv' / 'bin').mkdir()
            module.environment_python().touch()

    monkeypatch.setattr(module, 'run', note)
    return module


def names(environment):
    """The kind of each step so far."""
    kinds = []
    for command in environment.steps:
        if command[1:3] == ['-m', 'venv']:
            kinds.append('venv')
        elif '--editable' in command:
            kinds.append('install')
    environment.steps.clear()
    return kinds


def test_environment_is_made_once(environment):
    environment.install_environment()
    assert names(environment) == ['venv', 'install']
    environment.install_environment()
    assert environment.steps == []


def test_install_takes_the_qt_extra_and_the_development_tools(environment):
    environment.install_environment()
    (install,) = [command for command in environment.steps if '--editable' in command]
    assert install[0] == str(environment.environment_python())
    assert install[-4:] == ['--editable', '.[qt]', '--group', 'dev']


def test_a_torch_for_processors_comes_first_and_from_its_own_index(environment):
    environment.install_environment(cpu=True, locked=True)
    pair, whole = [c for c in environment.steps if 'torch' in c or '--editable' in c]
    assert pair[-4:] == ['torch', 'torchvision', '--index-url', environment.CPU_INDEX]
    for command in (pair, whole):
        assert command[command.index('--constraint') + 1] == str(environment.CONSTRAINTS)
    with pytest.raises(SystemExit, match='set up already'):
        environment.install_environment(cpu=True)


def test_frozen_versions_name_no_file_of_this_computer(environment, monkeypatch, tmp_path):
    listed = (
        'torch==2.14.1+cpu\nnvidia-cublas==13.1\nnumpy==2.4.6\nx @ file:///home/person/x.whl\n'
    )
    monkeypatch.setattr(environment, 'CONSTRAINTS', tmp_path / 'constraints.txt')
    monkeypatch.setattr(
        environment.subprocess,
        'run',
        lambda *a, **k: environment.subprocess.CompletedProcess(a, 0, stdout=listed),
    )
    environment.freeze()
    lines = (tmp_path / 'constraints.txt').read_text().splitlines()
    assert lines[1:] == ['torch==2.14.1', 'numpy==2.4.6']


def test_changed_project_is_installed_again_in_place(environment):
    environment.install_environment()
    names(environment)
    (environment.ROOT / 'pyproject.toml').write_text('[project]\nname = "x"\n')
    environment.install_environment()
    assert names(environment) == ['install']


def test_set_up_that_was_cut_off_begins_anew(environment, monkeypatch):
    note = environment.run

    def cut_off(command, env=None):
        note(command)
        if '--editable' in command:
            (environment.ENVIRONMENT / 'half-a-package').mkdir()
            raise KeyboardInterrupt

    monkeypatch.setattr(environment, 'run', cut_off)
    with pytest.raises(SystemExit, match='again'):
        environment.prepare(virtual_screen=False)
    assert not environment.STAMP.exists()

    monkeypatch.setattr(environment, 'run', note)
    names(environment)
    environment.install_environment()
    assert names(environment) == ['venv', 'install']
    assert not (environment.ENVIRONMENT / 'half-a-package').exists()
    assert environment.STAMP.exists()
    assert not environment.UNFINISHED.exists()


def test_moved_checkout_begins_anew(environment, monkeypatch):
    environment.install_environment()
    names(environment)
    monkeypatch.setattr(environment, 'wanted_stamp', lambda: ('elsewhere', '0'))
    environment.install_environment()
    assert names(environment) == ['venv', 'install']


def test_environment_of_someone_else_is_left_alone(environment):
    mine = environment.ENVIRONMENT / 'bin' / 'python'
    mine.parent.mkdir(parents=True)
    mine.write_text('mine')
    with pytest.raises(SystemExit, match='leaves it alone'):
        environment.install_environment()
    assert mine.read_text() == 'mine'
    assert environment.steps == []


def test_without_permission_it_names_the_packages_and_stops(environment, monkeypatch):
    monkeypatch.setattr(environment, 'loads', lambda library: library != 'libEGL.so.1')
    monkeypatch.setattr(environment.shutil, 'which', lambda name: None)
    monkeypatch.setattr(os, 'geteuid', lambda: 1000)
    with pytest.raises(SystemExit) as stopped:
        environment.install_packages(virtual_screen=True)
    assert str(stopped.value).count('apt-get install') == 1
    assert str(stopped.value).endswith('apt-get install -y libegl1 xvfb xauth')
    assert environment.steps == []


def test_as_root_it_installs_exactly_what_is_missing(environment, monkeypatch, tmp_path):
    programs = tmp_path / 'programs'
    programs.mkdir()
    apt = programs / 'apt-get'
    apt.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n')
    apt.chmod(apt.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv('PATH', str(programs), prepend=os.pathsep)
    monkeypatch.setattr(os, 'geteuid', lambda: 0)
    there = set(environment.LIBRARIES) - {'libGL.so.1'}
    monkeypatch.setattr(environment, 'loads', there.__contains__)

    def install(command, env=None):
        environment.steps.append(command)
        there.add('libGL.so.1')

    monkeypatch.setattr(environment, 'run', install)
    environment.install_packages(virtual_screen=False)
    assert (tmp_path / 'asked').read_text().startswith('update')
    (command,) = environment.steps
    assert [word for word in command if not word.startswith('-')] == [
        'apt-get',
        'install',
        'libgl1',
    ]
    environment.install_packages(virtual_screen=False)
    assert len(environment.steps) == 1


def test_a_virtual_screen_is_asked_for_only_where_it_is_used(environment, monkeypatch):
    monkeypatch.setattr(environment, 'loads', lambda library: True)
    monkeypatch.setattr(environment.shutil, 'which', lambda name: None)
    assert environment.missing_packages(virtual_screen=False) == []
    assert environment.missing_packages(virtual_screen=True) == ['xvfb', 'xauth']
