"""``napari-cxr classify``: the probability of each class for each file; and ``info``."""

from __future__ import annotations

import io
import itertools
import json
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_cxr.cli.command_options import (
    AsJson,
    BackendOption,
    DeviceOption,
    Files,
    FullResolutionOption,
    ModelOption,
    PriorOption,
    check_backend,
    prior_of,
)
from napari_cxr.cli.terminal_output import echo

if TYPE_CHECKING:
    from napari_cxr.explain.heatmap import Heatmap
    from napari_cxr.inference.classifier import Classifier
    from napari_cxr.inference.prediction import Prediction
    from napari_cxr.lungs import LungField
    from napari_cxr.radiograph import Radiograph

__all__ = ['classify', 'info', 'load_model']

#: Of more findings than this only those above their thresholds are printed.
_MOST_PRINTED_FINDINGS = 6


def classify(
    paths: Files,
    model: ModelOption = '',
    device: DeviceOption = 'auto',
    heatmap: Annotated[
        Path | None,
        typer.Option(
            metavar='DIR',
            help='Save for each file a picture with the heatmap of its class, '
            'and the maps of all classes as numbers.',
        ),
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            help='How heatmaps are made: Grad-CAM, Grad-CAM++, HiResCAM, LayerCAM, EigenCAM, '
            'ScoreCAM, Occlusion or "Integrated gradients".',
        ),
    ] = 'Grad-CAM',
    against: Annotated[
        str,
        typer.Option(
            metavar='CLASS',
            help='A class to contrast with: heatmaps show what makes an image look like another '
            'class rather than this one.',
        ),
    ] = '',
    backend: BackendOption = '',
    prior: PriorOption = None,
    full_resolution: FullResolutionOption = False,
    as_json: AsJson = False,
) -> None:
    """Print the probability of each class for each file.

    Where a file is probably no upright frontal chest radiograph, a warning stands first.
    """
    from napari_cxr import lungs
    from napari_cxr.api.result_output import prediction_entries
    from napari_cxr.explain import explanation_methods
    from napari_cxr.inference.classifier import OutOfMemory, RefusedImage
    from napari_cxr.radiograph import UnreadableImage
    from napari_cxr.workers.decoder_pool import shared_decoder

    if all(path.is_dir() for path in paths):
        raise typer.BadParameter(f'{paths[0]}: {_folder_hint(paths[0])}')
    if backend:
        check_backend(backend)
    try:
        method = explanation_methods.method(method).name
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint='--method') from None
    if heatmap is None and (against or method != explanation_methods.DEFAULT_METHOD):
        raise typer.BadParameter('--method and --against are for heatmaps: add --heatmap DIR.')
    if heatmap is not None:
        from napari_cxr.scoring import ScoringError
        from napari_cxr.scoring.scoring_checks import make_result_folder

        try:
            make_result_folder(heatmap)
        except ScoringError as error:
            raise typer.BadParameter(str(error), param_hint='--heatmap') from None
    decoder = shared_decoder()
    decoder.start()  # while the network is being loaded
    classifier = load_model(model, device, backend)
    try:
        classifier = classifier.at_prevalence(prior_of(prior))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint='--prior') from None
    if against and (against not in classifier.labels or len(classifier.labels) < 2):
        raise typer.BadParameter(
            f'{classifier.card.name} cannot contrast a class with {against!r}: its classes are '
            f'{", ".join(classifier.labels)}.',
            param_hint='--against',
        )
    if classifier.card.demonstration:
        echo(classifier.card.demonstration, err=True)
    pictures = _picture_paths(heatmap, paths)
    least = None if full_resolution else classifier.preprocessing.least_decoded
    failed = False
    for path, picture in zip(paths, pictures, strict=True):
        row: dict[str, Any] = {'path': str(path)}
        where = ''
        try:
            radiograph = decoder.read(path, least)
            if heatmap is None:
                if path is paths[-1]:
                    decoder.close()  # whose memory is free for the network
                row |= prediction_entries(classifier.predict([radiograph])[0])
            else:
                # Of what cannot be classified `explain` tells why.
                no_lungs = radiograph.refusal or radiograph.frames is not None
                field = None if no_lungs else lungs.find_lungs(radiograph)
                prediction, maps = classifier.explain(
                    radiograph, method=method, field=field, against=against
                )
                shown = _leading(prediction, maps)
                # A person gets to see the whole image, whatever the model was shown.
                whole = radiograph if radiograph.step == 1 else decoder.read(path)
                _save_heatmaps(picture, whole, shown, maps)
                row |= prediction_entries(prediction) | {'heatmap': str(picture)}
                fractions, where = _heatmap_fractions(shown, radiograph, field)
                row |= fractions
        except (UnreadableImage, RefusedImage, OutOfMemory) as error:
            failed = True
            row['error'] = _folder_hint(path) or str(error)
        except OSError as error:  # the heatmap's folder is full, or is gone
            failed = True
            row['error'] = f'The heatmap could not be saved: {error.strerror}.'
        for line in [json.dumps(row)] if as_json else _prediction_lines(row, where):
            echo(line)
    decoder.close()
    if failed:
        raise typer.Exit(1)


def _leading(prediction: Prediction, maps: list[Heatmap]) -> Heatmap:
    """Return the heatmap of the leading class; in contrast to that one, of the next."""
    leading = next(one for one in maps if one.label == prediction.leading)
    if leading.against != leading.label:
        return leading
    return max((one for one in maps if one is not leading), key=lambda one: one.probability)


