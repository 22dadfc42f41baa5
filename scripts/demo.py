"""The main job: show a chest radiograph in napari, classify it, lay the heatmap on it.

    python3 scripts/demo.py [FILE] [--headless] [--out PNG]

Sets up what is missing first.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from pathlib import Path

import environment


def main() -> int:
    """Set up, then hand over to ``napari_cxr.plugin.demo`` in the environment."""
    parser = argparse.ArgumentParser(
        description='Open a chest radiograph in napari, classify it and show where the '
        'network looked. For research only, not for clinical use.'
    )
    parser.add_argument('file', nargs='?', type=Path, help='a radiograph; else an example')
    parser.add_argument('--headless', action='store_true', help='no screen: save a screenshot')
    parser.add_argument('--out', type=Path, help='the screenshot (./napari-cxr-demo.png)')
    wanted = parser.parse_args()
    if wanted.file is not None and not wanted.file.exists():
        parser.error(f'there is no file {wanted.file}')
    linux = platform.system() == 'Linux'
    screens = ('DISPLAY', 'WAYLAND_DISPLAY')
    if linux and not wanted.headless and not any(os.environ.get(name) for name in screens):
        parser.error('there is no screen here; add --headless to save a screenshot instead')

    command = [environment.prepare(virtual_screen=wanted.headless), '-m', 'napari_cxr.plugin.demo']
    if wanted.file is not None:
        command.append(str(wanted.file))
    if wanted.headless:
        command.append('--headless')
    if wanted.out is not None:
        command += ['--out', str(wanted.out)]
    env = dict(os.environ)
    if linux and wanted.headless:
        # xvfb-run closes its screen to everyone else on the computer.
        screen = '-screen 0 1600x1000x24 -nolisten tcp'
        command = ['xvfb-run', '--auto-servernum', '--server-args', screen, *command]
        env['QT_QPA_PLATFORM'] = 'xcb'
    return environment.start(command, env)


if __name__ == '__main__':
    sys.exit(main())
