"""The shortcut tests of a model on the images of an evaluation, and the page that they make."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from napari_cxr.checkpoint.model_file import write_atomic
from napari_cxr.evaluation.evaluation_events import EvaluationEvent, EvaluationProgress
from napari_cxr.evaluation.evaluation_table import EvaluationTable
from napari_cxr.evaluation.heatmap_distributions import (
    MEASURES,
    HeatmapDistributions,
    heatmap_distributions,
)
from napari_cxr.evaluation.image_changes import InputBatch
from napari_cxr.evaluation.shortcut_tests import (
    ShortcutTests,
    predict_changed,
    shortcut_tests,
)
from napari_cxr.evaluation.svg_figures import bar_figure
from napari_cxr.explain.explanation_methods import DEFAULT_METHOD
from napari_cxr.explain.heatmap import Heatmap, input_bounds
from napari_cxr.metrics.confidence_intervals import Interval
from napari_cxr.scoring.heatmap_files import heatmap_fractions
from napari_cxr.scoring.image_preparation import PreparedImage, PrepareOptions
from napari_cxr.scoring.score_row import ScoreRow

if TYPE_CHECKING:
    from jinja2 import Template

    from napari_cxr.inference.classifier import Classifier

__all__ = ['SHORTCUTS_FILE', 'run_shortcut_tests', 'shortcut_page', 'write_shortcut_tests']

SHORTCUTS_FILE = 'shortcuts'

_BATCH = 16

#: Of each model, by its name.
Tests: TypeAlias = dict[str, tuple[ShortcutTests, HeatmapDistributions | None]]


class Preparing(Protocol):
    """Prepares files for scoring; an `ImagePreparer`."""

    def __call__(
        self, items: Iterable[tuple[int, Path]], wanted: PrepareOptions
    ) -> Generator[tuple[int, PreparedImage | str] | None, None, None]:
        """Yield prepared images with their numbers, in any order."""


def run_shortcut_tests(
    classifier: Classifier, table: EvaluationTable, prepare: Preparing
) -> Generator[EvaluationEvent | None, None, tuple[ShortcutTests, HeatmapDistributions | None]]:
    """Run all shortcut tests of a model, and measure where its heatmaps lie.

    Parameters
    ----------
    classifier : Classifier
        The model; its network runs in torch, which its features need.
    table : EvaluationTable
        The images with their labels, as an evaluation has them: those without a path are left
        out, and so are those that cannot be prepared.
    prepare : callable
        As of a `DecoderPool`.

    Returns
    -------
    tests : ShortcutTests
    where : HeatmapDistributions or None
        Of the Grad-CAM of each image's answer; None where no map has a peak.

    Raises
    ------
    ValueError
        If no image can be used, or the model has other classes than the table.
    """
    if tuple(table.labels) != classifier.labels:
        raise ValueError(
            f'{classifier.card.name} has the classes {", ".join(classifier.labels)}, and the '
            f'images {", ".join(table.labels)}.'
        )
    order = np.random.default_rng(0).permutation(len(table)).tolist()
    order = [i for i in order if table.paths[i]]
    wanted = PrepareOptions(classifier.preprocessing, lungs=True)
    used: list[int] = []
    rows: list[ScoreRow] = []
    images = prepare(((i, Path(table.paths[i])) for i in order), wanted)
    step = f'Shortcut tests of {classifier.card.name}'
    yield EvaluationProgress(step, 0, len(order))
    with closing(images):
        batches = _batches(images, used, lambda some: rows.extend(_locate(classifier, some)))
        steps = predict_changed(batches, _answer_of(classifier))
        while True:
            try:
                done = next(steps)
            except StopIteration as end:
                found = end.value
                break
            yield None if done is None else EvaluationProgress(step, done, len(order))
    patients = [table.patients[i] for i in used]
    tests = shortcut_tests(
        found,
        table.truth[used],
        patients,
        [table.columns['source'][i] for i in used] if 'source' in table.columns else (),
    )
    return tests, heatmap_distributions(rows, patients)


def _locate(classifier: Classifier, ready: Sequence[PreparedImage]) -> list[ScoreRow]:
    """Say where the heatmap of the answer to each image lies."""
    logits, maps, _ = classifier.maps(np.stack([one.image for one in ready]))
    rows = []
    for one, own, each in zip(ready, logits, maps, strict=True):
        probabilities = classifier.probabilities(own)
        shown = classifier.labels.index(classifier.rule.leading(probabilities.tolist()))
        heatmap = Heatmap(
            each[shown],
            classifier.cell_to_radiograph(one.image.shape, one.to_radiograph),
            classifier.labels[shown],
            float(probabilities[shown]),
            float(own[shown]),
            DEFAULT_METHOD,
            classifier.card.name,
            input_bounds(one.to_radiograph, *one.image.shape),
        )
        rows.append(ScoreRow(0, '', 'scored', **heatmap_fractions(heatmap, one)))
    return rows


def _answer_of(
    classifier: Classifier,
) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    import torch

    network = classifier.network

    @torch.inference_mode()
    def answer(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x = torch.from_numpy(classifier.preprocessing.normalise(images))
        feature_map, earlier = network.features(x.to(classifier.device.name))
        logits = network.head(feature_map, *earlier)
        mean = feature_map.float().mean(dim=(2, 3)).cpu().numpy()
        # Logits in double precision, in which probabilities near 1 still have an order.
        return classifier.probabilities(logits.double().cpu().numpy()), mean

    return answer


def _batches(
    images: Iterator[tuple[int, PreparedImage | str] | None],
    used: list[int],
    look: Callable[[Sequence[PreparedImage]], None],
) -> Iterator[InputBatch | None]:
    """Put prepared images together, and note which they were."""
    waiting: list[PreparedImage] = []
    for arrived in images:
        if arrived is None:
            yield None
            continue
        number, ready = arrived
        if isinstance(ready, str) or ready.lungs is None or ready.markers is None:
            continue
        used.append(number)
        waiting.append(ready)
        if len(waiting) == _BATCH:
            look(waiting)
            yield _batch(waiting)
            waiting = []
    if len(waiting) == 1:  # which has no neighbour to borrow a frame from
        used.pop()
    elif waiting:
        look(waiting)
        yield _batch(waiting)
    if not used:
        raise ValueError('None of the images could be prepared for the shortcut tests.')


def _batch(ready: Sequence[PreparedImage]) -> InputBatch:
    return InputBatch(
        np.stack([one.image for one in ready]),
        np.stack([_on_input(_lungs_of(one), one) for one in ready]),
        np.stack([_on_input(_markers_of(one), one) for one in ready]),
    )


def _lungs_of(ready: PreparedImage) -> np.ndarray:
    assert ready.lungs is not None
    rows, columns = ready.lungs.right.shape
    return ready.lungs.covering((0, 0, *ready.lungs.shape), rows, columns) > 0.5


def _markers_of(ready: PreparedImage) -> np.ndarray:
    assert ready.markers is not None
    return ready.markers.mask


def _on_input(mask: np.ndarray, ready: PreparedImage) -> np.ndarray:
    """Return a mask that stretches over the radiograph, on the pixels of the network's input."""
    from scipy.ndimage import affine_transform

    step = np.array(ready.shape) / mask.shape
    to_mask = np.diag([*(1 / step), 1.0])
    to_mask[:2, 2] = 0.5 / step - 0.5
    found: np.ndarray = affine_transform(
        mask.astype(np.float32),
        to_mask @ np.asarray(ready.to_radiograph),
        output_shape=ready.image.shape,
        order=1,
        mode='constant',
    )
    return found > 0.5


