"""Run the whole test suite, slow tests included; arguments are handed to pytest.

    python3 scripts/test.py [PYTEST ARGUMENTS]

Sets up what is missing first. The tests draw on a screen in memory.
"""

from __future__ import annotations

import os
import sys

import environment

NO_TESTS = 5  # pytest's exit status where it ran none


def main() -> int:
    """Set up, then run pytest in the environment and return its exit status."""
    python = environment.prepare()
    env = dict(os.environ)
    for library in ('OMP', 'MKL', 'OPENBLAS'):
        # Tests that each take all cores for tiny arrays slow one another down many times over.
        env.setdefault(f'{library}_NUM_THREADS', '1')
    command = [python, '-m', 'pytest', *sys.argv[1:]]
    status = environment.start(command, env, folder=environment.ROOT)
    if status == NO_TESTS:
        print('No test was run, which counts as a failure.', file=sys.stderr)
    return status


if __name__ == '__main__':
    sys.exit(main())
