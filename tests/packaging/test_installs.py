"""napari finds the plugin however it was installed."""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

# Run by the interpreter that the plugin was installed for.
PROBE = """
import importlib.metadata, json, sys
from pathlib import Path
from npe2 import PluginManifest
import napari_cxr

site = Path(sys.argv[1])
found = [
    result for result in PluginManifest.discover()
    if result.distribution.metadata['Name'] == 'napari-cxr'
    and Path(result.distribution.locate_file('')).samefile(site)
]
manifest = PluginManifest.from_distribution('napari-cxr')
manifest.validate_imports()
print(json.dumps({
    'errors': [str(result.error) for result in found if result.error],
    'registered': [result.manifest.name for result in found if result.manifest],
    'version': manifest.package_version,
    'commands': [command.id for command in manifest.contributions.commands],
    'package': str(Path(napari_cxr.__file__).parent),
    'command line': importlib.metadata.distribution('napari-cxr').entry_points
        .select(group='console_scripts')['napari-cxr'].value,
}))
"""


def new_environment(folder: Path) -> tuple[Path, Path]:
    """Make an environment that sees this one's packages; return its Python and its packages."""
    subprocess.run([sys.executable, '-m', 'venv', '--without-pip', str(folder)], check=True)
    python = folder / ('Scripts/python.exe' if os.name == 'nt' else 'bin/python')
    asked = [str(python), '-c', 'import sysconfig; print(sysconfig.get_path("purelib"))']
    site = Path(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip())
    (site / 'dependencies.pth').write_text(sysconfig.get_path('purelib') + '\n', encoding='utf-8')
    return python, site


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['wheel', 'sdist', 'editable'])
def test_manifest_is_registered(kind, built, checkout, tmp_path):
    python, site = new_environment(tmp_path / 'environment')
    source = {
        'wheel': [str(built.wheel)],
        'sdist': [str(built.sdist)],
        'editable': ['--editable', str(checkout)],
    }[kind]
    pip = [sys.executable, '-m', 'pip', '--python', str(python), 'install', '--quiet']
    offline = ['--no-index', '--no-deps', '--no-build-isolation', '--ignore-installed']
    installed = subprocess.run([*pip, *offline, *source], capture_output=True, text=True)
    assert installed.returncode == 0, installed.stdout + installed.stderr

    asked = [str(python), '-c', PROBE, str(site)]
    probed = subprocess.run(asked, capture_output=True, text=True, cwd=tmp_path)
    assert probed.returncode == 0, probed.stderr
    answer = json.loads(probed.stdout.splitlines()[-1])
    assert answer['errors'] == []
    assert answer['registered'] == ['napari-cxr']
    assert built.wheel.name.startswith(f'napari_cxr-{answer["version"]}-')
    assert answer['command line'] == 'napari_cxr.cli:main'
    assert 'napari-cxr.classify_dock' in answer['commands']
    home = checkout / 'src' if kind == 'editable' else site
    assert Path(answer['package']).samefile(home / 'napari_cxr')
