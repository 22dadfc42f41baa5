"""Which types messages between processes may hold, and that no other name is resolved."""

import ast
import subprocess
import sys
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import pytest

import napari_cxr
from napari_cxr import messages
from napari_cxr.messages import is_message_type, message_type, type_name, type_named

PACKAGE = Path(napari_cxr.__file__).parent


def defined_types() -> dict[str, list[str]]:
    """Modules with `@message_type`, by their source, and the names of what it decorates."""
    found: dict[str, list[str]] = {}
    for path in PACKAGE.rglob('*.py'):
        module = '.'.join(('napari_cxr', *path.relative_to(PACKAGE).with_suffix('').parts))
        for node in ast.parse(path.read_text(encoding='utf-8')).body:
            if isinstance(node, ast.ClassDef) and any(
                isinstance(mark, ast.Name) and mark.id == 'message_type'
                for mark in node.decorator_list
            ):
                found.setdefault(module, []).append(node.name)
    return found


def test_the_listed_modules_are_those_that_define_types():
    assert set(defined_types()) == messages.MODULES


def test_every_type_is_found_by_its_name_and_knows_it():
    for module, names in defined_types().items():
        for name in names:
            kind = type_named(f'{module}.{name}')
            assert (kind.__module__, kind.__name__) == (module, name)
            assert kind is getattr(sys.modules[module], name), 'not the class that dataclass made'


def test_a_name_imports_its_module_and_no_torch():
    code = (
        'import sys; from napari_cxr.messages import type_named;'
        'assert "napari_cxr.lungs.lung_field" not in sys.modules;'
        'print(type_named("napari_cxr.lungs.lung_field.LungField").__name__);'
        'print("torch" in sys.modules)'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.stdout.split() == ['LungField', 'False'], done.stderr


@pytest.mark.parametrize(
    'name',
    [
        '',
        'Popen',
        'subprocess.Popen',
        'builtins.eval',
        # of the project, but not registered, or reached through a listed module
        'napari_cxr.radiograph.UnreadableImage',
        'napari_cxr.radiograph.np',
        'napari_cxr.radiograph.np.fromfile',
        'napari_cxr.radiograph',
        'napari_cxr.radiograph.',
        'napari_cxr.radiograph.Radiograph.from_array',
        'napari_cxr.radiograph.Radiograph ',
        'napari_cxr.messages.type_named',
        'napari_cxr.cli.main',
        '..radiograph.Radiograph',
    ],
)
def test_other_names_are_refused(name):
    with pytest.raises(KeyError):
        type_named(name)


def test_a_refused_name_imports_nothing():
    names = ('antigravity.fly', 'napari_cxr.cli.main', 'napari_cxr.training.training_loop.train')
    code = (
        'import sys; from napari_cxr.messages import type_named; before = set(sys.modules)\n'
        f'for name in {names!r}:\n'
        '    try: type_named(name)\n'
        '    except KeyError: pass\n'
        '    else: raise SystemExit(name)\n'
        'print(*(set(sys.modules) - before))'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, ''), done.stderr


def test_a_type_of_an_unlisted_module_cannot_register():
    @dataclass
    class Report:
        text: str

    with pytest.raises(ValueError, match='not listed'):
        message_type(Report)
    assert not is_message_type(Report('x'))


def test_a_class_that_only_has_the_name_is_refused():
    class Colour(Enum):
        RED = 'red'

    assert type_name(Colour.RED) == f'{__name__}.Colour'
    with pytest.raises(KeyError):
        type_named(type_name(Colour.RED))
