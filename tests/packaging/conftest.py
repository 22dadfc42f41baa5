"""The checkout, and the distributions built from it."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest


@pytest.fixture(scope='session')
def checkout() -> Path:
    """Top of the checkout."""
    return Path(__file__).resolve().parents[2]


@pytest.fixture(scope='session')
def built(checkout, tmp_path_factory) -> SimpleNamespace:
    """The sdist, and the wheel that is built from it."""
    out = tmp_path_factory.mktemp('dist')
    command = [sys.executable, '-m', 'build', '--no-isolation', '--outdir', str(out)]
    finished = subprocess.run([*command, str(checkout)], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    (sdist,) = out.glob('*.tar.gz')
    (wheel,) = out.glob('*.whl')
    return SimpleNamespace(sdist=sdist, wheel=wheel)
