"""Put tables into a page of the docs, between the marks that name them."""

import re
from collections.abc import Mapping
from pathlib import Path


def fill(page: Path, tables: Mapping[str, str], script: str) -> None:
    """Replace what stands between the marks of each table; `script` is who makes them."""
    text = page.read_text(encoding='utf-8')
    for name, table in tables.items():
        begin, end = f'<!-- {name}: made by scripts/{script} -->', f'<!-- end of {name} -->'
        pattern = re.compile(f'{re.escape(begin)}.*?{re.escape(end)}', re.DOTALL)
        if not pattern.search(text):
            raise SystemExit(f'{page} has no place for the table {name!r}.')
        text = pattern.sub(lambda _, t=table, b=begin, e=end: f'{b}\n\n{t}\n\n{e}', text)
    page.write_text(text, encoding='utf-8')
