"""The rooms in docs/architecture.md are those that import-linter holds the code to."""

import re
import tomllib


def test_contract_is_the_list_in_the_document(checkout):
    page = (checkout / 'docs' / 'architecture.md').read_text(encoding='utf-8')
    section = page.split('## Rooms, lowest first')[1]
    listed = section.split('```')[1].replace('\n', ' ')
    rooms = [sorted(re.split(r'\s*,\s*', level.strip())) for level in listed.split('·')]

    project = tomllib.loads((checkout / 'pyproject.toml').read_text(encoding='utf-8'))
    contracts = {one['id']: one for one in project['tool']['importlinter']['contracts']}
    layers = [
        sorted(room.strip(' ()') for room in layer.split('|'))
        for layer in contracts['rooms']['layers']
    ]
    assert layers[::-1] == rooms
