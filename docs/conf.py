"""The documentation site: ``python -m sphinx -W docs FOLDER`` builds it.

Pages that belong at the top of the repository (contributing, changelog, benchmarks) appear in the
site as well, and links from a page to files that are no pages lead to the repository.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path, PurePosixPath
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / 'src'))

from napari_cxr import __version__  # noqa: E402

project = 'napari-cxr'
author = 'The napari-cxr developers'
project_copyright = '2026, the napari-cxr developers'
version = release = __version__
extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon']
myst_enable_extensions = ['colon_fence']
myst_heading_anchors = 4
exclude_patterns = ['images']
autodoc_typehints = 'none'
autodoc_member_order = 'bysource'
napoleon_google_docstring = False
napoleon_use_ivar = True
html_theme = 'pydata_sphinx_theme'
html_title = 'napari-cxr'
html_theme_options = {
    'github_url': 'https://github.com/napari-cxr/napari-cxr',
    'show_prev_next': False,
    'secondary_sidebar_items': ['page-toc'],
}
html_show_sourcelink = False

REPOSITORY = 'https://github.com/napari-cxr/napari-cxr/blob/main/'

#: Pages of the site that are written elsewhere.
ELSEWHERE = {
    'changelog': 'CHANGELOG.md',
    'contributing': 'CONTRIBUTING.md',
}

_LINK = re.compile(r'(\]\()((?!https?:|mailto:|#)[^)\s#]+)((?:#[^)\s]*)?\))')


def setup(app: Any) -> None:
    """Let the pages be rewritten as they are read."""
    app.connect('source-read', _read)


def _read(app: Any, name: str, source: list[str]) -> None:
    if name in ELSEWHERE:
        source[0] = (ROOT / ELSEWHERE[name]).read_text(encoding='utf-8')
    home = PurePosixPath(ELSEWHERE.get(name, f'docs/{name}.md')).parent
    source[0] = _LINK.sub(lambda link: link[1] + _target(home, link[2]) + link[3], source[0])


def _target(home: PurePosixPath, link: str) -> str:
    """Return where a link of a page leads: to a page of the site, or to the repository."""
    parts: list[str] = []
    for part in (home / link).parts:
        if part == '..':
            parts.pop()
        else:
            parts.append(part)
    path = '/'.join(parts)
    for name, place in ELSEWHERE.items():
        if place == path:
            return f'{name}.md'
    return path.removeprefix('docs/') if path.startswith('docs/') else REPOSITORY + path
