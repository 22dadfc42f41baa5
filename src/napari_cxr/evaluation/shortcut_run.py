"""The shortcut tests of a model on the images of an evaluation, and the page that they make."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from napari_cxr import __version__
from napari_cxr.checkpoint.model_file import write_atomic
from napari_cxr.evaluation.evaluation_events import EvaluationEvent, EvaluationProgress
from napari_cxr.evaluation.evaluation_table import EvaluationTable
from napari_cxr.evaluation.heatmap_distributions import (
    MEASURES,
    HeatmapDistributions,
    heatmap_distributions,
)
from napari_cxr.evaluation.image_changes import CHANGES, InputBatch
from napari_cxr.evaluation.shortcut_tests import (
    ChangedPredictions,
    ShortcutTests,
    predict_batch,
    shortcut_tests,
)
from napari_cxr.evaluation.svg_figures import bar_figure
from napari_cxr.explain.explanation_methods import DEFAULT_METHOD
from napari_cxr.explain.heatmap import Heatmap, input_bounds
from napari_cxr.metrics.confidence_intervals import Interval
from napari_cxr.scoring import ScoringError
from napari_cxr.scoring.append_log import decode_line, encode_line
from napari_cxr.scoring.background_thread import in_background
from napari_cxr.scoring.heatmap_files import heatmap_fractions
from napari_cxr.scoring.image_preparation import PreparedImage, PrepareOptions
from napari_cxr.scoring.score_row import ScoreRow
from napari_cxr.settings_file import LARGEST_TABLE, parse_json, read_bounded

if TYPE_CHECKING:
    from jinja2 import Template

    from napari_cxr.inference.classifier import Classifier

__all__ = [
    'SHORTCUTS_FILE',
    'SHORTCUTS_KEPT',
    'ShortcutResults',
    'run_shortcut_tests',
    'shortcut_page',
    'shortcuts_of_models',
    'write_shortcut_tests',
]

SHORTCUTS_FILE = 'shortcuts'

#: Keeps batches until all are done, so that tests that were stopped go on.
SHORTCUTS_KEPT = 'shortcuts.part'

_BATCH = 16

#: Of each model, by its name.
ShortcutResults: TypeAlias = dict[str, tuple[ShortcutTests, HeatmapDistributions | None]]


class Preparing(Protocol):
    """Prepares files for scoring; an `ImagePreparer`."""

    def __call__(
        self, items: Iterable[tuple[int, Path]], wanted: PrepareOptions
    ) -> Generator[tuple[int, PreparedImage | str] | None, None, None]:
        """Yield prepared images with their numbers, in any order."""


def shortcuts_of_models(
    loads: Mapping[str, Callable[[], Classifier]],
    table: EvaluationTable,
    prepare: Preparing,
    kept: Path,
) -> Generator[EvaluationEvent | None, None, ShortcutResults]:
    """Run the shortcut tests of several models, as `run_shortcut_tests`.

    Parameters
    ----------
    loads : mapping of str to callable
        By the name of the model: returns it.
    table, prepare, kept
        As of `run_shortcut_tests`.

    Raises
    ------
    ScoringError
        If they cannot be run; the message says why.
    """

    def loaded(load: Callable[[], Classifier]) -> Generator[None, None, Classifier]:
        return (yield from in_background(lambda _: load()))

    tests = {}
    for name, load in loads.items():
        try:
            classifier = yield from loaded(load)
            tests[name] = yield from run_shortcut_tests(classifier, table, prepare, kept)
        except ValueError as error:
            raise ScoringError(str(error)) from None
    kept.unlink(missing_ok=True)
    return tests


def run_shortcut_tests(
    classifier: Classifier, table: EvaluationTable, prepare: Preparing, kept: Path | None = None
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
    kept : Path, optional
        Keeps what was found of each batch; one that was stopped goes on with it.

    Returns
    -------
    tests : ShortcutTests
    where : HeatmapDistributions or None
        Of the Grad-CAM of each image's answer; None where no map has a peak.

    Raises
    ------
    ValueError
        If no image can be used, or the model has other classes than the table.
    OSError
        If `kept` cannot be written.
    """
    if tuple(table.labels) != classifier.labels:
        raise ValueError(
            f'{classifier.card.name} has the classes {", ".join(classifier.labels)}, and the '
            f'images {", ".join(table.labels)}.'
        )
    # Always the same batches, whichever image is ready first: neighbours exchange their frames.
    order = np.random.default_rng(0).permutation(len(table)).tolist()
    order = [i for i in order if table.paths[i]]
    groups = [order[i : i + _BATCH] for i in range(0, len(order), _BATCH)]
    key = _key_of(classifier, [table.images[i] for i in order])
    found = _read_kept(kept, key) if kept is not None else {}
    wanted = PrepareOptions(classifier.preprocessing, lungs=True)
    missing = [number for number in range(len(groups)) if number not in found]
    images = prepare(((i, Path(table.paths[i])) for n in missing for i in groups[n]), wanted)
    step = f'Shortcut tests of {classifier.card.name}'
    done = sum(len(group) for n, group in enumerate(groups) if n in found)
    yield EvaluationProgress(step, done, len(order))
    answer, start, before = _answer_of(classifier), time.monotonic(), done
    with closing(images):
        for number, group in _whole_groups(images, {n: groups[n] for n in missing}):
            if number is None:
                yield None
                continue
            ready = [(i, one) for i, one in group if not isinstance(one, str) and _usable(one)]
            if len(ready) > 1:  # one by itself has no neighbour to borrow a frame from
                found[number] = yield from _test_batch(classifier, answer, ready)
            else:
                found[number] = None
            if kept is not None:
                _keep(kept, key, number, found[number])
            done += len(group)
            left = (time.monotonic() - start) / (done - before) * (len(order) - done)
            yield EvaluationProgress(step, done, len(order), left)
    batches = [batch for _, batch in sorted(found.items()) if batch is not None]
    if not batches:
        raise ValueError('None of the images could be prepared for the shortcut tests.')
    used = [i for batch in batches for i in batch.used]
    patients = [table.patients[i] for i in used]
    tests = shortcut_tests(
        ChangedPredictions.joined([batch.predictions for batch in batches]),
        table.truth[used],
        patients,
        [table.columns['source'][i] for i in used] if 'source' in table.columns else (),
    )
    rows = [ScoreRow(0, '', 'scored', **located) for batch in batches for located in batch.located]
    return tests, heatmap_distributions(rows, patients)


