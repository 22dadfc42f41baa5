"""What a package index, conda-forge and those who cite read agrees with the project."""

import re
import tomllib

import pytest
import yaml
from packaging.version import Version

from napari_cxr import __version__

#: What conda-forge calls some distributions.
CONDA_NAMES = {'torch': 'pytorch', 'huggingface-hub': 'huggingface_hub', 'python-gdcm': 'gdcm'}


@pytest.fixture(scope='module')
def project(checkout):
    return tomllib.loads((checkout / 'pyproject.toml').read_text(encoding='utf-8'))['project']


def test_the_conda_recipe_requires_what_the_project_requires(checkout, project):
    recipe = yaml.safe_load((checkout / 'packaging' / 'recipe.yaml').read_text(encoding='utf-8'))
    assert recipe['context']['version'] == __version__
    wanted = []
    for requirement in project['dependencies']:
        name, versions = re.fullmatch(r'([\w-]+)([^;]*)(?:;.*)?', requirement).groups()
        wanted.append(f'{CONDA_NAMES.get(name, name)} {versions.strip()}'.strip())
    assert recipe['requirements']['run'][1:] == wanted


def test_the_citation_names_this_version(checkout, project):
    citation = yaml.safe_load((checkout / 'CITATION.cff').read_text(encoding='utf-8'))
    assert citation['version'] == __version__
    assert citation['license'] == project['license']
    assert citation['cff-version'] == '1.2.0'


def test_constraints_fit_the_requirements(checkout, project):
    lines = (checkout / 'constraints.txt').read_text(encoding='utf-8').splitlines()
    pinned = dict(line.split('==') for line in lines if not line.startswith('#'))
    for requirement in project['dependencies']:
        name, least = re.match(r'([\w-]+)>=([\d.]+)', requirement).groups()
        version = pinned[next(n for n in pinned if n.lower().replace('_', '-') == name)]
        assert Version(version) >= Version(least), requirement
