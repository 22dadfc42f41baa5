"""Evaluations of images that do not exist."""

import numpy as np

from napari_cxr.evaluation.evaluation_events import EvaluationFinished, EvaluationResult
from napari_cxr.evaluation.evaluation_table import EvaluationTable
from napari_cxr.evaluation.measuring import EvaluatedModel, MeasuringSettings, measure


def evaluation(multilabel=False, n=60, labels=('normal', 'opacity')):
    """Return an evaluation of two models: 'good' knows the classes, 'poor' does not."""
    random = np.random.default_rng(0)
    first = np.arange(n) % len(labels)
    truth = np.eye(len(labels), dtype=bool)[first]
    sure = np.where(truth, 0.9, 0.1) + random.uniform(-0.09, 0.09, truth.shape)
    guess = random.uniform(0, 1, truth.shape)
    if not multilabel:
        sure, guess = (p / p.sum(axis=1, keepdims=True) for p in (sure, guess))
    table = EvaluationTable(
        labels=labels,
        multilabel=multilabel,
        images=tuple(f'{i:016x}' for i in range(n)),
        paths=tuple(f'/images/{i}.png' for i in range(n)),
        truth=truth,
        patients=tuple(str(i) for i in range(n)),
        splits=('test',) * n,
        columns={'source': tuple('ab'[i // 4 % 2] for i in range(n))},
        probabilities={'good': sure, 'poor': guess, 'format only': guess[::-1]},
    )
    tuning = table.subset(np.zeros(n, bool))
    points = {label: {'Youden': 0.5} for label in labels}
    models = {
        'good': EvaluatedModel(model_hash='a', points=points),
        'poor': EvaluatedModel(model_hash='b'),
    }
    steps = measure(table, tuning, models, ['format only'], MeasuringSettings(resamples=50))
    while True:
        try:
            next(steps)
        except StopIteration as end:
            metrics = end.value
            break
    metrics |= {
        'labels': list(labels),
        'multilabel': multilabel,
        'set': {'images': n, 'patients': n},
        'looks': {'looks': 2},
        'cautions': [
            {'kind': 'stop', 'code': 'x', 'text': 'Do not believe <b>this</b>.'},
            {'kind': 'caution', 'code': 'y', 'text': 'Only two sources.'},
        ],
    }
    return EvaluationResult(metrics, table, tuning)


def finished(folder, **how):
    """Return the last event of such an evaluation."""
    names = ('report.html', 'metrics.json', 'predictions.csv')
    files = {name: str(folder / 'scores' / f'{name}.csv') for name in ('good', 'poor')}
    return EvaluationFinished(evaluation(**how), *(str(folder / n) for n in names), files)
