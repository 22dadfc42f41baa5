"""What the check of an installation finds, and what it advises."""

import errno
import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from napari_cxr import installation
from napari_cxr.cli import app
from napari_cxr.installation import Check


def found(part):
    return {check.name: check for check in part}


def test_a_missing_package_is_named_with_how_to_install_it(monkeypatch):
    version = installation.metadata.version

    def without(name):
        if name in ('timm', 'openvino'):
            raise installation.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(installation.metadata, 'version', without)
    checks = found(installation._versions())
    assert checks['timm'].state == 'broken'
    assert checks['timm'].advice == 'Run: pip install timm'
    assert checks['openvino'].state == 'limited'
    assert 'napari-cxr[openvino]' in checks['openvino'].advice
    assert checks['numpy'] == Check('Versions', 'numpy', version('numpy'))


def test_torch_and_torchvision_that_do_not_fit_are_told_as_such(monkeypatch):
    def tried(code):
        if 'torchvision' in code:
            return 1, '', 'Traceback\nRuntimeError: operator torchvision::nms does not exist\n'
        return 0, '', ''

    monkeypatch.setattr(installation, '_tried', tried)
    pair = found(installation._torch())['torch and torchvision']
    assert pair.state == 'broken'
    assert 'pip install --force-reinstall torch torchvision' in pair.advice


@pytest.mark.parametrize(
    ('error', 'advice'),
    [
        ('qtpy.QtBindingsNotFoundError: No Qt bindings could be found', 'napari-cxr[qt]'),
        ('ImportError: libEGL.so.1: cannot open shared object file: No such file', 'libEGL.so.1'),
    ],
)
def test_a_qt_that_does_not_load_says_what_is_missing(monkeypatch, error, advice):
    monkeypatch.setattr(installation, '_tried', lambda code: (1, '', error))
    check = installation._qt()
    assert check.state == 'broken'
    assert advice in check.advice


def test_a_compression_that_nothing_reads_names_the_package(monkeypatch):
    lacking = {'JPEG-LS Lossless Image Compression': [], 'RLE Lossless': ['pydicom']}
    monkeypatch.setattr(
        'napari_cxr.workers.decoder_pool.Decoder.installed_decoders', lambda self: lacking
    )
    checks = found(installation._decoders())
    assert checks['JPEG-LS Lossless Image Compression'].state == 'limited'
    assert 'pip install pyjpegls' in checks['JPEG-LS Lossless Image Compression'].advice
    assert checks['RLE Lossless'].state == 'ok'


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / 'file').touch()
    check = installation._folder('This computer', 'cache', tmp_path / 'file' / 'cache')
    assert check.state == 'limited'
    assert 'NAPARI_CXR_CACHE' in check.advice
    assert installation._folder('', 'data', tmp_path / 'new').state == 'ok'


def test_a_folder_in_a_home_of_someone_else_is_said(tmp_path, monkeypatch):
    home, stat = tmp_path / 'home', os.stat
    home.mkdir()

    def denied(path, **options):
        if str(path).startswith(str(home)) and path != home:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return stat(path, **options)

    monkeypatch.setattr(os, 'stat', denied)
    monkeypatch.setattr(os, 'access', lambda path, mode: path != home)
    check = installation._folder('This computer', 'models', home / 'share' / 'models')
    assert check.state == 'limited'
    assert f'Change the permissions of {home}, ' in check.advice
    assert 'NAPARI_CXR_MODELS' in check.advice


@pytest.mark.slow
def test_doctor_finds_everything_that_is_needed_here():
    result = CliRunner().invoke(app, ['doctor', '--json'])
    checks = [json.loads(line) for line in result.stdout.splitlines()]
    assert [c for c in checks if c['state'] == 'broken'] == []
    assert result.exit_code == 0
    read_by = {c['name']: c['found'] for c in checks if c['part'] == 'Compressed DICOM'}
    assert read_by['RLE Lossless'].startswith('pylibjpeg')
    assert 'JPEG XL' in read_by


def test_something_broken_is_counted_and_sets_the_exit_status(monkeypatch):
    checks = [Check('Viewer', 'Qt', 'not installed', 'broken', 'Run: pip install it')]
    monkeypatch.setattr('napari_cxr.cli.doctor_command.check_installation', lambda: iter(checks))
    result = CliRunner().invoke(app, ['doctor'])
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        'Viewer',
        '! Qt: not installed',
        '    Run: pip install it',
        '',
        '1 of these must be put right: Qt.',
    ]


def test_a_folder_with_the_name_of_a_module_is_not_imported(tmp_path):
    (tmp_path / 'dl').mkdir()
    (tmp_path / 'dl' / '__init__.py').write_text('raise SystemExit("imported from the folder")')
    code = [sys.executable, '-m', 'napari_cxr', '--version']
    probe = 'import napari_cxr.__main__; import importlib.util as u; print(u.find_spec("dl"))'
    env = {**os.environ, 'PYTHONSAFEPATH': ''}
    for command in (code, [sys.executable, '-c', probe]):
        done = subprocess.run(
            command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == 'None'
