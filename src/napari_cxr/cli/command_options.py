"""Arguments and options that several commands have."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_cxr.settings_file import parse_toml

__all__ = [
    'AsJson',
    'BackendOption',
    'DeviceOption',
    'EpochsOption',
    'Files',
    'Folder',
    'FullResolutionOption',
    'LabelColumn',
    'ModelOption',
    'PathColumn',
    'PatientColumn',
    'PriorOption',
    'QuietOption',
    'ResumeOption',
    'SetOption',
    'SourceColumn',
    'SplitColumn',
    'VerboseOption',
    'ViewColumn',
    'changes_of',
    'check_backend',
    'columns_of',
    'complete_models',
    'complete_recipes',
    'complete_sweeps',
    'prior_of',
]


def complete_models(incomplete: str) -> list[str]:
    """Return the names of models that begin so, for the shell's completion."""
    from napari_cxr.checkpoint import catalog

    return [e.name for e in catalog.entries() if e.name.startswith(incomplete)]


def complete_recipes(incomplete: str) -> list[str]:
    """Return the names of recipes that begin so."""
    from napari_cxr.training.recipe import names

    return [name for name in names() if name.startswith(incomplete)]


def complete_sweeps(incomplete: str) -> list[str]:
    """Return the names of sweeps that begin so."""
    from napari_cxr.training.sweep import names

    return [name for name in names() if name.startswith(incomplete)]


# A file that cannot be read is reported in its row, and the others are still read.
Files = Annotated[
    list[Path],
    typer.Argument(metavar='FILE...', help='Images of any kind.', readable=False),
]
Folder = Annotated[
    Path,
    typer.Argument(
        metavar='FOLDER',
        help='Labelled images: one sub-folder a class, a folder with a manifest.csv, or a CSV '
        'table with the columns path and label (see docs/tables.md).',
    ),
]
AsJson = Annotated[bool, typer.Option('--json', help='One JSON object a line.')]
DeviceOption = Annotated[str, typer.Option(help='auto, cpu, cuda, cuda:N or mps.')]
ModelOption = Annotated[
    str,
    typer.Option(
        metavar='NAME|FILE',
        help='A name from `models`, or a file; by default the one that `models` calls so.',
        show_default=False,
        autocompletion=complete_models,
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        '--set',
        metavar='KEY=VALUE',
        help='Change an entry of the recipe, as TOML: epochs=5, optimiser.learning_rate=1e-4, '
        'data.classes.covid19=["covid"]. May be given several times.',
    ),
]
ResumeOption = Annotated[
    bool, typer.Option('--resume', help='Resume what was stopped or interrupted in --out.')
]
EpochsOption = Annotated[
    int,
    typer.Option(
        min=0,
        metavar='N',
        help='Epochs in all, instead of those of the recipe. With --resume, a run that is '
        'finished or was stopped goes on to so many.',
        show_default=False,
    ),
]
QuietOption = Annotated[
    bool, typer.Option('--quiet', '-q', help='Print only warnings, errors and results.')
]
VerboseOption = Annotated[bool, typer.Option('--verbose', '-v', help='Print every step.')]

_TABLES = 'Columns of your table'


def _column_option(what: str, text: str) -> Any:
    return typer.Option(
        f'--{what}-column', metavar='NAME', help=text, rich_help_panel=_TABLES, show_default=False
    )


PathColumn = Annotated[
    str, _column_option('path', 'The column of files, if it is not called path, file or image.')
]
LabelColumn = Annotated[
    str, _column_option('label', 'The column of labels, if it is not called label or class.')
]
PatientColumn = Annotated[
    str, _column_option('patient', 'The column of patients, if it is not called patient.')
]
SourceColumn = Annotated[
    str, _column_option('source', 'The column of sources, if it is not called source or site.')
]
SplitColumn = Annotated[
    str, _column_option('split', 'The column of splits, if it is not called split.')
]
ViewColumn = Annotated[
    str, _column_option('view', 'The column of views, if it is not called view.')
]

BackendOption = Annotated[
    str,
    typer.Option(
        metavar='NAME',
        help='What runs the network: "ONNX Runtime", OpenVINO, "torch channels_last" or torch. '
        'By default it is the first of these that is installed and agrees with torch; on a GPU '
        'it is torch.',
    ),
]

FullResolutionOption = Annotated[
    bool,
    typer.Option(
        '--full-resolution',
        help='Decode every file at its full size. By default JPEG 2000 and HTJ2K are decoded at a '
        'half, a quarter … of it, as long as that is at least twice what the model looks at.',
    ),
]

_BARE = re.compile(r'[\w./\\:~+ -]+')


def check_backend(backend: str, precision: str = 'auto') -> None:
    """End with status 2 if there is no such backend; whether it is there, only torch can tell."""
    from napari_cxr.inference.backends.backend import BackendUnavailable, find_backend

    try:
        find_backend(backend, '' if precision == 'auto' else precision)
    except BackendUnavailable as error:
        raise typer.BadParameter(str(error), param_hint='--backend') from None


def columns_of(**named: str) -> dict[str, str]:
    """Return the columns that were named, as `napari_cxr.image_tables` takes them."""
    return {what: name for what, name in named.items() if name}


PriorOption = Annotated[
    list[str] | None,
    typer.Option(
        '--prior',
        metavar='CLASS=FRACTION',
        help='The fraction of images that have a class where the model is used, such as '
        'pneumonia=0.05: probabilities then hold there. May be repeated.',
    ),
]


def prior_of(stated: list[str] | None) -> dict[str, float]:
    """Return the prevalence of classes by name, from ``--prior CLASS=FRACTION``.

    Raises
    ------
    typer.BadParameter
        If it is not of that form, or no fraction.
    """
    from napari_cxr.inference.stated_prevalence import parse_prior

    try:
        return parse_prior(stated or ())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint='--prior') from None


def changes_of(settings: list[str] | None) -> dict[str, Any]:
    """Return entries of a recipe by key, from ``--set KEY=VALUE``.

    A value is TOML, or a bare word, which is taken as a text.

    Raises
    ------
    typer.BadParameter
        If there is no '=', or the value is neither TOML nor a bare word.
    """
    changes: dict[str, Any] = {}
    for setting in settings or ():
        key, sign, text = setting.partition('=')
        if not sign or not key.strip():
            raise typer.BadParameter(
                f'{setting!r} is not of the form KEY=VALUE.', param_hint='--set'
            )
        try:
            value = parse_toml(f'value = {text}')['value']
        except ValueError as error:
            if not _BARE.fullmatch(text):
                raise typer.BadParameter(
                    f'{text!r} is not a TOML value: {error}.', param_hint='--set'
                ) from None
            value = text
        changes[key.strip()] = value
    return changes
