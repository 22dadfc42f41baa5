"""Measure how a checkout is built: its files, who imports whom, and the files that a task passes.

    python scripts/structure.py [CHECKOUT] [--static] [--json FILE]

What is measured by reading alone:

files, lines, median, longest
    Python files below ``src``.
short
    Files under 40 lines, ``__init__`` left out.
stems, classes
    File names used for two files, ``__init__`` and ``__main__`` left out; names of public
    classes defined in two files.
single
    Modules imported by exactly one module, of their own package, counted from the statements
    ``from napari_cxr… import``, wherever they stand, in a stub too; a name that is a module
    means that module.
cycles
    Groups of files that import each other, by the same statements. Here a name that a package's
    ``__init__`` only passes on means the module that it comes from, and passing on is no import,
    or each package would be a group.

What is measured by running, unless ``--static`` is given:

reader, package
    Modules of the project that importing the napari reader, and the package alone, load; and
    which large libraries the latter loads.
paths
    Files of which a function runs, in whatever process and thread, from a .dcm dropped on the
    viewer until its layer is there; from the click on Classify until a layer lies over the
    radiograph; from the command ``napari-cxr score`` until its first row is kept; from the click
    on Train until the catalog lists the model. What runs only while modules are imported does
    not count.

So that checkouts can be compared whose files have other names, nothing here imports the
project: docks, reader and sample are found by ``napari.yaml``, the command by
``pyproject.toml``, buttons by what they say. The checkout goes before an installed package.
The windows are drawn on a screen in memory, so Xvfb is needed; all this takes some minutes.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

PACKAGE = 'napari_cxr'
LIBRARIES = ('numpy', 'torch', 'napari', 'pydicom')
#: A file of fewer lines is a short one.
FEW = 40
PATHS = {
    'open': 'a .dcm dropped until its layer',
    'classify': 'Classify until the heatmap',
    'score': 'score until the first row',
    'train': 'Train until the catalog',
}
#: Seconds that a path may take at most.
LONGEST = 600.0


def main() -> int:
    """Measure, print, and write what was found."""
    parser = argparse.ArgumentParser(description='Measure how a checkout is built.')
    here = Path(__file__).resolve().parent.parent
    parser.add_argument('checkout', type=Path, nargs='?', default=here)
    parser.add_argument('--static', action='store_true', help='run nothing of the project')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write all lists there')
    given = parser.parse_args()
    checkout = given.checkout.resolve()
    found = read(checkout / 'src')
    if not given.static:
        with tempfile.TemporaryDirectory(prefix='structure-') as folder:
            found |= imported(checkout, Path(folder))
            found['paths'] = {name: passed(name, checkout, Path(folder) / name) for name in PATHS}
    report(found)
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=1) + '\n', encoding='utf-8')
    return 0


def report(found: dict[str, Any]) -> None:
    """Print the numbers."""
    rows = [
        ('source files', found['files']),
        ('lines', found['lines']),
        ('median length', found['median']),
        ('longest', f'{found["longest"][1]} ({found["longest"][0]})'),
        (f'files under {FEW} lines', len(found['short'])),
        ('file names used twice', len(found['stems'])),
        ('public class names defined twice', len(found['classes'])),
        ('modules imported by one module of their package', len(found['single'])),
        ('cycles between files', len(found['cycles'])),
    ]
    if 'reader' in found:
        loaded = ', '.join(found['package']['libraries']) or 'none'
        rows += [
            ('modules that the reader loads', len(found['reader'])),
            (f'modules that import {PACKAGE} loads', len(found['package']['modules'])),
            (f'of {", ".join(LIBRARIES)} it loads', loaded),
        ]
    rows += [
        (f'files passed: {PATHS[name]}', len(files))
        for name, files in found.get('paths', {}).items()
    ]
    for title, value in rows:
        print(f'{title:52}{value}')


# -- by reading -------------------------------------------------------------------------------


def read(src: Path) -> dict[str, Any]:
    """Return what the files themselves tell."""
    files = sorted(src.rglob('*.py'))
    lengths = {_named(file, src): len(file.read_bytes().splitlines()) for file in files}
    trees = {_module(file, src): _tree(file) for file in files}
    packages = {_module(file, src) for file in files if file.stem == '__init__'}
    stems, classes = defaultdict(list), defaultdict(list)
    for file in files:
        if not file.stem.startswith('__'):
            stems[file.stem].append(_named(file, src))
    for module, tree in trees.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith('_'):
                classes[node.name].append(module)
    imports = {
        module: set(_imports(tree, module, packages, trees)) for module, tree in trees.items()
    }
    by = defaultdict(set)
    for module, others in imports.items():
        for other in others:
            by[other].add(module)
    single = {
        module: importer
        for module in trees
        if len(by[module]) == 1
        for importer in by[module]
        if module.rpartition('.')[0] == _package_of(importer, packages)
    }
    passing = {module for module in packages if not _has_code(trees[module])}
    between = {
        module: set(_imports(tree, module, packages, trees, passing=passing))
        for module, tree in trees.items()
        if module not in passing
    }
    return {
        'files': len(files),
        'lines': sum(lengths.values()),
        'median': statistics.median(lengths.values()),
        'longest': max(lengths.items(), key=lambda item: item[1]),
        'short': [
            name for name, n in lengths.items() if n < FEW and not name.endswith('__init__.py')
        ],
        'stems': {stem: names for stem, names in sorted(stems.items()) if len(names) > 1},
        'classes': {name: there for name, there in sorted(classes.items()) if len(there) > 1},
        'single': single,
        'cycles': sorted(_cycles(between)),
    }


def _named(file: Path, src: Path) -> str:
    return file.relative_to(src / PACKAGE).as_posix()


def _module(file: Path, src: Path) -> str:
    parts = file.relative_to(src).with_suffix('').parts
    return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


def _tree(file: Path) -> ast.Module:
    """Parse a file; a stub beside it says what it imports late."""
    tree = ast.parse(file.read_bytes())
    stub = file.with_suffix('.pyi')
    if stub.exists():
        late = ast.parse(stub.read_bytes()).body
        tree.body += [node for node in late if isinstance(node, ast.ImportFrom)]
    return tree


def _package_of(module: str, packages: set[str]) -> str:
    return module if module in packages else module.rpartition('.')[0]


def _has_code(tree: ast.Module) -> bool:
    """Whether a package's `__init__` holds more than imports, and a hook that makes them late."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return any(isinstance(node, kinds) and not node.name.startswith('__') for node in tree.body)


