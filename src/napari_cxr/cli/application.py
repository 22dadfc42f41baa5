"""The commands, put together."""

from __future__ import annotations

import errno
import os
import sys
from typing import Annotated

import typer

from napari_cxr import __version__
from napari_cxr.cli.classifying import classify
from napari_cxr.cli.listing import info, recipes
from napari_cxr.cli.models import models
from napari_cxr.cli.scoring import score
from napari_cxr.cli.training import sweep, train

__all__ = ['app', 'main']

app = typer.Typer(
    help='Classify and explain chest radiographs, and train classifiers on your own. '
    'For research only, not for clinical use.',
    no_args_is_help=True,
    context_settings={'help_option_names': ['-h', '--help']},
    pretty_exceptions_enable=False,
)
_FILES = 'Exit status: 0 all done, 1 some files failed, 2 wrong usage.'
_SCORES = 'Exit status: 0 all done, 1 some files failed or the run was stopped, 2 wrong usage.'
_RUNS = 'Exit status: 0 done, 1 a run failed or was stopped, 2 wrong usage.'

app.command(epilog=_FILES)(classify)
app.command(epilog=_SCORES)(score)
app.command(epilog=_FILES)(info)
app.add_typer(models, name='models')
app.command(epilog=_RUNS)(train)
app.command(epilog=_RUNS)(sweep)
app.command()(recipes)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option('--version', help='Print the version.')] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """Run the command line; where its output cannot be written, say so and end with 1."""
    try:
        app()
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
            raise
        print(f'The output cannot be written: {error.strerror}.', file=sys.stderr)  # noqa: T201
        # What is still in the buffer would fail once more when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
