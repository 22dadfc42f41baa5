"""``napari-cxr doctor``: what is installed here, what works, and what to do about the rest."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from napari_cxr.cli.terminal_output import echo
from napari_cxr.installation import Check, check_installation

__all__ = ['doctor']


def doctor(
    as_json: Annotated[
        bool, typer.Option('--json', help='Print one JSON object per line instead.')
    ] = False,
) -> None:
    """Check the installation: versions, decoders, devices, models, folders, free space.

    Nothing is changed and nothing is sent anywhere. The page names no patient, but the folders
    in it may hold your user name.
    """
    part, wrong = '', []
    for check in check_installation():
        if as_json:
            echo(json.dumps(asdict(check)))
        else:
            if check.part != part:
                if part:
                    echo('')
                part = check.part
                echo(part)
            _print(check)
        if check.state == 'broken':
            wrong.append(check)
    if not as_json:
        echo('')
        if wrong:
            echo(f'{len(wrong)} of these must be put right: {", ".join(c.name for c in wrong)}.')
        else:
            echo('All that is needed is here.')
    if wrong:
        raise typer.Exit(1)


def _print(check: Check) -> None:
    mark = {'ok': ' ', 'limited': '-', 'broken': '!'}[check.state]
    echo(f'{mark} {check.name}: {check.found}')
    if check.advice:
        echo(f'    {check.advice}')
