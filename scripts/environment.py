"""Set up all that this checkout needs: system packages, and an environment in ``.venv``.

    python3 scripts/environment.py [--cpu] [--locked]
    python3 scripts/environment.py --freeze

``--cpu`` takes a torch without the 4 GB of libraries for NVIDIA GPUs, ``--locked`` the versions in
``constraints.txt``; ``--freeze`` writes that file from the environment that is there.

``demo.py`` and ``test.py`` set up without options before they start; what is there already is
left alone. Only the standard library is used here, because nothing else can be
relied on before the set-up is done.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import hashlib
import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / '.venv'
STAMP = ENVIRONMENT / 'napari-cxr-ready'
UNFINISHED = ENVIRONMENT / 'napari-cxr-unfinished'

# The versions with which the tests have run.
CONSTRAINTS = ROOT / 'constraints.txt'
# Where PyTorch keeps builds for processors alone.
CPU_INDEX = 'https://download.pytorch.org/whl/cpu'

# What Qt's xcb platform and OpenGL load at run time, and the Debian package of each. A library
# is asked for by its own name, because package names differ between Debian and Ubuntu releases.
LIBRARIES = {
    'libEGL.so.1': 'libegl1',
    'libGL.so.1': 'libgl1',
    'libX11-xcb.so.1': 'libx11-xcb1',
    'libdbus-1.so.3': 'libdbus-1-3',
    'libfontconfig.so.1': 'libfontconfig1',
    'libgthread-2.0.so.0': 'libglib2.0-0',
    'libxcb-cursor.so.0': 'libxcb-cursor0',
    'libxcb-icccm.so.4': 'libxcb-icccm4',
    'libxcb-image.so.0': 'libxcb-image0',
    'libxcb-keysyms.so.1': 'libxcb-keysyms1',
    'libxcb-randr.so.0': 'libxcb-randr0',
    'libxcb-render-util.so.0': 'libxcb-render-util0',
    'libxcb-shape.so.0': 'libxcb-shape0',
    'libxcb-xkb.so.1': 'libxcb-xkb1',
    'libxkbcommon-x11.so.0': 'libxkbcommon-x11-0',
}
# A screen in memory, for tests and screenshots.
PROGRAMS = {'Xvfb': 'xvfb', 'xauth': 'xauth'}


def loads(library: str) -> bool:
    """Whether the system's loader finds a shared library."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def missing_packages(virtual_screen: bool) -> list[str]:
    """Debian packages that this computer still lacks; none but on Linux."""
    if platform.system() != 'Linux':
        return []
    missing = [package for library, package in LIBRARIES.items() if not loads(library)]
    if virtual_screen:
        missing += [package for program, package in PROGRAMS.items() if not shutil.which(program)]
    if importlib.util.find_spec('ensurepip') is None:
        # Debian keeps the part of venv that brings pip in a package of its own.
        missing.append(f'python{sys.version_info[0]}.{sys.version_info[1]}-venv')
    return missing


def install_packages(virtual_screen: bool) -> None:
    """Install the missing system packages as root; otherwise name them and stop."""
    missing = missing_packages(virtual_screen)
    if not missing:
        return
    if os.geteuid() != 0 or not shutil.which('apt-get'):
        raise SystemExit(
            'System packages are missing. Install them, then give the same command again:\n'
            f'    sudo apt-get update && sudo apt-get install -y {" ".join(missing)}'
        )
    print('Installing system packages:', *missing, flush=True)
    quiet = {**os.environ, 'DEBIAN_FRONTEND': 'noninteractive'}
    # A source that cannot be reached fails the update, and need not concern these packages.
    subprocess.run(['apt-get', 'update', '-qq'], env=quiet, stdin=subprocess.DEVNULL)
    run(['apt-get', 'install', '-y', '-qq', '--no-install-recommends', *missing], env=quiet)
    importlib.invalidate_caches()
    if still := missing_packages(virtual_screen):
        raise SystemExit(f'apt-get installed these, but they cannot be loaded: {" ".join(still)}')


def run(command: list[str], env: dict[str, str] | None = None) -> None:
    """Run one step of the set-up, or stop with the command that failed."""
    finished = subprocess.run(command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL)
    if finished.returncode != 0:
        raise SystemExit(
            f'This step failed (its own message stands above): {shlex.join(command)}\n'
            'Put right what it names, then give the same command again.'
        )


def environment_python() -> Path:
    """Path of the environment's interpreter."""
    if platform.system() == 'Windows':
        return ENVIRONMENT / 'Scripts' / 'python.exe'
    return ENVIRONMENT / 'bin' / 'python'


def wanted_stamp() -> tuple[str, str]:
    """Return what the environment is bound to, and a digest of what it must hold.

    A change of the first (another Python, a moved checkout) asks for a new
    environment, a change of the second (pyproject.toml) for another ``pip install``.
    """
    version = f'{sys.version_info[0]}.{sys.version_info[1]}'
    place = f'Python {version} of {sys.base_prefix} in {ROOT}'
    digest = hashlib.sha256((ROOT / 'pyproject.toml').read_bytes()).hexdigest()
    return place, digest


