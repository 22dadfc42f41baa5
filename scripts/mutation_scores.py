"""Print how many mutants of each module the tests killed in the last ``mutmut run``.

A survivor's change is shown by ``mutmut show NAME``.
"""

import json
from collections import Counter
from pathlib import Path

from mutmut.stats import status_by_exit_code

KILLED = ('killed', 'timeout', 'segfault')


def main() -> None:
    total: Counter[str] = Counter()
    for path in sorted(Path('mutants/src').rglob('*.meta')):
        codes = json.loads(path.read_text(encoding='utf-8'))['exit_code_by_key']
        if codes:
            module = path.relative_to('mutants/src').with_suffix('').as_posix()
            counts = Counter(status_by_exit_code[code] for code in codes.values())
            report(module, counts)
            total += counts
    report('all', total)


def report(name: str, counts: Counter[str]) -> None:
    killed = sum(counts[status] for status in KILLED)
    tried = counts.total() - counts['not checked']
    share = f'{killed / tried:.1%}' if tried else ''
    others = ', '.join(f'{n} {status}' for status, n in sorted(counts.items()))
    print(f'{name:45} {killed:5} of {tried:5} {share:>6}  {others}')


if __name__ == '__main__':
    main()