def _imports(
    tree: ast.Module,
    module: str,
    packages: set[str],
    modules: dict[str, ast.Module],
    passing: Collection[str] = (),
) -> Iterator[str]:
    """Yield the modules that a module's statements name, those in `passing` seen through."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom):
            continue
        source = _source(node, _package_of(module, packages))
        if source.split('.')[0] != PACKAGE:
            continue
        for name in node.names:
            target = _target(source, name.name, modules, passing)
            if target in modules and target not in passing and target != module:
                yield target


def _source(node: ast.ImportFrom, package: str) -> str:
    """Return the whole name behind ``from``, in a module of a package."""
    if not node.level:
        return node.module or ''
    above = package.split('.')
    above = above[: len(above) - node.level + 1]
    return '.'.join([*above, *filter(None, [node.module])])


def _target(
    source: str, name: str, modules: dict[str, ast.Module], passing: Collection[str]
) -> str:
    """Return the module that a name comes from."""
    whole = f'{source}.{name}'
    if whole in modules:
        return whole
    if source in passing:
        for node in ast.walk(modules[source]):
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    if name == (alias.asname or alias.name):
                        return _target(_source(node, source), alias.name, modules, passing)
    return source


def _cycles(imports: dict[str, set[str]]) -> Iterator[list[str]]:
    """Yield the groups of modules that reach each other (Tarjan 1972)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []

    def visit(module: str) -> Iterator[list[str]]:
        order[module] = low[module] = len(order)
        stack.append(module)
        for other in sorted(imports[module]):
            if other not in order:
                yield from visit(other)
                low[module] = min(low[module], low[other])
            elif other in stack:
                low[module] = min(low[module], order[other])
        if low[module] == order[module]:
            at = stack.index(module)
            group = stack[at:]
            del stack[at:]
            if len(group) > 1:
                yield sorted(group)

    for module in sorted(imports):
        if module not in order:
            yield from visit(module)


