"""Run the whole test suite, slow tests included, or what pytest's arguments say.

    python3 scripts/test.py [PYTEST ARGUMENTS]

Sets up what is missing first. The tests draw on screens in memory. Without arguments several
processes share the files of tests, as many as there are cores, but at most four: each holds
torch and napari, 3 GB.
"""

from __future__ import annotations

import os
import sys

import environment

NO_TESTS = 5  # pytest's exit status where it ran none
# Tests of one file share fixtures that are costly.
TOGETHER = ['-n', 'auto', '--maxprocesses', '4', '--dist', 'loadfile']


def main() -> int:
    """Set up, then run pytest in the environment and return its exit status."""
    python = environment.prepare()
    env = dict(os.environ)
    # Each process of the tests rewrites and compiles 200 files, and each worker that a test
    # starts compiles what it loads: nine seconds and a fifth of one, unless it is kept.
    env.pop('PYTHONDONTWRITEBYTECODE', None)
    for library in ('OMP', 'MKL', 'OPENBLAS'):
        # Tests that each take all cores for tiny arrays slow one another down many times over.
        env.setdefault(f'{library}_NUM_THREADS', '1')
    command = [python, '-m', 'pytest', *(sys.argv[1:] or TOGETHER)]
    status = environment.start(command, env, folder=environment.ROOT)
    if status == NO_TESTS:
        print('No test was run, which counts as a failure.', file=sys.stderr)
    return status


if __name__ == '__main__':
    sys.exit(main())
