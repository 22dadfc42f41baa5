"""What the wheel and the sdist hold."""

import email
import os
import tarfile
import tomllib
import zipfile

import pytest

import napari_cxr

LARGEST = 25 * 2**20  # bytes; the bundled weights are the only large file


@pytest.fixture(scope='module')
def wheel(built):
    """The wheel, open."""
    with zipfile.ZipFile(built.wheel) as archive:
        yield archive


def package_data(checkout):
    """Paths in the package, from src, of all that is not Python."""
    src = checkout / 'src'
    return {
        path.relative_to(src).as_posix()
        for path in (src / 'napari_cxr').rglob('*')
        if path.is_file() and path.suffix not in {'.py', '.pyc'}
    }


@pytest.mark.slow
def test_wheel_holds_the_package_with_its_data(wheel, checkout):
    names = set(wheel.namelist())
    modules = {
        path.relative_to(checkout / 'src').as_posix()
        for path in (checkout / 'src' / 'napari_cxr').rglob('*.py')
    }
    assert modules <= names
    assert {'napari_cxr/napari.yaml', 'napari_cxr/py.typed'} <= names
    assert package_data(checkout) <= names
    assert wheel.read('napari_cxr/napari.yaml') == (checkout / 'napari.yaml').read_bytes()


@pytest.mark.slow
def test_wheel_holds_nothing_but_the_package(wheel):
    tops = {name.split('/')[0] for name in wheel.namelist()}
    assert tops == {'napari_cxr', f'napari_cxr-{napari_cxr.__version__}.dist-info'}


@pytest.mark.slow
def test_wheel_metadata(wheel, checkout):
    info = f'napari_cxr-{napari_cxr.__version__}.dist-info'
    metadata = email.message_from_bytes(wheel.read(f'{info}/METADATA'))
    assert metadata['Version'] == napari_cxr.__version__
    assert metadata['License-Expression'] == 'BSD-3-Clause'
    assert wheel.read(f'{info}/licenses/LICENSE') == (checkout / 'LICENSE').read_bytes()
    assert 'Framework :: napari' in metadata.get_all('Classifier')
    # A Qt binding is the person's choice: there is none without an extra.
    required = metadata.get_all('Requires-Dist')
    assert not [line for line in required if 'pyqt' in line.lower() and 'extra ==' not in line]
    assert b'napari-cxr = napari_cxr:napari.yaml' in wheel.read(f'{info}/entry_points.txt')


@pytest.mark.slow
def test_sdist_holds_what_a_packager_needs(built, checkout):
    with tarfile.open(built.sdist) as archive:
        names = {name.partition('/')[2] for name in archive.getnames()}
        largest = max(member.size for member in archive.getmembers())
    assert {'pyproject.toml', 'README.md', 'LICENSE', 'src/napari_cxr/napari.yaml'} <= names
    assert {f'src/{name}' for name in package_data(checkout)} <= names
    assert 'tests/packaging/test_distributions.py' in names
    assert not [name for name in names if name.startswith(('.venv', 'shared', 'runs'))]
    assert largest < LARGEST


@pytest.mark.slow
def test_no_file_is_too_large(wheel):
    sizes = {entry.filename: entry.file_size for entry in wheel.infolist()}
    assert not {name: size for name, size in sizes.items() if size >= LARGEST}


def test_top_level_manifest_is_a_link_into_the_package(checkout):
    link = checkout / 'napari.yaml'
    if not link.is_symlink():
        pytest.skip('this checkout was made without symbolic links')
    assert os.readlink(link) == 'src/napari_cxr/napari.yaml'


def test_version_is_written_once(checkout):
    project = tomllib.loads((checkout / 'pyproject.toml').read_text(encoding='utf-8'))
    assert 'version' not in project['project']
    assert project['tool']['hatch']['version']['path'] == 'src/napari_cxr/__init__.py'
