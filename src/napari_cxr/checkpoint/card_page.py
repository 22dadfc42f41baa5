"""A model card as a page for people, in Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_cxr.checkpoint.card import Card

__all__ = ['card_markdown', 'headline', 'unfinished_text']

_METRICS = {
    'balanced_accuracy': 'balanced accuracy',
    'accuracy': 'accuracy',
    'macro_auc': 'macro AUC',
    'macro_f1': 'macro F1',
    'keras_auc': 'AUC (all columns, Keras)',
    'log_loss': 'log loss',
    'brier': 'Brier score',
}
#: Metrics that only stand in the row of all images, or others would be hidden.
_OF_ALL = ('macro_f1', 'keras_auc', 'log_loss', 'brier')
#: What stands for all of a card, the first that was measured.
_HEADLINES = {'macro_auc': 'macro AUC', 'accuracy': 'accuracy'}
_OUTPUTS = {
    False: 'probabilities that sum to 1 (softmax): exactly one class is taken to be true',
    True: 'independent probabilities (sigmoid): an image can have several of the labels, or none',
}
#: What temperature and thresholds are fitted on, unless a card says otherwise.
_UNSEEN = 'the predictions of those models for images that they had not seen'
_KERAS = (
    'The "AUC (all columns, Keras)" is not the AUC of one class: it pools both columns of '
    'probabilities, and is higher than the real one wherever a class is rare. It is shown '
    'because papers report it.'
)
_DIFFERENCES = (
    'The columns "model − …" are differences on the same images and the same resamples: where '
    'their interval is above 0, the model is better than that baseline.'
)
_PAIRS = (
    '"AUC, one class against another" compares only images of one source, so that nothing that '
    'tells sources apart can help: the score of an image is the first class’s fraction of the '
    'probability of the two.'
)


def card_markdown(card: Card) -> str:
    """Return a card as Markdown: what it is for, how it did, what was not measured."""
    size = f'{card.preprocessing["height"]} x {card.preprocessing["width"]}'
    lines = [
        f'# {card.name}',
        '',
        f'**{card.intended_use}**',
        '',
        *([f'**{card.demonstration}**', ''] if card.demonstration else []),
        *([f'**{_sentence(unfinished_text(card))}**', ''] if card.unfinished else []),
        card.title,
        '',
        f'- Classes: {", ".join(card.labels)}',
        f'- Network: {card.architecture}, input {size} pixels, {card.channels} channel(s)',
        f'- Outputs: {_outputs(card)}',
        *_calibration(card),
        f'- Made {card.created or "on an unknown date"} with napari-cxr {card.version}',
        f'- Licence: {card.licence or "not stated"}',
    ]
    lines += [f'- Data: {line}' for line in card.attribution]
    lines += _converted(card.data.get('converted'))
    if card.not_to_believe:
        lines += ['', '## When not to believe it', '', card.not_to_believe]
    for part in (_thresholds(card), _data(card.data), _results(card)):
        lines += _as_far_as_it_goes(part)
    if card.not_measured:
        lines += ['', '## What was not measured', '']
        lines += [f'- {line}' for line in card.not_measured]
    return '\n'.join(lines) + '\n'


def unfinished_text(card: Card) -> str:
    """Return half a sentence about a model whose run has not finished; empty for others."""
    if not card.unfinished:
        return ''
    return f'from a run that was stopped or goes on, {card.unfinished}; it was not measured'


def _sentence(text: str) -> str:
    return f'{text[:1].upper()}{text[1:]}.'


#: What entries of other kinds than they should be raise; a card's tables are not checked in full.
_ODD = (AttributeError, IndexError, KeyError, TypeError, ValueError)


def _as_far_as_it_goes(part: Iterator[str]) -> Iterator[str]:
    """Yield the lines of a part; where its entries are not what they should be, say so."""
    try:
        yield from part
    except _ODD:
        yield from ('', 'The rest of this part of the card is not in the form of a card.')


def _converted(source: Any) -> list[str]:
    """Return from which file of another program a model was made, if it was."""
    if not isinstance(source, dict):
        return []
    where = f' from {source["url"]}' if source.get('url') else ''
    return [f'- Converted from third-party weights{where}, SHA-256 {source.get("sha256", "?")}']


def _outputs(card: Card) -> str:
    if card.multilabel and len(card.labels) == 1:
        return f'the probability of {card.labels[0]} (sigmoid)'
    return _OUTPUTS[card.multilabel]


def _calibration(card: Card) -> list[str]:
    """Return lines on how logits become probabilities, and for which prevalence."""
    lines = [f'- Temperature: {card.temperature:.3g}']
    if card.bias:
        added = ', '.join(
            f'{label} {b:+.3g}' for label, b in zip(card.labels, card.bias, strict=True)
        )
        lines.append(f'- Bias, added after the temperature: {added}')
    if card.prevalence:
        named = ', '.join(f'{label} {100 * p:.3g} %' for label, p in card.prevalence.items())
        lines.append(f'- Probabilities hold where this many images have each class: {named}')
    if sets := card.prediction_sets:
        named = ', '.join(
            f'{label} {t:.3g} ({sets["images"][label]:,} images)'
            for label, t in sets['thresholds'].items()
        )
        lines.append(
            f'- Labels that cannot be excluded at {100 * (1 - sets["alpha"]):.3g} % (right for '
            f'that part of the images of each class, if they are like these): from {named}'
        )
    return lines


def _thresholds(card: Card) -> Iterator[str]:
    """Yield from which probability on each label is predicted, and where nothing is decided."""
    if not card.multilabel and not card.margin:
        return
    yield from ('', '## What it answers', '')
    if not card.multilabel:
        by_default = '' if card.least_margin is not None else ' (the default)'
        yield (
            'The most probable class is the answer where it is at least '
            f'{100 * card.margin:.3g} percentage points{by_default} more probable than the next '
            'one; otherwise "no class stands out".'
        )
        return
    of = f' (operating point "{card.decision}")' if card.decision else ''
    yield (
        f'A label is predicted where its probability reaches its threshold{of}. Where none does, '
        f'the label is "{card.negative_label}".'
    )
    if card.undecided:
        yield from ('', 'Between the two probabilities of its band the answer is "cannot say".')
    heads = ['label', 'threshold', *(['cannot say between'] if card.undecided else [])]
    yield from ('', f'| {" | ".join(heads)} |', '| --- ' * len(heads) + '|')
    for label, threshold in zip(card.labels, card.thresholds, strict=True):
        cells = [label, f'{threshold:.3g}']
        if card.undecided:
            band = card.undecided.get(label)
            cells.append(f'{band[0]:.3g} and {band[1]:.3g}' if band else '-')
        yield f'| {" | ".join(cells)} |'


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
            f'The given splits separate {divided} pairs of near-duplicates, so the metrics below '
            'are better than they should be.'
        )
    yield from ('', '| source | class | train | val | test |', '| --- | --- | --- | --- | --- |')
    for source, classes in counts.items():
        for label, splits in classes.items():
            cells = (str(splits.get(name, 0)) for name in ('train', 'val', 'test'))
            yield f'| {source} | {label} | {" | ".join(cells)} |'


def headline(card: Card) -> str:
    """Return in one line the most important metric, where it is from, and the baseline.

    Parameters
    ----------
    card : Card
        Of any model.

    Returns
    -------
    str
        What a demonstration or the model of a stopped run says of itself; else for instance
        'macro AUC 0.712 [0.690, 0.735] on sources left out (mean of 4 folds), against 0.601
        for a classifier that sees no anatomy'; empty where nothing was measured.
    """
    if card.demonstration:  # its metrics are not what to expect
        return card.demonstration
    if card.unfinished:
        return unfinished_text(card)
    try:
        return _leading_metric(card)
    except _ODD:
        return 'its metrics are not in the form of a card'


def _leading_metric(card: Card) -> str:
    metrics = card.metrics
    found = _all_of(metrics.get('model'))
    for key, name in _HEADLINES.items():
        if _value(found.get(key)) is None:
            continue
        folds = f' ({_folds(metrics)})' if 'folds' in metrics else ''
        if len(card.labels) == 1:
            name = name.removeprefix('macro ')
        words = f'{name} {_cell(found[key])} on {_where(metrics)}{folds}'
        others = [_all_of(b).get(key) for b in _dict(metrics.get('baselines')).values()]
        known = [value for value in map(_value, others) if value is not None]
        if known:
            words += f', against {max(known):.3f} for a classifier that sees no anatomy'
        return words
    return ''


def _dict(found: Any) -> dict[str, Any]:
    return found if isinstance(found, dict) else {}


def _all_of(found: Any) -> dict[str, Any]:
    return _dict(_dict(found).get('all'))


def _value(metric: Any) -> float | None:
    known = isinstance(metric, list | tuple) and metric and isinstance(metric[0], int | float)
    return metric[0] if known else None


def _where(metrics: dict[str, Any]) -> str:
    name = metrics.get('measured_on', '?')
    return f'the {name} split' if name in ('test', 'val') else str(name)


def _folds(metrics: dict[str, Any]) -> str:
    averaged = 'mean of ' if metrics.get('averaged') else 'images of '
    return f'{averaged}{metrics["folds"]} folds'


def _results(card: Card) -> Iterator[str]:
    metrics = card.metrics
    model = metrics.get('model')
    if not isinstance(model, dict) or 'all' not in model:
        return
    yield from ('', '## Results', '')
    if isinstance(note := metrics.get('note'), str) and note:
        yield from (f'**{note}**', '')
    yield (
        f'On {_where(metrics)}, {metrics.get("split", "?")}, with 95 % intervals. Beside the '
        'model stand two no-anatomy baselines, classifiers (boosted trees, from the same '
        'training images) that see no shapes: "format only" sees the size of an image and the '
        'brightness of its border, "format and grey levels" also how often each grey value '
        'occurs. Where one of them does as well as the model, the metric is no evidence that '
        'the model looks at disease.'
    )
    if 'folds' in metrics:
        yield from ('', _of_folds(metrics))
    yield ''
    one = len(card.labels) == 1
    yield from _table(metrics, 'source', one)
    by_fold = {
        k: f for k, f in _dict(metrics.get('by_fold')).items() if _all_of(_dict(f).get('model'))
    }
    if 'differences' in metrics:
        yield from ('', _DIFFERENCES)
    if any('pairs' in found for found in model.values()):
        yield from ('', _PAIRS)
    if 'most_frequent_class' in metrics:
        fraction = metrics['most_frequent_class']
        always = (
            'Always giving the more frequent answer for each label would be right in {:.3f} of '
            'the answers. Accuracy here is the fraction of all yes-or-no answers that are right.'
            if card.multilabel
            else 'Always predicting the most frequent class would be right in {:.3f}.'
        )
        yield from ('', always.format(fraction))
    if 'keras_auc' in model['all']:
        yield from ('', _KERAS)
    if cautions := metrics.get('cautions'):
        yield ''
        yield from (f'- **{caution}**' for caution in cautions)
    yield from _classes(model['all'])
    yield from _reliability(model['all'])
    yield from _confusion(card, model['all'])
    for name, found in by_fold.items():
        sources = found.get('sources', ())
        left_out = f': {", ".join(sources)}' if sources and 'sources' in _where(metrics) else ''
        yield from ('', f'### Left out in {name}{left_out}', '')
        yield from _table(found, 'source', one)
        yield from _confusion(card, found['model']['all'])


def _of_folds(metrics: dict[str, Any]) -> str:
    """Return whose metrics these are, and what their intervals mean."""
    words = (
        f'These are the metrics of {metrics["folds"]} other models trained with the same recipe, '
        'each on part of the images and evaluated on the rest. The model in this file was '
        'trained on all images, so none is left to evaluate it on. Its temperature and '
        f'operating points were fitted on {metrics.get("fitted_on", _UNSEEN)}. '
    )
    if metrics.get('averaged'):
        return words + (
            'A metric is the mean over the folds in which these images were held out; an image '
            'may be in several. The intervals resample patients, in all folds alike: they show '
            'the uncertainty that comes from the number of patients, not how results would '
            'differ on other sources; for that, compare the folds.'
        )
    return words + (
        'Each image counts once, with the prediction of the model that had not seen it, so an '
        'AUC compares probabilities of different models.'
    )


def _table(metrics: dict[str, Any], first: str, one: bool) -> Iterator[str]:
    """Yield the metrics of each source, the model's beside the baselines'."""
    baselines: dict[str, Any] = metrics.get('baselines', {})
    differences: dict[str, Any] = metrics.get('differences', {})
    minus = [f'model − {kind}' for kind in differences]
    columns = [first, 'images', 'metric', 'model', *baselines, *minus]
    yield f'| {" | ".join(columns)} |'
    yield '| --- ' * len(columns) + '|'
    for source, found in metrics['model'].items():
        others = [b.get(source, {}) for b in baselines.values()]
        apart = [d.get(source, {}) for d in differences.values()]
        for key, name in _METRICS.items():
            if one:  # there is no mean over classes
                name = name.removeprefix('macro ')
            if _value(found.get(key)) is None:
                continue  # an area under the curve needs two classes
            if key == 'balanced_accuracy' and _classes_in(found) == 1:
                continue  # which is then the accuracy, with the worse interval
            if source != 'all' and key in _OF_ALL:
                continue  # one more metric a source would hide the others
            cells = [source, str(found['images']), name, _cell(found[key])]
            cells += [_cell(other.get(key)) for other in (*others, *apart)]
            yield f'| {" | ".join(cells)} |'
        for pair, metric in found.get('pairs', {}).items():
            cells = [source, str(found['images']), f'AUC, {pair}', _cell(metric)]
            cells += [_cell(other.get('pairs', {}).get(pair)) for other in (*others, *apart)]
            yield f'| {" | ".join(cells)} |'


def _classes_in(found: dict[str, Any]) -> int:
    """Return how many classes the images are of; 0 where that is not known."""
    if 'classes' in found:
        return len(found['classes'])
    return sum(any(row) for row in found.get('confusion', ()))


def _classes(found: dict[str, Any]) -> Iterator[str]:
    names = ['sensitivity', 'specificity', 'precision', 'f1', 'auc', 'mean_probability']
    classes = found.get('classes', {})
    # Means over folds are not counts.
    counted = any('counts' in measured for measured in classes.values())
    counts = ('tp', 'fp', 'tn', 'fn') if counted else ()
    if any('average_precision' in measured for measured in classes.values()):
        names.insert(5, 'average_precision')
    heads = [name.replace('_', ' ') for name in names]
    columns = ['class', 'images', *heads, *map(str.upper, counts)]
    yield from ('', f'| {" | ".join(columns)} |', '| --- ' * len(columns) + '|')
    for label, measured in classes.items():
        cells = [_cell(measured.get(name)) for name in names]
        cells += [str(measured.get('counts', {}).get(name, '-')) for name in counts]
        yield f'| {label} | {measured.get("images", "?")} | {" | ".join(cells)} |'


def _reliability(found: dict[str, Any]) -> Iterator[str]:
    """Yield how often images have a class beside the mean probability that they were given."""
    classes = {
        label: measured['reliability']
        for label, measured in found.get('classes', {}).items()
        if measured.get('reliability')
    }
    if not classes:
        return
    yield from ('', 'Images in the order of their probability of a class, in equal parts:')
    yield from ('', '| class | images | mean probability | have the class |', '| --- ' * 4 + '|')
    for label, parts in classes.items():
        for images, probability, frequency in parts:
            yield f'| {label} | {images} | {probability:.3f} | {frequency:.3f} |'


def _confusion(card: Card, found: dict[str, Any]) -> Iterator[str]:
    if 'confusion' not in found:
        return
    yield from ('', f'| true label, then predicted | {" | ".join(card.labels)} |')
    yield '| --- ' * (len(card.labels) + 1) + '|'
    for label, row in zip(card.labels, found.get('confusion', []), strict=False):
        yield f'| {label} | {" | ".join(map(str, row))} |'


def _cell(metric: Any) -> str:
    if not isinstance(metric, list | tuple) or not metric or metric[0] is None:
        return '-'
    value, low, high = (*metric, None, None)[:3]
    known = low is not None and high is not None
    return f'{value:.3f} [{low:.3f}, {high:.3f}]' if known else f'{value:.3f}'
