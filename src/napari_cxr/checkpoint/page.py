"""A model card as a page for people, in Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_cxr.checkpoint.card import Card

__all__ = ['page']

_FIGURES = {
    'balanced_accuracy': 'balanced accuracy',
    'accuracy': 'accuracy',
    'macro_auc': 'macro AUC',
    'macro_f1': 'macro F1',
    'keras_auc': 'AUC (all columns, Keras)',
}
_OUTPUTS = {
    False: 'shares of one (softmax): of the classes, one is taken to be true',
    True: 'a probability of each label by itself (sigmoid): an image can have several, or none',
}
_KERAS = (
    'The "AUC (all columns, Keras)" is no area of one class: it takes both columns of the '
    'probabilities together, and is above the real one wherever one class is rare. It stands '
    'here because papers print it.'
)


def page(card: Card) -> str:
    """Return a card as Markdown: what it is for, how it did, what was not measured."""
    size = f'{card.preprocessing["height"]} x {card.preprocessing["width"]}'
    lines = [
        f'# {card.name}',
        '',
        f'**{card.intended_use}**',
        '',
        card.title,
        '',
        f'- Classes: {", ".join(card.labels)}',
        f'- Network: {card.architecture}, input {size} pixels, {card.channels} channel(s)',
        f'- Outputs: {_OUTPUTS[card.several]}',
        f'- Temperature: {card.temperature:.3g}',
        f'- Made {card.created or "on an unknown day"} with napari-cxr {card.version}',
        f'- Licence: {card.licence or "not stated"}',
    ]
    lines += [f'- Data: {line}' for line in card.attribution]
    lines += [*_data(card.data), *_results(card)]
    if card.not_measured:
        lines += ['', '## What was not measured', '']
        lines += [f'- {line}' for line in card.not_measured]
    return '\n'.join(lines) + '\n'


def _data(data: dict[str, Any]) -> Iterator[str]:
    counts = data.get('counts')
    if not isinstance(counts, dict) or not counts:
        return
    patients = data.get('patients')
    known = f' of {patients} patients or groups' if patients else ''
    yield from ('', '## Data', '')
    yield f'{data.get("images", "?")} images{known}, split {data.get("split", "?")}.'
    if divided := data.get('divided_pairs'):
        yield (
            f'The splits were given, and divide {divided} pairs of near-duplicates between them, '
            'so the figures below are better than they should be.'
        )
    yield from ('', '| source | class | train | val | test |', '| --- | --- | --- | --- | --- |')
    for source, classes in counts.items():
        for label, splits in classes.items():
            cells = (str(splits.get(name, 0)) for name in ('train', 'val', 'test'))
            yield f'| {source} | {label} | {" | ".join(cells)} |'


def _results(card: Card) -> Iterator[str]:
    metrics = card.metrics
    model = metrics.get('model')
    if not isinstance(model, dict) or 'all' not in model:
        return
    baselines: dict[str, Any] = metrics.get('baselines', {})
    yield from ('', '## Results', '')
    yield (
        f'On the {metrics.get("measured_on", "?")} split, {metrics.get("split", "?")}, with 95 % '
        'intervals. Beside the model stand two no-anatomy baselines, classifiers (boosted trees, '
        'from the same training images) that see no shapes: "format only" sees the size of an '
        'image and the brightness of its border, "format and grey levels" also how often each '
        'grey value occurs. Where one of them does as well as the model, the figure is no '
        'evidence that the model looks at the disease.'
    )
    yield from (
        '',
        f'| {" | ".join(["source", "images", "figure", "model", *baselines])} |',
        '| --- ' * (4 + len(baselines)) + '|',
    )
    for source, found in model.items():
        for key, name in _FIGURES.items():
            if found.get(key, [None])[0] is None:
                continue  # an area under the curve needs two classes
            if key == 'balanced_accuracy' and len(found.get('classes', ())) == 1:
                continue  # which is then the accuracy, with the worse interval
            if source != 'all' and key in ('macro_f1', 'keras_auc'):
                continue  # one more figure a source would hide the others
            others = (_cell(b.get(source, {}).get(key)) for b in baselines.values())
            cells = (source, str(found['images']), name, _cell(found[key]), *others)
            yield f'| {" | ".join(cells)} |'
    if 'most_frequent_class' in metrics:
        share = metrics['most_frequent_class']
        always = (
            'Answering for each label what is more frequent would be right in {:.3f} of the '
            'answers. Here the accuracy is the share of all yes-or-no answers that are right.'
            if card.several
            else 'Naming the most frequent class always would be right in {:.3f}.'
        )
        yield from ('', always.format(share))
    if 'keras_auc' in model['all']:
        yield from ('', _KERAS)
    yield from _classes(model['all'])
    if 'confusion' in model['all']:
        yield from _confusion(card, model['all'])


def _classes(found: dict[str, Any]) -> Iterator[str]:
    names = ('sensitivity', 'specificity', 'precision', 'f1', 'auc', 'mean_probability')
    counts = ('tp', 'fp', 'tn', 'fn')
    columns = ['class', 'images', *names[:-1], 'mean probability', *map(str.upper, counts)]
    yield from ('', f'| {" | ".join(columns)} |', '| --- ' * len(columns) + '|')
    for label, figures in found.get('classes', {}).items():
        counted = figures.get('counts', {})
        cells = [_cell(figures.get(name)) for name in names]
        cells += [str(counted.get(name, '-')) for name in counts]
        yield f'| {label} | {figures.get("images", "?")} | {" | ".join(cells)} |'


def _confusion(card: Card, found: dict[str, Any]) -> Iterator[str]:
    yield from ('', f'| truth, then called | {" | ".join(card.labels)} |')
    yield '| --- ' * (len(card.labels) + 1) + '|'
    for label, row in zip(card.labels, found.get('confusion', []), strict=False):
        yield f'| {label} | {" | ".join(map(str, row))} |'


def _cell(figure: Any) -> str:
    if not isinstance(figure, list | tuple) or not figure or figure[0] is None:
        return '-'
    value, low, high = (*figure, None, None)[:3]
    known = low is not None and high is not None
    return f'{value:.3f} [{low:.3f}, {high:.3f}]' if known else f'{value:.3f}'
