"""The command line: thin, and with the same code as the docks.

This process may own torch; files are decoded in a process of their own.
"""

from __future__ import annotations

import io
import itertools
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_cxr import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_cxr.explain.heatmap import Heatmap
    from napari_cxr.inference.classifier import Classifier
    from napari_cxr.inference.prediction import Prediction
    from napari_cxr.radiograph import Radiograph
    from napari_cxr.training import Event

__all__ = ['app', 'main']

app = typer.Typer(
    help='Classify and explain chest radiographs. For research only, not for clinical use.',
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

# Whether a file can be read is told in its row, not by refusing them all.
Files = Annotated[
    list[Path],
    typer.Argument(metavar='FILE...', help='Images of any kind.', readable=False),
]
DeviceOption = Annotated[str, typer.Option(help='auto, cpu, cuda, cuda:N or mps.')]
DEFAULT_MODEL = 'cxr3-resnet10'
_STATUS = 'Exit status: 0 all done, 1 some files failed, 2 wrong usage.'


def main() -> None:
    """Run the command line."""
    app()


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option('--version', help='Print the version.')] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


@app.command(epilog=_STATUS)
def classify(
    paths: Files,
    model: Annotated[str, typer.Option(help='A name from `models`, or a file.')] = DEFAULT_MODEL,
    device: DeviceOption = 'auto',
    heatmap: Annotated[
        Path | None,
        typer.Option(
            metavar='DIR',
            help='Save for each file a picture with the heatmap of its class, '
            'and the maps of all classes as numbers.',
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option('--json', help='One JSON object a line.')] = False,
) -> None:
    """Print the probability of each class for each file."""
    from napari_cxr.inference.classifier import OutOfMemory, RefusedImage
    from napari_cxr.radiograph import UnreadableImage
    from napari_cxr.workers.decoding import shared_decoder

    if heatmap is not None:
        try:
            heatmap.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise typer.BadParameter(f'{heatmap}: {error.strerror}') from None
    decoder = shared_decoder()
    decoder.start()  # while torch is being imported
    classifier = _load(model, device)
    pictures = _names_of_pictures(heatmap, paths)
    failed = False
    for path, picture in zip(paths, pictures, strict=True):
        row: dict[str, Any] = {'path': str(path)}
        try:
            radiograph = decoder.read(path)
            if heatmap is None:
                prediction = classifier.predict([radiograph])[0]
            else:
                prediction, maps = classifier.explain(radiograph)
                shown = maps[prediction.labels.index(prediction.label)]
                _save(picture, radiograph, shown, maps)
                row['heatmap'] = str(picture)
                row['heatmap_frame_share'] = shown.frame_share(radiograph.shape)
            row |= _as_row(prediction)
        except (UnreadableImage, RefusedImage, OutOfMemory) as error:
            failed = True
            row['error'] = str(error)
        except OSError as error:  # the heatmap's folder is full, or is gone
            failed = True
            row['error'] = f'The heatmap could not be saved: {error.strerror}.'
        typer.echo(json.dumps(row) if as_json else _as_text(row))
    decoder.close()
    if failed:
        raise typer.Exit(1)


@app.command(epilog=_STATUS)
def info(paths: Files) -> None:
    """Print what each file is, as one JSON object a line, without identity."""
    from napari_cxr.radiograph import UnreadableImage
    from napari_cxr.workers.decoding import shared_decoder

    decoder = shared_decoder()
    failed = False
    for path in paths:
        try:
            row = {'path': str(path)} | decoder.describe(path)
        except UnreadableImage as error:
            failed = True
            row = {'path': str(path), 'error': str(error)}
        typer.echo(json.dumps(row))
    decoder.close()
    if failed:
        raise typer.Exit(1)


@app.command()
def models(
    as_json: Annotated[bool, typer.Option('--json', help='One JSON object a line.')] = False,
) -> None:
    """List the models that can be named, with their cards."""
    from napari_cxr.checkpoint import catalog

    for entry in catalog.entries():
        if as_json:
            card = None if entry.card is None else asdict(entry.card)
            row = {
                'name': entry.name,
                'where': entry.where,
                'card': card or entry.summary or None,
                'error': entry.error,
            }
            typer.echo(json.dumps(row))
        elif entry.card is None:
            word = entry.error or entry.summary.get('title', 'not downloaded yet')
            typer.echo(f'{entry.name} ({entry.where}): {word}')
        else:
            labels = ', '.join(entry.card.labels)
            typer.echo(f'{entry.name} ({entry.where}): {entry.card.title} [{labels}]')


@app.command(epilog='Exit status: 0 done, 1 the run failed or was stopped, 2 wrong usage.')
def train(
    folder: Annotated[
        Path,
        typer.Argument(metavar='FOLDER', help='One sub-folder a class, or with a manifest.csv.'),
    ],
    recipe: Annotated[str, typer.Option(help='Name of a shipped recipe, or a TOML file.')],
    out: Annotated[Path, typer.Option(help='Folder of the run, new or empty.')],
    device: DeviceOption = 'auto',
) -> None:
    """Train a network by a recipe; the best checkpoint and its card end in --out."""
    from napari_cxr.inference.device import DeviceUnavailable
    from napari_cxr.training import DatasetError, RecipeError, TrainingError, index, recipes, train
    from napari_cxr.workers.decoding import shared_decoder

    try:
        events = train(
            index(folder), recipes.find(recipe), out, device, read=shared_decoder().read
        )
        _show(events)
    except (DatasetError, RecipeError, DeviceUnavailable) as error:
        raise typer.BadParameter(str(error)) from None
    except (TrainingError, OSError) as error:
        typer.echo(f'The run failed: {error}', err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        best = out / 'best.safetensors'
        kept = f'The best model so far is {best}.' if best.is_file() else 'No epoch was finished.'
        typer.echo(f'Stopped. {kept}', err=True)
        raise typer.Exit(1) from None
    finally:
        shared_decoder().close()


def _load(model: str, device: str) -> Classifier:
    """Load a model, or end with status 2 and the reason."""
    from napari_cxr.checkpoint import CheckpointError
    from napari_cxr.inference.classifier import Classifier
    from napari_cxr.inference.device import DeviceUnavailable

    try:
        return Classifier.load(model, device)
    except (CheckpointError, DeviceUnavailable) as error:
        raise typer.BadParameter(str(error)) from None


def _show(events: Iterator[Event]) -> None:
    """Draw a run's events: a bar for reading and for each epoch, a line for each result."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    from napari_cxr.training import BatchDone, EpochDone, Finished, Reading, Skipped, Started

    console = Console(stderr=True)
    columns = (
        TextColumn('{task.description}'),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn('{task.fields[rate]}'),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task('Reading', rate='')
        for event in events:
            match event:
                case Reading(done=done, total=total):
                    progress.update(bar, completed=done, total=total)
                case Skipped(path=path, reason=reason):
                    console.print(f'left out: {path}: {reason}', highlight=False)
                case Started(counts=counts, split_kind=kind, parameters=n, device=device):
                    for split, by_class in counts.items():
                        shown = ', '.join(f'{name} {count}' for name, count in by_class.items())
                        console.print(f'{split}: {shown}', highlight=False)
                    console.print(f'split {kind}; {n:,} parameters; on {device}', highlight=False)
                    progress.update(bar, description='Training', completed=0)
                case BatchDone(epoch=epoch, batch=batch, batches=batches):
                    progress.update(
                        bar,
                        description=f'Epoch {epoch}',
                        completed=batch,
                        total=batches,
                        rate=f'{event.images_per_second:.0f} images/s',
                    )
                case EpochDone():
                    console.print(
                        f'{event.epoch:3}/{event.epochs}  loss {event.train_loss:.3f} / '
                        f'{event.val_loss:.3f}  accuracy {event.val_accuracy:.3f}  macro AUC '
                        f'{event.val_macro_auc:.3f}  {event.seconds:.0f} s'
                        f'{"  best" if event.best else ""}',
                        highlight=False,
                    )
                case Finished(path=path):
                    typer.echo(path)


def _as_row(prediction: Prediction) -> dict[str, Any]:
    return {
        'model': prediction.model,
        'model_hash': prediction.model_hash,
        'label': prediction.label,
        'probabilities': dict(zip(prediction.labels, prediction.probabilities, strict=True)),
        'warnings': [caution.text for caution in prediction.cautions],
        'device': prediction.device,
        'preprocessing': prediction.preprocessing,
        'version': prediction.version,
    }


def _as_text(row: dict[str, Any]) -> str:
    if 'error' in row:
        return f'{row["path"]}: not classified. {row["error"]}'
    shares = '  '.join(f'{name} {p:.1%}' for name, p in row['probabilities'].items())
    lines = [f'{row["path"]}: {row["label"]}  ({shares})']
    return '\n'.join(lines + [f'    {text}' for text in row['warnings']])


def _names_of_pictures(folder: Path | None, paths: list[Path]) -> list[Path]:
    """Return where the heatmap of each file goes: never on one of them or on each other."""
    taken = {path.resolve() for path in paths}
    names: list[Path] = []
    for path in paths:
        name = (folder or Path()) / f'{path.stem}-heatmap.png'
        for number in itertools.count(2):
            if name.resolve() not in taken:
                break
            name = name.with_name(f'{path.stem}-heatmap-{number}.png')
        taken.add(name.resolve())
        names.append(name)
    return names


def _save(picture: Path, radiograph: Radiograph, shown: Heatmap, maps: list[Heatmap]) -> None:
    """Write the picture of one heatmap, and the maps of all classes as numbers beside it."""
    import imageio.v3 as iio
    import numpy as np

    from napari_cxr.explain.rendering import draw

    strongest = max(float(h.values.max()) for h in maps)
    encoded = iio.imwrite(
        '<bytes>', draw(radiograph.to_display(), shown, strongest), extension='.png'
    )
    numbers = {'to_radiograph': shown.to_radiograph} | {h.label: h.values for h in maps}
    packed = io.BytesIO()
    np.savez(packed, allow_pickle=False, **numbers)
    for path, content in ((picture, encoded), (picture.with_suffix('.npz'), packed.getvalue())):
        try:
            path.write_bytes(content)
        except OSError:
            path.unlink(missing_ok=True)  # no half of a picture
            raise


if __name__ == '__main__':
    main()
