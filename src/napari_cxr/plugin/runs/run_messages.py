"""Sentences of the run panel: phase, position, speed, result and warnings of a run. No Qt."""

from __future__ import annotations

import math
from typing import Any

from napari_cxr.plugin.runs.training_history import RunHistory, RunPhase, TrainingHistory
from napari_cxr.plugin.widgets.text import duration_text

__all__ = [
    'heading_text',
    'next_step_text',
    'position_text',
    'result_text',
    'short_run_name',
    'speed_text',
    'warnings_text',
]

#: The result is reported with the first of these that was measured.
_METRIC_NAMES = {'macro_auc': 'macro AUC', 'accuracy': 'accuracy'}
_NOTHING = 'Nothing was trained. Correct the problem and click Train again.'
_SPLIT_NAMES = {'test': 'test', 'val': 'validation'}


def heading_text(history: RunHistory) -> str:
    """Return the phase of the run in a few words."""
    text = {
        RunPhase.EMPTY: 'Nothing has been trained yet',
        RunPhase.STARTING: 'Starting…',
        RunPhase.READING: 'Reading the images',
        RunPhase.TRAINING: 'Training',
        RunPhase.MEASURING: 'Evaluating the model',
        RunPhase.STOPPING: 'Stopping after this batch…',
        RunPhase.STOPPED: 'Stopped',
        RunPhase.FAILED: 'The run failed',
        RunPhase.FINISHED: 'Finished',
    }[history.phase]
    training = history.current_training
    within = history.phase in (RunPhase.TRAINING, RunPhase.MEASURING)
    if history.phase is RunPhase.MEASURING and _is_between_runs(history):
        over = not history.has_several_trainings or 0 < history.total <= history.done
        return 'Summarising' if over else 'Preparing the next run'
    if within and history.has_several_trainings and training is not None:
        number, name = history.done + 1, short_run_name(training.name)
        of = f' of {history.total}' if history.total >= number else ''
        text += f' · {name}{of}' if name == f'fold {number}' else f' · {name} ({number}{of})'
    return text


def _is_between_runs(history: RunHistory) -> bool:
    """Return whether one training has ended and the next has not started."""
    return history.current_training is not None and history.current_training.finished is not None


def short_run_name(name: str) -> str:
    """Return the name of a run among its siblings: 'run/fold-2' is 'fold 2'."""
    _, _, inner = name.partition('/')
    parts = []
    for step in (inner or name).split('/'):
        word, dash, number = step.rpartition('-')
        parts.append(f'{word} {number}' if dash and word and number.isdigit() else step)
    return ', '.join(parts)


def position_text(history: RunHistory) -> str:
    """Return the current image, or the current epoch and batch; empty if there is none."""
    if history.phase is RunPhase.READING and history.reading is not None:
        return f'Image {history.reading.done:,} of {history.reading.total:,}'
    training = history.current_training
    if training is None or not history.at_work or history.phase is RunPhase.STARTING:
        return ''
    if _is_between_runs(history):
        return ''
    text = f'Epoch {training.epoch}'
    if training.planned:
        text += f' of {training.planned}'
    if training.batch is not None:
        text += f', batch {training.batch.batch} of {training.batch.batches}'
    return text


def speed_text(history: RunHistory) -> str:
    """Return speed, estimated time left, and utilisation of the device."""
    parts = []
    training = history.current_training
    if history.phase is RunPhase.TRAINING and training is not None and training.batch is not None:
        rate = training.batch.images_per_second
        if math.isfinite(rate):
            parts.append(f'{rate:,.0f} images/s' if rate >= 10 else f'{rate:.1f} images/s')
    left = history.seconds_left
    if left is not None and history.phase is not RunPhase.STOPPING:
        parts.append(f'about {duration_text(left)} left')
    used = history.utilisation
    if used is not None and history.phase is RunPhase.TRAINING:
        where = training.started.device if training is not None and training.started else 'cpu'
        parts.append(f'{100 * used:.0f} % of the {"processor" if where == "cpu" else "GPU"}')
    return ', '.join(parts)


def next_step_text(history: RunHistory, resumable: bool = True, written: bool = True) -> str:
    """Return what to do when nothing is running, and what an interrupted run has left."""
    if history.phase is RunPhase.EMPTY:
        return (
            'Choose a folder of labelled radiographs and a recipe, then click Train. '
            'Progress and curves appear here.'
        )
    best = history.current_training.best if history.current_training is not None else None
    chosen = history.current_training is not None and history.current_training.is_best_known
    if history.phase is RunPhase.FINISHED and history.has_several_trainings and not history.sweep:
        if history.summary is not None and history.summary.path:
            return (
                'The model of the last run is the result: it was trained on all images, and its '
                'metrics are those of the folds.'
            )
        return (
            'This shows how well the recipe does on unseen images. For a model to keep, set '
            '"Then train on all" under Splits, or train once more with a held-out test '
            'split.'
        )
    if history.phase is RunPhase.STOPPING:
        if best is None:
            return ''
        return f'The {"best model so far" if chosen else "model of the last epoch"} is kept.'
    if history.phase not in (RunPhase.STOPPED, RunPhase.FAILED):
        return ''
    if best is None:
        text = 'No epoch was completed, so there is no model.'
    elif not written:
        text = 'No model was saved.'
    elif chosen:
        text = f'The best model so far, of epoch {best.epoch}, is kept.'
    else:
        text = f'The last model, of epoch {best.epoch}, is kept.'
    return f'{text} Resume continues from there.' if resumable else _NOTHING


