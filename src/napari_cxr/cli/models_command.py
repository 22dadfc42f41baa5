"""``napari-cxr models``: list them, show a card, download a model, or add one."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_cxr.cli.command_options import AsJson, complete_models
from napari_cxr.cli.progress_display import time_text
from napari_cxr.cli.terminal_output import echo, echo_page

if TYPE_CHECKING:
    from napari_cxr.checkpoint.catalog import CatalogEntry
    from napari_cxr.checkpoint.download import DownloadProgress
    from napari_cxr.checkpoint.foreign import WeightsMeaning

__all__ = ['models']

models = typer.Typer(
    help='List the models that can be named, show, download or add one.',
    invoke_without_command=True,
)


@models.callback()
def list_models(context: typer.Context, as_json: AsJson = False) -> None:
    """List the models that can be named, with their cards."""
    if context.invoked_subcommand is not None:
        return
    from napari_cxr.checkpoint import catalog
    from napari_cxr.checkpoint.card_page import headline

    first, demonstrations = catalog.default(), False
    for entry in catalog.entries():
        if as_json:
            card = None if entry.card is None else entry.card.to_dict()
            row = {
                'name': entry.name,
                'where': entry.origin,
                'default': entry.name == first and not entry.error,
                'demonstration': entry.is_demonstration,
                'unfinished': entry.card.unfinished if entry.card is not None else '',
                'card': card or entry.summary or None,
                'error': entry.error,
            }
            echo(json.dumps(row))
        elif entry.card is None:
            word = entry.error or entry.summary.get('title', 'not downloaded yet')
            echo(f'{entry.name} ({entry.origin}): {word}')
            if entry.needs_download:
                echo(f'    not downloaded; get it with: napari-cxr models get {entry.name}')
        else:
            if entry.is_demonstration and not demonstrations:
                demonstrations = True
                echo('Demonstrations:')
            where = f'{entry.origin}, the default' if entry.name == first else entry.origin
            labels = ', '.join(entry.card.labels)
            echo(f'{entry.name} ({where}): {entry.card.title} [{labels}]')
            if told := headline(entry.card):
                echo(f'    {told}')


@models.command()
def show(
    model: Annotated[
        str,
        typer.Argument(
            metavar='NAME|FILE', help='A name, or a file.', autocompletion=complete_models
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Print the card of a model: what it is, its data, its results and its limits."""
    from napari_cxr.checkpoint import CheckpointError, catalog, read_card
    from napari_cxr.checkpoint.card_page import card_markdown

    try:
        card = read_card(catalog.resolve(model))
    except CheckpointError as error:
        raise typer.BadParameter(str(error)) from None
    echo_page(json.dumps(card.to_dict()) if as_json else card_markdown(card))


