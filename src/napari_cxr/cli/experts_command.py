"""``napari-cxr experts``: heatmaps beside what experts marked on the images."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_cxr.cli.classify_command import load_model
from napari_cxr.cli.command_options import AsJson, DeviceOption, ModelOption
from napari_cxr.cli.terminal_output import echo

if TYPE_CHECKING:
    from napari_cxr.explain.expert_regions import ExpertRegions
    from napari_cxr.metrics.confidence_intervals import Interval
    from napari_cxr.radiograph import Radiograph

__all__ = ['experts']


def experts(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar='FOLDER',
            exists=True,
            file_okay=False,
            help='Images, with what was marked on them beside each as NAME.regions.json.',
        ),
    ],
    model: ModelOption = '',
    method: Annotated[
        list[str] | None,
        typer.Option(help='A method of heatmaps; may be repeated. All fast ones by default.'),
    ] = None,
    device: DeviceOption = 'auto',
    as_json: AsJson = False,
) -> None:
    """Compare heatmaps with what experts marked: pointing game, overlap, and intervals."""
    from napari_cxr.evaluation.expert_agreement import find_marked, measure_agreement, summarise
    from napari_cxr.explain import explanation_methods
    from napari_cxr.radiograph import UnreadableImage
    from napari_cxr.workers.decoder_pool import shared_decoder

    names = method or [
        name for name in explanation_methods.names() if not explanation_methods.method(name).slow
    ]
    try:
        methods = [explanation_methods.method(name).name for name in names]
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint='--method') from None
    found, problems = find_marked(folder)
    for problem in problems:
        echo(f'Warning: {problem}', err=True)
    if not found:
        raise typer.BadParameter(
            f'{folder} has no image with marked regions. Mark them in napari: Plugins ▸ '
            'napari-cxr ▸ Mark findings.'
        )
    decoder = shared_decoder()
    classifier = load_model(model, device)
    least = classifier.preprocessing.least_decoded

    def read() -> Iterator[tuple[Radiograph, ExpertRegions]]:
        for path, regions in found:
            try:
                radiograph = decoder.read(path, least)
            except UnreadableImage as error:
                echo(f'Warning: {path.name}: {error}', err=True)
                continue
            if radiograph.refusal or radiograph.frames is not None:
                echo(f'Warning: {path.name}: it is no projection radiograph.', err=True)
                continue
            yield radiograph, regions

    steps = measure_agreement(classifier, read(), methods)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            rows = end.value
            break
    decoder.close()
    summary = summarise(rows)
    if as_json:
        echo(
            json.dumps({'model': classifier.card.name, 'methods': [s.to_dict() for s in summary]})
        )
        return
    if not summary:
        echo('No marked finding is a class of this model, or its heatmaps are empty.')
        raise typer.Exit(1)
    for one in summary:
        echo(
            f'{one.method}: {one.images} image{"s" * (one.images != 1)}, hit rate '
            f'{_text(one.hit_rate)} (by chance {one.hit_rate_by_chance:.2f}), '
            f'energy in boxes {_text(one.energy)}, IoU {_text(one.iou)}'
        )


def _text(value: Interval | None) -> str:
    if value is None:
        return 'not known'
    if value.low != value.low:
        return f'{value.value:.2f}'
    return f'{value.value:.2f} ({value.low:.2f} to {value.high:.2f})'
