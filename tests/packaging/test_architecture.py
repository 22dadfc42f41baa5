"""The packages in docs/architecture.md are those that import-linter holds the code to."""

import re
import tomllib

import pytest


def test_contract_is_the_list_in_the_document(checkout):
    page = (checkout / 'docs' / 'architecture.md').read_text(encoding='utf-8')
    section = page.split('## Packages, lowest first')[1]
    listed = section.split('```')[1].replace('\n', ' ')
    packages = [sorted(re.split(r'\s*,\s*', level.strip())) for level in listed.split('·')]

    project = tomllib.loads((checkout / 'pyproject.toml').read_text(encoding='utf-8'))
    contracts = {one['id']: one for one in project['tool']['importlinter']['contracts']}
    layers = [
        sorted(package.strip(' ()') for package in layer.split('|'))
        for layer in contracts['packages']['layers']
    ]
    assert layers[::-1] == packages


@pytest.mark.parametrize('page', ['architecture.md', 'scoring.md', 'training.md', 'reading.md'])
def test_files_that_a_page_names_are_there(checkout, page):
    text = (checkout / 'docs' / page).read_text(encoding='utf-8')
    source = checkout / 'src' / 'napari_cxr'
    named = set(re.findall(r'`([a-z_]+(?:/[a-z_0-9]+)*(?:\.py|/))`', text))
    folders = [source, checkout, checkout / 'tests', source / 'checkpoint' / 'foreign']
    users_own = {'images/', 'maps/', 'runs/'}  # in examples
    missing = {
        name
        for name in named - users_own
        if '/' in name and not any((folder / name).exists() for folder in folders)
    }
    assert not missing


def test_types_are_where_the_document_says(checkout):
    page = (checkout / 'docs' / 'architecture.md').read_text(encoding='utf-8')
    rows = re.findall(r'^\| ((?:`\w+`(?:, )?)+) \| ((?:`[\w/.]+`(?:, )?)+) \|', page, re.M)
    assert len(rows) > 15
    for types, homes in rows:
        paths = [checkout / 'src' / 'napari_cxr' / home for home in re.findall(r'`(.*?)`', homes)]
        files = [f for path in paths for f in (path.rglob('*.py') if path.is_dir() else [path])]
        code = '\n'.join(file.read_text(encoding='utf-8') for file in files)
        for name in re.findall(r'`(\w+)`', types):
            assert re.search(rf'^class {name}\b', code, re.M), (name, homes)