@models.command()
def get(
    name: Annotated[str, typer.Argument(help='A name from `models` that is not downloaded yet.')],
    file: Annotated[
        Path | None,
        typer.Option(help='The file, if you have it already; it is checked as well.'),
    ] = None,
) -> None:
    """Download a model, check it, and add it to the models that can be named.

    An interrupted download is continued. Proxies are taken from HTTPS_PROXY and NO_PROXY.
    """
    from napari_cxr.checkpoint import CheckpointError, catalog
    from napari_cxr.checkpoint.catalog_entry import bytes_so_far, get_model
    from napari_cxr.checkpoint.download import megabytes

    entry = _catalog_entry(name)
    if entry.path is not None:
        echo(f'{name} is here already: {entry.path}')
        return
    _print_terms(entry)
    try:
        path = _with_progress_bar(get_model(entry, file))
    except CheckpointError as error:
        echo(str(error), err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        echo(
            f'Stopped. {megabytes(bytes_so_far(entry))} are kept; the same command continues.',
            err=True,
        )
        raise typer.Exit(1) from None
    assert catalog.resolve(name) == path
    _export(name)
    echo(f'{name} is ready: napari-cxr classify FILE --model {name}')


@models.command()
def add(
    file: Annotated[
        Path,
        typer.Argument(help='Weights (.pt, .pth, .ckpt, .safetensors), or a model of napari-cxr.'),
    ],
    name: Annotated[str, typer.Option(help='Name of the model.')],
    like: Annotated[
        str,
        typer.Option(
            metavar='LIBRARY',
            help='torchxrayvision, or torchxrayvision:NAME for its weights of that name.',
        ),
    ] = '',
    network: Annotated[
        str, typer.Option(help='Such as densenet121, torchvision:NAME or timm:NAME.')
    ] = '',
    labels: Annotated[
        str,
        typer.Option(
            metavar='A,B,C',
            help='Labels of the outputs, in order; an empty one drops its output.',
        ),
    ] = '',
    mean: Annotated[
        str, typer.Option(metavar='M', help='Of pixels in [0, 1]: a number, or one a channel.')
    ] = '',
    std: Annotated[str, typer.Option(metavar='S', help='As --mean.')] = '',
    size: Annotated[int, typer.Option(min=16, max=4096, help='Pixels a side of the input.')] = 224,
    multilabel: Annotated[
        bool,
        typer.Option('--multilabel', help='An image can have several labels, or none (sigmoid).'),
    ] = False,
    licence: Annotated[str, typer.Option(help='Terms of the weights, for the card.')] = '',
) -> None:
    """Add a model that was trained elsewhere; no code in its file is executed.

    Give what the file does not contain: the network, what its outputs mean, and how its input
    is scaled.
    """
    from napari_cxr.checkpoint import CheckpointError, catalog
    from napari_cxr.checkpoint.card import NAME
    from napari_cxr.checkpoint.foreign import convert

    if not NAME.fullmatch(name):
        raise typer.BadParameter('letters, digits and ._+-, at most 80', param_hint='--name')
    if any(entry.name == name for entry in catalog.entries()):
        raise typer.BadParameter(
            f'{name!r} is taken: choose another name, or remove that model from '
            f'{catalog.models_folder()} first.',
            param_hint='--name',
        )
    try:
        if not like and not network:
            given = catalog.add(file, name)
        else:
            meaning = _meaning(file, like, network, labels, (mean, std), size, multilabel)
            if licence:
                meaning = replace(meaning, licence=licence)
            with tempfile.TemporaryDirectory() as folder:
                made = Path(folder) / f'{name}.safetensors'
                convert(file, made, name, meaning)
                given = catalog.add(made, name)
    except CheckpointError as error:
        echo(f'{error}{_hint(like, network)}', err=True)
        raise typer.Exit(1) from None
    _export(given)
    echo(f'{given} is ready: napari-cxr classify FILE --model {given}')


def _export(name: str) -> None:
    """Export the network of a new model, so that its first use needs no torch."""
    from napari_cxr.checkpoint import catalog
    from napari_cxr.workers.model_worker import export_model

    for _ in export_model(catalog.resolve(name)):
        pass


def _hint(like: str, network: str) -> str:
    said = like or network
    return (
        ''
        if said
        else ' For weights of another library add --like torchxrayvision, or --network NAME.'
    )


def _meaning(
    file: Path,
    like: str,
    network: str,
    labels: str,
    scale: tuple[str, str],
    size: int,
    multilabel: bool,
) -> WeightsMeaning:
    """Return the meaning of a file from the options; exit with status 2 if one is missing."""
    from napari_cxr.checkpoint.foreign import WeightsMeaning, torchxrayvision

    named = tuple(label.strip() for label in labels.split(',')) if labels else ()
    library, _, key = like.partition(':')
    if like:
        if library != torchxrayvision.FORM or network:
            raise typer.BadParameter(
                'torchxrayvision or torchxrayvision:NAME, without --network', param_hint='--like'
            )
        return torchxrayvision.meaning_of(key) if key else torchxrayvision.meaning_in(file, named)
    if not named:
        raise typer.BadParameter(
            'what do the outputs mean? Give the label of each, in order.', param_hint='--labels'
        )
    if twice := next((label for label in named if label and named.count(label) > 1), ''):
        raise typer.BadParameter(f'the label {twice!r} is given twice.', param_hint='--labels')
    means, stds = (_parse_numbers(text, hint) for text, hint in zip(scale, _SCALE, strict=True))
    if max(map(abs, means)) > 1 or max(stds) > 1:
        raise typer.BadParameter(
            'pixels are in [0, 1] here: divide mean and deviation by 255.', param_hint='--mean'
        )
    if min(stds) <= 0:
        raise typer.BadParameter('the standard deviation must be above 0.', param_hint='--std')
    return WeightsMeaning(network, named, means, stds, size=(size, size), multilabel=multilabel)


_SCALE = ('--mean', '--std')


def _parse_numbers(text: str, hint: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split(','))
    except ValueError:
        numbers = ()
    if len(numbers) not in (1, 3) or not all(map(math.isfinite, numbers)):
        raise typer.BadParameter(
            'one number, or three with commas between them; networks of torchvision mostly have '
            '--mean 0.485,0.456,0.406 --std 0.229,0.224,0.225.',
            param_hint=hint,
        )
    return numbers


def _catalog_entry(name: str) -> CatalogEntry:
    from napari_cxr.checkpoint import catalog

    entries = [entry for entry in catalog.entries() if entry.origin == 'download']
    for entry in entries:
        if entry.name == name:
            if entry.error:
                raise typer.BadParameter(entry.error)
            return entry
    listed = ', '.join(entry.name for entry in entries)
    raise typer.BadParameter(f'There is no {name!r} to get; there are {listed}.')


def _print_terms(entry: CatalogEntry) -> None:
    from napari_cxr.checkpoint.catalog_entry import download_terms

    echo(entry.summary.get('title', entry.name))
    for what, text in download_terms(entry):
        echo_page(f'  {what}: ' + text.replace('\n', '\n    '))


def _with_progress_bar(progress: Iterator[DownloadProgress]) -> Any:
    """Draw a progress bar until a generator ends, and return its result."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn('{task.description}'),
        BarColumn(),
        DownloadColumn(),
        TextColumn('{task.fields[left]}'),
    )
    words = {'downloading': 'Downloading', 'checking': 'Checking', 'converting': 'Converting'}
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task('Connecting', total=None, left='')
        while True:
            try:
                event = next(progress)
            except StopIteration as end:
                return end.value
            left = '' if event.seconds is None else f'{time_text(event.seconds)} left'
            bar.update(
                task,
                description=words[event.stage],
                completed=event.done,
                total=event.total or None,
                left=left,
            )