def result_text(history: RunHistory) -> str:
    """Return the result at the end, with its interval and the baseline; empty before."""
    ended, best = _ended_trainings(history), history.best
    if best is None:
        return ''
    if len(history.trainings) == 1:
        return _single_result(best)
    if not history.sweep:
        return _fold_results(history, ended)
    return (
        f'{len(ended)} runs; best on the validation images: {short_run_name(best.name)}. '
        f'{_single_result(best)}'
    )


def _ended_trainings(history: RunHistory) -> list[TrainingHistory]:
    return [training for training in history.trainings.values() if training.metrics]


def _single_result(training: TrainingHistory) -> str:
    found = _main_metric(training.metrics)
    assert training.finished is not None
    text = f'{"Best epoch" if training.is_best_known else "Epoch"} {training.finished.epoch}'
    if found is None:
        return f'{text}.'
    metric, value, others = found
    text += f', {_split_name(training.metrics)} {metric} {_interval_text(value)}'
    if others:
        text += f', compared with {max(others):.3f} for a classifier that sees no anatomy'
    return f'{text}.'


def _fold_results(history: RunHistory, trainings: list[TrainingHistory]) -> str:
    # A model trained on all images carries the metrics of the folds, and none of its own.
    trainings = [training for training in trainings if 'folds' not in training.metrics]
    found = [m for training in trainings if (m := _main_metric(training.metrics)) is not None]
    text = f'{len(trainings)} models'
    if not found:
        return f'{text}.'
    metric, values = found[0][0], [value[0] for _, value, _ in found]
    spread = f'from {min(values):.3f} to {max(values):.3f}'
    whole = _main_metric(history.summary.metrics) if history.summary is not None else None
    if whole is not None:  # over the test images of all folds, each evaluated once
        assert history.summary is not None
        averaged = history.summary.metrics.get('averaged')
        which = 'on average' if averaged else 'over all their test images'
        text += f', {metric} {which} {_interval_text(whole[1])}, {spread}'
        baseline = max(whole[2], default=None)
    else:
        mean = sum(values) / len(values)
        text += f', {_split_name(trainings[0].metrics)} {metric} {mean:.3f} on average, {spread}'
        baselines = [max(others) for _, _, others in found if others]
        baseline = sum(baselines) / len(baselines) if baselines else None
    if baseline is not None:
        text += f', compared with {baseline:.3f} for a classifier that sees no anatomy'
    return f'{text}.'


def warnings_text(history: RunHistory, ended: bool = True) -> str:
    """Return the warnings of the run, and at the end the reasons to doubt the result."""
    reasons = [*history.warnings, *(_reasons_for_doubt(history) if ended else ())]
    return '\n'.join(f'• {reason}' for reason in reasons)


def _reasons_for_doubt(history: RunHistory) -> list[str]:
    reasons: list[str] = []
    best = history.best if history.sweep else None
    ended = [
        training.metrics
        for training in ([best] if best is not None else _ended_trainings(history))
    ]
    for metrics in ended:
        cautions = metrics.get('cautions', ())  # of its card; warnings of a run that is on now
        reasons += [text for text in cautions if text not in (*history.warnings, *reasons)]
    for metrics in ended:
        if any('sees no anatomy' in text for text in metrics.get('cautions', ())):
            break
        found = _main_metric(metrics)
        if found is not None and found[2] and max(found[2]) >= found[1][0]:
            reasons.append(
                'A classifier that sees no anatomy does as well or better, so this result is no '
                'evidence that the model recognises the disease.'
            )
            break
    if any(metrics.get('split') == 'by image' for metrics in ended):
        reasons.append(
            'The images were split one by one, not by patient: a patient may be in several '
            'splits, which makes results look better than they are.'
        )
    if any(metrics.get('measured_on') == 'val' for metrics in ended):
        reasons.append(
            'There was no test split, so this was measured on the validation images, by which '
            'the best epoch was chosen.'
        )
    return reasons


def _main_metric(metrics: dict[str, Any]) -> tuple[str, list[Any], list[float]] | None:
    """Return the name of the main metric, its interval, and its values for the baselines."""
    everywhere = metrics.get('model')
    found = everywhere.get('all') if isinstance(everywhere, dict) else None
    if not isinstance(found, dict):
        return None
    for key, name in _METRIC_NAMES.items():
        value = found.get(key)
        if value is None or not _is_known(value):
            continue
        others = [
            b['all'][key][0]
            for b in (metrics.get('baselines') or {}).values()
            if isinstance(b.get('all'), dict) and _is_known(b['all'].get(key))
        ]
        return name, list(value), others
    return None


def _is_known(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and isinstance(value[0], int | float)


def _split_name(metrics: dict[str, Any]) -> str:
    name = str(metrics.get('measured_on', ''))
    return _SPLIT_NAMES.get(name, name)


def _interval_text(value: list[Any]) -> str:
    if len(value) == 3 and None not in value:
        return f'{value[0]:.3f} [{value[1]:.3f}, {value[2]:.3f}]'
    return f'{value[0]:.3f}'