def write_shortcut_tests(out: Path, tests: Tests, about: str) -> tuple[Path, Path]:
    """Write the page and the numbers beside it; raises OSError.

    Parameters
    ----------
    out : Path
        The folder.
    tests : dict of str to (ShortcutTests, HeatmapDistributions or None)
        By the name of the model.
    about : str
        What the images are, for the title.

    Returns
    -------
    page, numbers : Path
    """
    page, numbers = (out / f'{SHORTCUTS_FILE}.{ending}' for ending in ('html', 'json'))
    write_atomic(page, shortcut_page(tests, about).encode())
    content = {
        name: {**_to_dict(one), 'heatmaps': None if where is None else where.to_dict()}
        for name, (one, where) in tests.items()
    }
    write_atomic(numbers, (json.dumps({'form': 1, 'models': content}, indent=1) + '\n').encode())
    return page, numbers


def _to_dict(tests: ShortcutTests) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        return value.to_list() if isinstance(value, Interval) else value

    changes = [
        {key: plain(getattr(change, key)) for key in asdict(change)} for change in tests.changes
    ]
    own = {key: plain(getattr(tests, key)) for key in asdict(tests) if key != 'changes'}
    return {**own, 'verdict': tests.verdict, 'called_out': tests.called_out, 'changes': changes}


def shortcut_page(tests: Tests, about: str) -> str:
    """Return the page as HTML; arguments as of `write_shortcut_tests`."""
    from markupsafe import Markup

    figures = {
        name: [
            # Our own drawing, whose texts it has escaped.
            Markup(bar_figure(MEASURES[one.name], 'fraction', {'images': one.counts}))
            for one in where.measures
        ]
        for name, (_, where) in tests.items()
        if where is not None
    }
    return _template().render(tests=tests, about=about, figures=figures, measures=MEASURES)


def _interval_text(value: Interval | None, signed: bool = False) -> str:
    if value is None:
        return 'not known'
    form = '+.2f' if signed else '.2f'
    if not np.isfinite([value.low, value.high]).all():
        return f'{value.value:{form}}' if np.isfinite(value.value) else 'not known'
    return f'{value.value:{form}} ({value.low:{form}} to {value.high:{form}})'


@cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined)
    environment.filters['interval'] = _interval_text
    source = resources.files(__package__).joinpath('shortcuts.html.jinja')
    return environment.from_string(source.read_text('utf-8'))
