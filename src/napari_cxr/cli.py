"""The command line: thin, and with the same code as the docks.

This process may own torch; files are decoded in a process of their own.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_cxr import __version__

if TYPE_CHECKING:
    from napari_cxr.explain.heatmap import Heatmap
    from napari_cxr.inference.classifier import Classifier
    from napari_cxr.inference.prediction import Prediction
    from napari_cxr.radiograph import Radiograph

__all__ = ['app', 'main']

app = typer.Typer(
    help='Classify and explain chest radiographs. For research only, not for clinical use.',
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Files = Annotated[list[Path], typer.Argument(metavar='FILE...', help='Images of any kind.')]
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
    stems = Counter(path.stem for path in paths)
    failed = False
    for number, path in enumerate(paths, 1):
        row: dict[str, Any] = {'path': str(path)}
        try:
            radiograph = decoder.read(path)
            if heatmap is None:
                prediction = classifier.predict([radiograph])[0]
            else:
                prediction, maps = classifier.explain(radiograph)
                stem = path.stem if stems[path.stem] == 1 else f'{path.stem}-{number}'
                shown = maps[prediction.labels.index(prediction.label)]
                row['heatmap'] = str(_save(heatmap / stem, radiograph, shown, maps))
                row['heatmap_frame_share'] = shown.frame_share(radiograph.shape)
            row |= _as_row(prediction)
        except (UnreadableImage, RefusedImage, OutOfMemory) as error:
            failed = True
            row['error'] = str(error)
        except OSError as error:  # the heatmap's folder is full, or is gone
            failed = True
            row['error'] = f'The heatmap could not be saved: {error.strerror}.'
        typer.echo(json.dumps(row, ensure_ascii=False) if as_json else _as_text(row))
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
        typer.echo(json.dumps(row, ensure_ascii=False))
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
            row = {'name': entry.name, 'where': entry.where, 'card': card, 'error': entry.error}
            typer.echo(json.dumps(row, ensure_ascii=False))
        elif entry.card is None:
            typer.echo(f'{entry.name} ({entry.where}): {entry.error}')
        else:
            labels = ', '.join(entry.card.labels)
            typer.echo(f'{entry.name} ({entry.where}): {entry.card.title} [{labels}]')


def _load(model: str, device: str) -> Classifier:
    """Load a model, or end with status 2 and the reason."""
    from napari_cxr.checkpoint import CheckpointError
    from napari_cxr.inference.classifier import Classifier
    from napari_cxr.inference.device import DeviceUnavailable

    try:
        return Classifier.load(model, device)
    except (CheckpointError, DeviceUnavailable) as error:
        raise typer.BadParameter(str(error)) from None


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


def _save(stem: Path, radiograph: Radiograph, shown: Heatmap, maps: list[Heatmap]) -> Path:
    """Write the picture and the numbers of one file; return the picture's path."""
    import imageio.v3 as iio
    import numpy as np

    from napari_cxr.explain.rendering import draw

    strongest = max(float(h.values.max()) for h in maps)
    picture = stem.with_name(f'{stem.name}.png')
    iio.imwrite(picture, draw(radiograph.to_display(), shown, strongest))
    np.savez(
        stem.with_name(f'{stem.name}.npz'),
        to_radiograph=shown.to_radiograph,
        **{h.label: h.values for h in maps},
    )
    return picture


if __name__ == '__main__':
    sys.exit(main())