def install_environment(cpu: bool = False, locked: bool = False) -> None:
    """Bring ``.venv`` up to date, beginning anew where an earlier set-up was cut off.

    Parameters
    ----------
    cpu
        Whether torch is to come without libraries for GPUs.
    locked
        Whether every version is to be that of ``constraints.txt``.
    """
    place, digest = wanted_stamp()
    if ENVIRONMENT.exists():
        ready = STAMP.read_text(encoding='utf-8').splitlines() if STAMP.exists() else []
        unfinished = UNFINISHED.exists()
        if not ready and not unfinished and any(ENVIRONMENT.iterdir()):
            raise SystemExit(
                f'{ENVIRONMENT} was not made by this script, which therefore leaves it alone. '
                'Move it away, then give the same command again.'
            )
        if ready == [place, digest] and not unfinished and environment_python().exists():
            if cpu or locked:
                raise SystemExit(
                    f'{ENVIRONMENT} is set up already. To make it anew with these options, '
                    'remove it, then give the same command again.'
                )
            return
        if unfinished or ready[:1] != [place]:
            print('Removing an environment that is unfinished or for another Python.', flush=True)
            # The mark goes last: a removal that is cut off must be taken up again.
            for entry in ENVIRONMENT.iterdir():
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                elif entry not in (UNFINISHED, STAMP):
                    entry.unlink()

    ENVIRONMENT.mkdir(exist_ok=True)
    UNFINISHED.touch()
    STAMP.unlink(missing_ok=True)
    python = str(environment_python())
    if not environment_python().exists():
        print('Creating the environment .venv.', flush=True)
        run([sys.executable, '-m', 'venv', str(ENVIRONMENT)])
    # Dependency groups are known to pip from 25.1 on.
    run([python, '-m', 'pip', 'install', '--quiet', '--upgrade', 'pip>=25.1'])
    size = '2 GB' if cpu else '6 GB'
    print(f'Installing napari-cxr and what it needs (about {size}, some minutes).', flush=True)
    install = [python, '-m', 'pip', 'install', *([] if sys.stdout.isatty() else ['--quiet'])]
    if locked:
        install += ['--constraint', str(CONSTRAINTS)]
    if cpu:
        # First, so that the second step finds them and takes no others.
        run([*install, 'torch', 'torchvision', '--index-url', CPU_INDEX])
    run([*install, '--editable', '.[qt]', '--group', 'dev'])
    # torchvision loads only beside the very torch it was built for.
    loaded = 'print("torch", torch.__version__ + ", torchvision", torchvision.__version__)'
    run([python, '-c', f'import torch, torchvision; {loaded}'])

    written = STAMP.with_suffix('.new')
    written.write_text(f'{place}\n{digest}\n', encoding='utf-8')
    written.replace(STAMP)
    UNFINISHED.unlink()
    print('Set-up is complete.', flush=True)


def freeze() -> None:
    """Write the versions of all packages of the environment to ``constraints.txt``."""
    command = [str(environment_python()), '-m', 'pip', 'freeze', '--exclude-editable']
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    # Other kinds of lines name files of this computer. A build such as +cpu is on no index but
    # its own, and libraries for GPUs come with torch or not at all.
    lines = [
        line.partition('+')[0]
        for line in listed.splitlines()
        if '==' in line and not line.startswith(('nvidia-', 'cuda-', 'triton'))
    ]
    head = (
        '# The versions with which the tests have run; scripts/environment.py --freeze writes it.'
    )
    CONSTRAINTS.write_text('\n'.join([head, *lines]) + '\n', encoding='utf-8')


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Let a second set-up of the same checkout wait for the first."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    with open(ROOT / 'pyproject.toml', 'rb') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print('Waiting for another set-up of this checkout.', flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def prepare(virtual_screen: bool = True, cpu: bool = False, locked: bool = False) -> str:
    """Set up whatever is missing and return the path of the environment's interpreter.

    Parameters
    ----------
    virtual_screen
        Whether a screen in memory (Xvfb) is needed besides the libraries.
    cpu, locked
        As for `install_environment`.
    """
    if sys.version_info < (3, 11):  # noqa: UP036  the scripts are the first to meet an old Python
        raise SystemExit(f'Python 3.11 or later is needed; this is {sys.version.split()[0]}.')
    try:
        with one_at_a_time():
            install_packages(virtual_screen)
            install_environment(cpu, locked)
    except KeyboardInterrupt:
        raise SystemExit('Stopped. The same command takes the set-up up again.') from None
    return str(environment_python())


def start(command: list[str], env: dict[str, str], folder: Path | None = None) -> int:
    """Run the command that the set-up was for, to its end; return its exit status."""
    process = subprocess.Popen(command, cwd=folder, env=env)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            # The terminal sent it to the command as well, which ends in its own way.
            continue


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(
        description='Set up all that this checkout needs: system packages, and an environment '
        'in .venv.'
    )
    parser.add_argument('--cpu', action='store_true', help='torch without libraries for GPUs')
    parser.add_argument('--locked', action='store_true', help='the versions in constraints.txt')
    parser.add_argument('--freeze', action='store_true', help='write constraints.txt, and stop')
    wanted = parser.parse_args()
    if wanted.freeze:
        freeze()
    else:
        prepare(cpu=wanted.cpu, locked=wanted.locked)


if __name__ == '__main__':
    main()
