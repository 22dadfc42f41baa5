"""The command line: a thin layer over the code that the docks use.

This process may import torch; files are decoded in separate processes.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
from typing import Annotated

import typer

from napari_cxr import __version__
from napari_cxr.cli.agreement_command import agreement
from napari_cxr.cli.audit_command import audit
from napari_cxr.cli.classify_command import classify, info
from napari_cxr.cli.doctor_command import doctor
from napari_cxr.cli.evaluate_command import evaluate
from napari_cxr.cli.experts_command import experts
from napari_cxr.cli.models_command import models
from napari_cxr.cli.recipes_command import recipes
from napari_cxr.cli.score_command import score
from napari_cxr.cli.terminal_output import SafeGroup
from napari_cxr.cli.train_command import runs, sweep, train

__all__ = ['app', 'main']

_COLUMNS = shutil.get_terminal_size().columns
# In fewer columns rich cuts off the names of options in its tables; plain help wraps.
_NARROW = _COLUMNS < 80

app = typer.Typer(
    cls=SafeGroup,
    help='Classify and explain chest radiographs, and train classifiers on your own. '
    'For research only, not for clinical use.',
    no_args_is_help=True,
    context_settings={
        'help_option_names': ['-h', '--help'],
        **({'terminal_width': _COLUMNS} if _NARROW else {}),
    },
    rich_markup_mode=None if _NARROW else 'rich',
    pretty_exceptions_enable=False,
)

_STATUS_OF_FILES = 'Exit status: 0 all done, 1 some files failed, 2 wrong usage.'

_STATUS_OF_SCORING = (
    'Exit status: 0 all done, 1 some files failed or the run was stopped, 2 wrong usage.'
)

_STATUS_OF_RUNS = 'Exit status: 0 done, 1 a run failed or was stopped, 2 wrong usage.'

_STATUS_OF_AUDIT = 'Exit status: 0 done, whatever was found, 2 wrong usage.'

app.command(epilog=_STATUS_OF_FILES)(classify)

app.command(epilog=_STATUS_OF_SCORING)(score)

_STATUS_OF_EVALUATION = (
    'Exit status: 0 done, 1 stopped, or figures of --again are not the same, 2 wrong usage.'
)
_STATUS_OF_AGREEMENT = 'Exit status: 0 done, 2 wrong usage.'
_STATUS_OF_EXPERTS = 'Exit status: 0 done, 1 no marked finding could be compared, 2 wrong usage.'

app.command(epilog=_STATUS_OF_EVALUATION)(evaluate)
app.command(epilog=_STATUS_OF_AGREEMENT)(agreement)
app.command(epilog=_STATUS_OF_EXPERTS)(experts)

app.command(epilog=_STATUS_OF_FILES)(info)

app.add_typer(models, name='models')

app.command(epilog=_STATUS_OF_RUNS)(train)

app.command(epilog=_STATUS_OF_RUNS)(sweep)

app.add_typer(recipes, name='recipes')

app.command(epilog=_STATUS_OF_RUNS)(runs)

app.command(epilog='Exit status: 0 all that is needed works, 1 something does not.')(doctor)

app.command(epilog=_STATUS_OF_AUDIT)(audit)


@app.callback(invoke_without_command=True)
def _before_any_command(
    version: Annotated[bool, typer.Option('--version', help='Print the version.')] = False,
    decoder_memory: Annotated[
        float,
        typer.Option(
            metavar='GB',
            min=0,
            max=1_000_000,
            envvar='NAPARI_CXR_DECODER_MEMORY',
            help='What all processes that decode files may take together; 0 for what is free.',
        ),
    ] = 0,
    decoder_seconds: Annotated[
        float,
        typer.Option(
            metavar='SECONDS',
            min=1,
            max=86_400,
            envvar='NAPARI_CXR_DECODER_SECONDS',
            help='For how long one file may have a core; by the clock it may take twice as long.',
        ),
    ] = 60,
) -> None:
    # Where decoders look for them, in this process and in those that it starts.
    os.environ['NAPARI_CXR_DECODER_MEMORY'] = f'{decoder_memory:.9g}'
    os.environ['NAPARI_CXR_DECODER_SECONDS'] = f'{decoder_seconds:.9g}'
    if version:
        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """Run the command line; exit with status 1 if its output cannot be written."""
    try:
        app()
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
            raise
        print(f'The output cannot be written: {error.strerror}.', file=sys.stderr)  # noqa: T201
        # The rest of the buffer would fail again when Python exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