# -- by running -------------------------------------------------------------------------------


def imported(checkout: Path, folder: Path) -> dict[str, Any]:
    """Return what is loaded by importing the reader, and the package alone."""
    manifest = contributions(checkout)
    reader = _command(manifest, manifest['readers'][0]['command']).partition(':')[0]

    def loaded(module: str) -> list[str]:
        script = f'import {module}, sys; print(*sorted(sys.modules))'
        done = subprocess.run(
            [sys.executable, '-c', script],
            env=_environment(checkout, folder / 'imported'),
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.split()

    package = loaded(PACKAGE)
    return {
        'reader': [name for name in loaded(reader) if name.split('.')[0] == PACKAGE],
        'package': {
            'modules': [name for name in package if name.split('.')[0] == PACKAGE],
            'libraries': [name for name in LIBRARIES if name in package],
        },
    }


def passed(name: str, checkout: Path, folder: Path) -> list[str]:
    """Run a path; return the files that it passes, by their place in the package."""
    folder.mkdir()
    hook = folder / 'hook'
    hook.mkdir()
    scripts = Path(__file__).resolve().parent
    shutil.copy(scripts / 'structure_hook.py', hook / 'sitecustomize.py')
    (hook / 'mark').write_bytes(b'\0')
    (hook / 'passed').touch()
    environment = _environment(checkout, folder)
    environment['PYTHONPATH'] = f'{hook}{os.pathsep}{environment["PYTHONPATH"]}'
    environment['STRUCTURE_HOOK'] = str(hook)
    environment['STRUCTURE_SOURCE'] = str(checkout / 'src' / PACKAGE)
    command = [sys.executable, str(scripts / 'structure_paths.py'), name, str(folder)]
    screen = '-screen 0 1600x1000x24'
    command = ['xvfb-run', '--auto-servernum', '--server-args', screen, *command]
    if shutil.which('xvfb-run') is None:
        raise SystemExit('Xvfb is missing: python3 scripts/environment.py installs it.')
    done = subprocess.run(command, env=environment, timeout=3 * LONGEST, cwd=folder)
    if done.returncode:
        raise SystemExit(f'The path {name!r} did not come to its end; see above.')
    return sorted(set((hook / 'passed').read_text(encoding='utf-8').split('\n')) - {''})


def _environment(checkout: Path, folder: Path) -> dict[str, str]:
    """Return an environment in which nobody's own models and choices are read or changed."""
    own = {f'XDG_{name}_HOME': str(folder / name.lower()) for name in ('DATA', 'CONFIG', 'CACHE')}
    return {
        **os.environ,
        **own,
        'HOME': str(folder),
        'NAPARI_CONFIG': str(folder / 'settings' / 'napari.yaml'),
        'NAPARI_CXR_MODELS': str(folder / 'models'),
        'NAPARI_CXR_CACHE': str(folder / 'cached'),
        'PYTHONPATH': str(checkout / 'src'),
        'STRUCTURE_CHECKOUT': str(checkout),
    }


def contributions(checkout: Path) -> dict[str, Any]:
    """Return what the plugin's manifest says that it has."""
    import yaml

    text = (checkout / 'src' / PACKAGE / 'napari.yaml').read_text(encoding='utf-8')
    found: dict[str, Any] = yaml.safe_load(text)['contributions']
    return found


def _command(manifest: dict[str, Any], wanted: str) -> str:
    return next(c['python_name'] for c in manifest['commands'] if c['id'] == wanted)


if __name__ == '__main__':
    sys.exit(main())
