"""What scripts/structure.py finds by reading, in a package made up here."""

import importlib.util

import pytest

FILES = {
    '__init__.py': '',
    'radio.py': 'class Image: ...\nclass _Own: ...\n',
    'a/__init__.py': 'import lazy_loader\n',
    'a/__init__.pyi': 'from .one import first\n',
    'a/one.py': 'from napari_cxr.a import two\ndef first(): ...\n',
    'a/two.py': 'from napari_cxr.radio import Image\ndef late():\n'
    '    from napari_cxr.a import first\n',
    'a/three.py': 'from . import four\nclass Image: ...\n',
    'a/four.py': '\n' * 60,
    'b/__init__.py': 'from napari_cxr.b.one import second\ndef code(): ...\n',
    'b/one.py': 'from napari_cxr.b import code\nfrom napari_cxr import radio\nclass _Own: ...\n',
}


@pytest.fixture
def found(checkout, tmp_path):
    path = checkout / 'scripts' / 'structure.py'
    spec = importlib.util.spec_from_file_location('structure', path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    for name, text in FILES.items():
        file = tmp_path / 'src' / 'napari_cxr' / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return script.read(tmp_path / 'src')


def test_files_and_their_lengths(found):
    assert (found['files'], found['lines'], found['median']) == (9, 75, 2)
    assert found['longest'] == ('a/four.py', 60)
    assert found['short'] == ['a/one.py', 'a/three.py', 'a/two.py', 'b/one.py', 'radio.py']


def test_names_used_twice(found):
    assert found['stems'] == {'one': ['a/one.py', 'b/one.py']}
    assert found['classes'] == {'Image': ['napari_cxr.a.three', 'napari_cxr.radio']}


def test_modules_with_one_importer_in_their_package(found):
    # `radio` has two; `a` is imported by its own module only, which is not beside it.
    assert found['single'] == {
        'napari_cxr.a.one': 'napari_cxr.a',
        'napari_cxr.a.two': 'napari_cxr.a.one',
        'napari_cxr.a.four': 'napari_cxr.a.three',
        'napari_cxr.b.one': 'napari_cxr.b',
    }


def test_cycles_are_seen_through_what_a_package_passes_on_and_in_its_code(found):
    assert found['cycles'] == [
        ['napari_cxr.a.one', 'napari_cxr.a.two'],
        ['napari_cxr.b', 'napari_cxr.b.one'],
    ]