def _folder_hint(path: Path) -> str:
    """Return what to do with a folder, which is scored; empty for what is none."""
    if not path.is_dir():
        return ''
    command = shlex.join(['napari-cxr', 'score', str(path), '--out', 'scores.csv'])
    return f'It is a folder. To score all images in it: {command}'


def load_model(model: str, device: str, backend: str = '') -> Classifier:
    """Load a model, or end with status 2 and the reason."""
    from napari_cxr.checkpoint import CheckpointError, catalog
    from napari_cxr.inference.backends.backend import BackendUnavailable
    from napari_cxr.inference.classifier import Classifier, OutOfMemory
    from napari_cxr.inference.cpu import keep_freed_memory
    from napari_cxr.inference.device import DeviceUnavailable

    keep_freed_memory()
    try:
        return Classifier.load(model or catalog.default(), device, backend)
    except BackendUnavailable as error:
        raise typer.BadParameter(str(error), param_hint='--backend') from None
    except (CheckpointError, DeviceUnavailable, OutOfMemory) as error:
        raise typer.BadParameter(str(error)) from None


def _heatmap_fractions(
    shown: Heatmap, radiograph: Radiograph, field: LungField | None
) -> tuple[dict[str, Any], str]:
    """Return where a heatmap lies, as entries for JSON and in one sentence."""
    from napari_cxr.api.result_output import location_entries
    from napari_cxr.explain.heatmap_location import (
        heatmap_location,
        lung_labels,
        marker_fraction,
        uniform_lung_fraction,
    )
    from napari_cxr.lungs.text_markers import text_markers

    found: dict[str, Any] = {
        'heatmap_method': shown.method,
        'heatmap_frame_share': shown.frame_fraction(radiograph.shape),
    }
    where = ''
    if field is not None:
        labels = lung_labels(field)
        mask = labels > 0
        location = heatmap_location(shown, labels, field.shape)
        found |= location_entries(location)
        if location is not None:
            where = (
                f'{shown.method} of {shown.title}: its peak lies {location.place}; '
                f'{location.half_peak_lung_fraction:.0%} of the area above half of it is lung.'
            )
        found['heatmap_lung_share'] = shown.fraction_in(mask, field.shape)
        found['heatmap_lung_share_if_even'] = uniform_lung_fraction(shown, mask, field.shape)
        found['lung_field'] = field.source
        on_markers = marker_fraction(shown, text_markers(radiograph, field), radiograph.shape)
        found['heatmap_marker_fraction'] = on_markers.fraction
        found['heatmap_marker_fraction_uniform'] = on_markers.uniform
    return found, where


def _prediction_lines(row: dict[str, Any], where: str = '') -> list[str]:
    if 'error' in row:
        return [f'{row["path"]}: failed. {row["error"]}']
    named = row['probabilities']
    if 'above' in row and len(named) > _MOST_PRINTED_FINDINGS:
        named = {name: named[name] for name in row['above']}
    shares = '  '.join(f'{name} {p:.1%}' for name, p in named.items())
    told = '  '.join(filter(None, (f'({shares})' if shares else '', row.get('reason', ''))))
    doubts = [doubt['text'] for doubt in row['doubts']]
    lines = [f'{row["path"]}: WARNING: {text}' for text in doubts]
    lines.append(f'{row["path"]}: {row["answer"]}  {told}')
    more = [text for text in (row.get('possible_reason', ''), where) if text]
    more += [text for text in row['warnings'] if text not in doubts]
    return lines + [f'    {text}' for text in more]


def _picture_paths(folder: Path | None, paths: list[Path]) -> list[Path]:
    """Return where the heatmap of each file goes: never on one of them or on each other."""
    taken = {os.path.realpath(path) for path in paths}  # of a link to itself too
    names: list[Path] = []
    for path in paths:
        name = (folder or Path()) / f'{path.stem}-heatmap.png'
        for number in itertools.count(2):
            if os.path.realpath(name) not in taken:
                break
            name = name.with_name(f'{path.stem}-heatmap-{number}.png')
        taken.add(os.path.realpath(name))
        names.append(name)
    return names


def _save_heatmaps(
    picture: Path, radiograph: Radiograph, shown: Heatmap, maps: list[Heatmap]
) -> None:
    """Write the picture of one heatmap, and the maps of all classes as numbers beside it."""
    import imageio.v3 as iio
    import numpy as np

    from napari_cxr.explain.heatmap import draw_heatmap, full_colour

    strongest = full_colour(maps)
    encoded = iio.imwrite(
        '<bytes>', draw_heatmap(radiograph.to_display(), shown, strongest), extension='.png'
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


def info(paths: Files) -> None:
    """Print what each file is, as one JSON object a line, without identity."""
    from napari_cxr.radiograph import UnreadableImage
    from napari_cxr.workers.decoder_pool import shared_decoder

    decoder = shared_decoder()
    failed = False
    for path in paths:
        try:
            row = {'path': str(path)} | decoder.describe(path)
        except UnreadableImage as error:
            failed = True
            row = {'path': str(path), 'error': str(error)}
        echo(json.dumps(row))
    decoder.close()
    if failed:
        raise typer.Exit(1)
