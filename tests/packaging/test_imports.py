"""What an import costs, and that the declared dependencies are those in use."""

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib

import pytest

HEAVY = {
    'torch',
    'torchvision',
    'timm',
    'napari',
    'qtpy',
    'pydicom',
    'scipy',
    'skimage',
    'sklearn',
    'pandas',
    'matplotlib',
}
#: Most modules of the project that napari loads with the reader when any file is opened.
READER_MODULES = 40
TORCH = {'torch', 'torchvision', 'timm'}

# Extras of libraries that are imported where they are installed.
LIBRARIES = ('search', 'parquet', 'dask', 'openvino', 'tensorboard')
# Packages that no module imports, and why they are dependencies all the same.
NOT_IMPORTED = {
    'pyjpegls': 'pydicom decodes JPEG-LS with it',
    'pylibjpeg': 'pydicom finds the next two through it',
    'pylibjpeg-openjpeg': 'pydicom decodes JPEG 2000 with it',
    'pylibjpeg-rle': 'pydicom decodes RLE with it',
}


def modules_after(statement: str) -> set[str]:
    """Modules in a fresh interpreter after a statement."""
    asked = [sys.executable, '-c', f'import sys; {statement}; print(*sys.modules)']
    return set(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split())


def loaded_after(statement: str) -> set[str]:
    """Top-level modules in a fresh interpreter after a statement."""
    return {name.partition('.')[0] for name in modules_after(statement)}


def ours(modules: set[str]) -> set[str]:
    return {name for name in modules if name.partition('.')[0] == 'napari_cxr'}


def test_importing_the_package_is_light():
    modules = modules_after('import napari_cxr')
    assert ours(modules) == {'napari_cxr'}
    assert not {name.partition('.')[0] for name in modules} & (HEAVY | {'numpy'})


def test_the_reader_loads_few_modules():
    modules = ours(modules_after('import napari_cxr.plugin.reader'))
    assert 'napari_cxr.workers.decoder_pool' in modules
    assert len(modules) <= READER_MODULES, sorted(modules)


@pytest.mark.parametrize(
    'module',
    [
        'checkpoint.card',
        'cli',
        'dicom',
        'explain.heatmap',
        'image_files',
        'inference.prediction',
        'plugin.classify.dock',
        'plugin.reader',
        'radiograph',
        'rasters',
        'samples',
        'scoring',
        'scoring.image_preparation',
        'training.training_events',
        'messages',
    ],
)
def test_what_napari_imports_brings_no_torch(module):
    assert not loaded_after(f'import napari_cxr.{module}') & TORCH


def test_the_readers_first_answer_reads_no_pixels(tmp_path):
    ask = f'from napari_cxr.plugin.reader import get_reader; get_reader({str(tmp_path)!r})'
    assert not loaded_after(ask) & (HEAVY - {'napari', 'qtpy'})


def imported(folder) -> set[str]:
    """Top-level modules that the code of a folder imports, wherever in it."""
    found = set()
    for path in folder.rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition('.')[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                found.add(node.module.partition('.')[0])
            elif isinstance(node, ast.Call) and ast.unparse(node.func) == 'import_library':
                found.add(ast.literal_eval(node.args[0]))
    return found - set(sys.stdlib_module_names) - {'napari_cxr'}


def names_of(lines) -> set[str]:
    return {re.match(r'[\w.-]+', line)[0].lower() for line in lines}


def test_dependencies_are_those_in_use(checkout):
    project = tomllib.loads((checkout / 'pyproject.toml').read_text(encoding='utf-8'))['project']
    declared = names_of(project['dependencies'])
    extras = project['optional-dependencies']
    optional = set().union(*(names_of(extras[name]) for name in LIBRARIES)) - set(NOT_IMPORTED)
    homes = importlib.metadata.packages_distributions()
    used = {
        re.sub(r'[-_.]+', '-', homes[module][0]).lower()
        for module in imported(checkout / 'src')
        if module in homes
    }
    assert optional <= used <= declared | optional, 'imported, but not declared'
    assert declared - used <= set(NOT_IMPORTED), 'declared, but not imported'
    assert not used & set(NOT_IMPORTED), 'imported by now'
