"""Put the figures of the card of cxr3-resnet10 into its page.

python scripts/resnet10_tables.py
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from marked_tables import fill

from napari_cxr.checkpoint import digest, read_card

ROOT = Path(__file__).parents[1]
WEIGHTS = ROOT / 'src' / 'napari_cxr' / 'weights' / 'cxr3-resnet10.safetensors'
METRICS = {
    'balanced_accuracy': 'balanced accuracy',
    'accuracy': 'accuracy',
    'macro_auc': 'macro AUC',
}
OF_CLASS = ('sensitivity', 'specificity', 'precision', 'f1', 'auc')


def main() -> None:
    """Fill all tables."""
    card = read_card(WEIGHTS)
    metrics = card.metrics
    overall = metrics['model']['all']
    bias = ', '.join(f'{k} {b:+.3f}' for k, b in zip(card.labels, card.bias, strict=True))
    prevalence = ', '.join(f'{k} {p:.3f}' for k, p in card.prevalence.items())
    sets = card.prediction_sets
    limits = ', '.join(f'{k} {t:.3f}' for k, t in sets['thresholds'].items())
    fill(
        ROOT / 'docs' / 'resnet10-model.md',
        {
            'file': f'The SHA-256 of the file begins with `{digest(WEIGHTS)[:16]}`.',
            'sources': sources(metrics),
            'differences': differences(metrics),
            'classes': classes(overall['classes']),
            'confusion': drawn(
                ['truth, then predicted', *card.labels],
                [
                    [label, *map(str, row)]
                    for label, row in zip(card.labels, overall['confusion'], strict=True)
                ],
            ),
            'calibration': (
                f'The logits are divided by the temperature {card.temperature:.3f}, and a bias is '
                f'added ({bias}); both were fitted on the validation split, as `napari-cxr score` '
                f'scores it, so probabilities hold at its prevalence ({prevalence}) and can be '
                'moved to another one with `--prior`. On the test split the calibration error is '
                f'{overall["calibration_error"]:.3f} (15 bins of equal size), the log loss '
                f'{text(overall["log_loss"])} and the Brier score {text(overall["brier"])}. '
                'A class cannot be excluded, '
                f'at {1 - sets["alpha"]:.0%}, from these probabilities on: '
                f'{limits}.'
            ),
            'thresholds': thresholds(card.operating_points, metrics['operating_points']),
        },
        Path(__file__).name,
    )


def sources(metrics: dict[str, Any]) -> str:
    """Return model and baselines by source."""
    rows = []
    for source, own in metrics['model'].items():
        for key, title in METRICS.items():
            # Where there is one class, its accuracy is all that there is.
            if own['macro_auc'][0] is None and key != 'accuracy':
                continue
            others = [of[source][key] for of in metrics['baselines'].values()]
            rows.append([source, str(own['images']), title, *map(text, (own[key], *others))])
    return drawn(['source', 'images', 'metric', 'model', *metrics['baselines']], rows)


def differences(metrics: dict[str, Any]) -> str:
    """Return the model's macro AUC minus that of each baseline."""
    rows = [
        [source, *(text(of[source]['macro_auc']) for of in metrics['differences'].values())]
        for source, own in metrics['model'].items()
        if own['macro_auc'][0] is not None
    ]
    return drawn(['source', *(f'model − {name}' for name in metrics['differences'])], rows)


def classes(found: dict[str, Any]) -> str:
    """Return the metrics of each class."""
    rows = [
        [label, str(own['images']), *(text(own[name]) for name in OF_CLASS)]
        for label, own in found.items()
    ]
    return drawn(['class', 'images', *OF_CLASS], rows)


def thresholds(points: dict[str, Any], measured: dict[str, Any]) -> str:
    """Return what each threshold does on the test split."""
    rows = [
        [label, name, f'{value:.3f}', *(text(rates[k]) for k in ('sensitivity', 'specificity'))]
        for label, own in points.items()
        for name, value in own.items()
        for rates in [measured[label][name]]
    ]
    return drawn(['class', 'criterion', 'threshold', 'sensitivity', 'specificity'], rows)


def text(figure: Sequence[float | None]) -> str:
    """Return value and interval."""
    value, low, high = figure
    return (
        f'{value:.3f}' if low is None or high is None else f'{value:.3f} [{low:.3f}, {high:.3f}]'
    )


def drawn(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [titles, ['---'] * len(titles), *rows]
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


if __name__ == '__main__':
    main()