@dataclass(frozen=True)
class _TestedBatch:
    """What was found of a batch: rows of the table, predictions, and where heatmaps lie."""

    used: tuple[int, ...]
    predictions: ChangedPredictions
    located: tuple[dict[str, Any], ...]


def _whole_groups(
    images: Iterator[tuple[int, PreparedImage | str] | None], groups: Mapping[int, list[int]]
) -> Iterator[tuple[int | None, list[tuple[int, PreparedImage | str]]]]:
    """Yield each group by its number when all its images are there, in their order."""
    group_of = {i: number for number, group in groups.items() for i in group}
    waiting: dict[int, dict[int, PreparedImage | str]] = {}
    for arrived in images:
        if arrived is None:
            yield None, []
            continue
        i, one = arrived
        number = group_of[i]
        here = waiting.setdefault(number, {})
        here[i] = one
        if len(here) == len(groups[number]):
            del waiting[number]
            yield number, [(k, here[k]) for k in groups[number]]


def _usable(ready: PreparedImage) -> bool:
    return ready.lungs is not None and ready.markers is not None


def _test_batch(
    classifier: Classifier,
    answer: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    ready: Sequence[tuple[int, Any]],
) -> Generator[None, None, _TestedBatch]:
    images = [one for _, one in ready]
    located = _locate(classifier, images)
    yield None
    predictions = yield from predict_batch(_batch(images), answer)
    return _TestedBatch(tuple(i for i, _ in ready), predictions, tuple(located))


def _key_of(classifier: Classifier, images: Sequence[str]) -> str:
    """Return what kept batches hold for: the model, the images in their order, the changes."""
    changes = ','.join(change.name for change in CHANGES)
    text = '\n'.join([__version__, changes, str(_BATCH), classifier.file_hash, *images])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _keep(path: Path, key: str, number: int, batch: _TestedBatch | None) -> None:
    """Append what was found of a batch, in one whole line; raises OSError."""
    content: dict[str, Any] = {'key': key, 'number': number, 'used': []}
    if batch is not None:
        own = batch.predictions
        content |= {
            'used': batch.used,
            'located': batch.located,
            'original': own.original.tolist(),
            'changed': {name: p.tolist() for name, p in own.changed.items()},
            'features': own.features.tolist(),
            'without_lungs': own.without_lungs.tolist(),
            'with_markers': own.with_markers,
        }
    with path.open('ab') as file:
        file.write(encode_line(json.dumps(content)))


def _read_kept(path: Path, key: str) -> dict[int, _TestedBatch | None]:
    """Return kept batches by number; what is torn, or of other images, is not there."""
    found: dict[int, _TestedBatch | None] = {}
    try:
        lines = read_bounded(path, LARGEST_TABLE).splitlines(keepends=True)
    except OSError:
        return {}
    if lines and not lines[-1].endswith(b'\n'):  # what is appended next begins a line of its own
        with path.open('ab') as file:
            file.write(b'\n')
    for line in lines:
        text = decode_line(line)
        try:
            own = parse_json(text) if text is not None else {}
            if own.get('key') != key:
                continue
            found[int(own['number'])] = _batch_of(own) if own['used'] else None
        except (AttributeError, KeyError, TypeError, ValueError):
            continue
    return found


def _batch_of(own: Mapping[str, Any]) -> _TestedBatch:
    return _TestedBatch(
        tuple(own['used']),
        ChangedPredictions(
            np.array(own['original']),
            {name: np.array(p) for name, p in own['changed'].items()},
            np.array(own['features']),
            np.array(own['without_lungs']),
            int(own['with_markers']),
        ),
        tuple(own['located']),
    )


def _locate(classifier: Classifier, ready: Sequence[PreparedImage]) -> list[dict[str, Any]]:
    """Say where the heatmap of the answer to each image lies, as entries of a `ScoreRow`."""
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
        rows.append(dict(heatmap_fractions(heatmap, one)))
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


def write_shortcut_tests(out: Path, tests: ShortcutResults, about: str) -> Path:
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
    Path
        The page.
    """
    page, numbers = (out / f'{SHORTCUTS_FILE}.{ending}' for ending in ('html', 'json'))
    write_atomic(page, shortcut_page(tests, about).encode())
    content = {
        name: {**_to_dict(one), 'heatmaps': None if where is None else where.to_dict()}
        for name, (one, where) in tests.items()
    }
    write_atomic(numbers, (json.dumps({'form': 1, 'models': content}, indent=1) + '\n').encode())
    return page


def _to_dict(tests: ShortcutTests) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        return value.to_list() if isinstance(value, Interval) else value

    changes = [
        {key: plain(getattr(change, key)) for key in asdict(change)} for change in tests.changes
    ]
    own = {key: plain(getattr(tests, key)) for key in asdict(tests) if key != 'changes'}
    return {**own, 'verdict': tests.verdict, 'called_out': tests.called_out, 'changes': changes}


def shortcut_page(tests: ShortcutResults, about: str) -> str:
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
