"""What a person must know before believing a report, in plain language, the worst first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from napari_cxr.evaluation.evaluation_table import EvaluationTable
from napari_cxr.evaluation.held_out_sources import within_auc

__all__ = ['cautions']

#: From this area on, what knows only where an image comes from tells classes apart.
_TELLS = 0.65
#: What baselines know that see nothing but the form of an image.
_KNOWS = {
    'format only': 'the size of an image and the brightness of its border',
    'format and grey levels': 'the size of an image, its border and its grey levels',
}
#: Patients of a class with which figures say little.
_FEW = 20
#: Patients of the rarer class of a group, over all groups, from which on a model is judged there.
_COMPARED = 10
#: By how much an area is lower among images of one source, for it to be said.
_DROP = 0.05


def cautions(content: Mapping[str, Any], table: EvaluationTable) -> list[dict[str, str]]:
    """Return what has to be said first.

    Parameters
    ----------
    content : mapping
        As in ``metrics.json``.
    table : EvaluationTable
        The images that were evaluated by.

    Returns
    -------
    list of dict
        Each with ``kind``: 'stop' for what makes a result worthless elsewhere, 'caution' for
        what limits it; ``code``, a word for programs; and ``text``, a few sentences.
    """
    found = [
        *_demonstrations(content),
        *_seen(content),
        *_confounded(content, table),
        *_baselines(content),
        *_shortcuts(content),
        *_known_sources(content, table),
        *_sources(content),
        *_looks(content),
        *_few(content, table),
        *_one_class(table),
        *_not_shared(content),
        *_left_out(content),
    ]
    return sorted(found, key=lambda one: one['kind'] != 'stop')


def _said(kind: str, code: str, text: str) -> dict[str, str]:
    return {'kind': kind, 'code': code, 'text': text.strip()}


def _not_shared(content: Mapping[str, Any]) -> list[dict[str, str]]:
    """Say which classes are evaluated, where models do not give the same ones."""
    left = content['set'].get('not_shared')
    if not left:
        return []
    more = '; '.join(f'{name} also gives {", ".join(own)}' for name, own in left.items())
    text = f'Only what all models give is evaluated: {", ".join(content["labels"])}. {more}.'
    if not content['multilabel']:
        text += (
            ' Images of other classes are left out, and the probabilities of these models are '
            'divided by their sum over the shared classes.'
        )
    return [_said('caution', 'shared classes', text)]


def _demonstrations(content: Mapping[str, Any]) -> list[dict[str, str]]:
    return [
        _said('stop', 'demonstration', f'{name}: {model["demonstration"]}')
        for name, model in content['models'].items()
        if model['demonstration']
    ]


def _seen(content: Mapping[str, Any]) -> list[dict[str, str]]:
    out = []
    for name, model in content['models'].items():
        trained, chosen = model['seen'].get('train', 0), model['seen'].get('val', 0)
        if trained:
            out.append(
                _said(
                    'stop',
                    'trained on',
                    f'{name} was trained on {trained:,} of these images. What it says of them '
                    'shows that it remembers, not that it knows. The figures of the other images '
                    f'stand below, by whether {name} has seen it.',
                )
            )
        elif chosen:
            out.append(
                _said(
                    'caution',
                    'chosen by',
                    f'{name} was chosen by {chosen:,} of these images, so it does better on them '
                    'than on others.',
                )
            )
    return out


def _confounded(content: Mapping[str, Any], table: EvaluationTable) -> list[dict[str, str]]:
    """Say where the source of an image gives its class away."""
    out = []
    for column, what in (('source', 'where an image comes from'), ('view', 'its view')):
        alone = content['baselines'].get(f'{column} only', {}).get('auc')
        value = alone['value'] if alone else _told_by(table, column)
        if value is None or value < _TELLS:
            continue
        text = (
            f'Knowing only {what}, one can tell the classes apart with an AUC of {value:.2f}, '
            'without looking at the image. '
        )
        drops, holds = [], []
        for name, model in content['models'].items():
            whole = (model.get('auc') or {}).get('value')
            inside = _within(table, name, column)
            if whole is None:
                continue
            if inside is None:
                drops.append(
                    f'too few patients of one {column} differ in their class to judge {name} there'
                )
            elif whole - inside > _DROP:
                drops.append(f'{name} falls from {whole:.2f} to {inside:.2f}')
            else:
                holds.append(f'{name} keeps {inside:.2f}')
        stop = column == 'source' and bool(drops)
        if stop:
            text += (
                'A model that was trained on such images learns to tell hospitals apart, and will '
                'not hold in another one. '
            )
        if drops or holds:
            text += f'Among images of the same {column}: {"; ".join([*drops, *holds])}.'
        out.append(_said('stop' if stop else 'caution', f'{column} tells', text))
    return out


def _told_by(table: EvaluationTable, column: str) -> float | None:
    """Return the macro AUC of the class frequencies of each group, left out one by one."""
    from napari_cxr.metrics.classification import macro_auc

    entries = np.array(table.columns.get(column, ()), dtype=object)
    if len(set(entries.tolist()) - {''}) < 2:
        return None
    mean = table.truth.mean(axis=0)
    guesses = np.zeros(table.truth.shape)
    for entry in set(entries.tolist()):
        own = np.flatnonzero(entries == entry)
        others = table.truth[own].sum(axis=0) - table.truth[own]
        guesses[own] = (others + mean) / len(own)
    value = float(macro_auc(table.truth, guesses))
    return value if np.isfinite(value) else None


def _within(table: EvaluationTable, name: str, column: str) -> float | None:
    """Return the mean over classes of the area among images of the same group.

    None where fewer than ten patients can be compared with others of their group.
    """
    groups, scores = np.array(table.columns[column], dtype=object), table.probabilities[name]
    patients = np.array(table.patients, dtype=object)
    found = []
    for k in range(len(table.labels)):
        has = table.truth[:, k]
        if not has.any() or has.all():
            continue
        compared = sum(
            min(len(set(patients[own & has])), len(set(patients[own & ~has])))
            for group in set(groups.tolist())
            for own in [groups == group]
        )
        if compared >= _COMPARED:
            found.append(float(within_auc(has, scores[:, k], groups.tolist())))
    return float(np.mean(found)) if found else None


def _baselines(content: Mapping[str, Any]) -> list[dict[str, str]]:
    """Say where a classifier that sees no anatomy does as well."""
    fair = {
        name: own
        for name, own in content['baselines'].items()
        if name in _KNOWS and own.get('auc')
    }
    if not fair:
        return []
    beaten_by: dict[str, list[str]] = {}
    for model, own in content['models'].items():
        rivals = [
            (baseline['auc']['value'], name)
            for name, baseline in fair.items()
            if own.get('auc') and not _is_better(baseline['differences'].get(model, {}).get('auc'))
        ]
        if rivals:
            _, name = max(rivals)
            beaten_by.setdefault(name, []).append(f'{model} (AUC {own["auc"]["value"]:.2f})')
    out = [
        _said(
            'stop',
            'no better than a baseline',
            f'{" and ".join(models)} {"are" if len(models) > 1 else "is"} not shown to be better '
            f'than a classifier that sees no anatomy: knowing only {_KNOWS[name]}, one reaches '
            f'{fair[name]["auc"]["value"]:.2f} on the same images. What a model adds may be '
            'nothing, and it will hardly hold in another hospital.',
        )
        for name, models in beaten_by.items()
    ]
    value, name = max((own['auc']['value'], name) for name, own in fair.items())
    if not out and value >= _TELLS:
        out.append(
            _said(
                'caution',
                'format tells',
                f'A classifier that knows only {_KNOWS[name]} reaches an AUC of {value:.2f} on '
                'these images. So much need not come from what is in the lungs, and may be gone '
                'in another hospital.',
            )
        )
    return out


def _is_better(apart: Mapping[str, Any] | None) -> bool:
    """Return whether a difference is above 0 with its whole interval."""
    if not apart or apart['value'] is None:
        return True  # nothing is known, so nothing is said
    return bool((apart['value'] if apart['interval'] is None else apart['interval'][0]) > 0)


def _shortcuts(content: Mapping[str, Any]) -> list[dict[str, str]]:
    """Say what the shortcut tests came to, also where no test speaks for a shortcut."""
    return [
        _said(
            'stop' if own['called_out'] else 'caution',
            'shortcut tests',
            f'Shortcut tests of {name}: {own["verdict"]}',
        )
        for name, own in content.get('shortcut_tests', {}).items()
    ]


def _known_sources(content: Mapping[str, Any], table: EvaluationTable) -> Iterator[dict[str, str]]:
    """Say which sources a model was trained on: there it is no stranger."""
    sources = table.values('source')
    for name, known in content.get('known_sources', {}).items():
        which = 'all' if len(known) == len(sources) else ', '.join(known)
        text = (
            f'{name} was trained on images of {which} of these sources'
            if which == 'all'
            else f'{name} was trained on images of {which}'
        )
        yield _said(
            'caution',
            'known sources',
            f'{text}, by its card. What it does in a hospital that it does not know '
            + ('cannot be seen here.' if which == 'all' else 'can be seen by the others only.'),
        )


def _sources(content: Mapping[str, Any]) -> list[dict[str, str]]:
    spread = next(iter(content['sources'].values()))
    return [_said('caution', 'sources', spread['said'])]


def _looks(content: Mapping[str, Any]) -> list[dict[str, str]]:
    looks = content['looks']
    if looks.get('looks', 0) > 1 or looks.get('kind') == 'development set':
        return [_said('caution', 'looks', looks['said'])]
    return []


def _few(content: Mapping[str, Any], table: EvaluationTable) -> list[dict[str, str]]:
    few = []
    for k, label in enumerate(table.labels):
        inside = table.truth[:, k]
        patients = len({table.patients[i] for i in np.flatnonzero(inside)})
        if 0 < patients < _FEW:
            few.append(f'{patients} with {label}')
    if not few:
        return []
    return [
        _said(
            'caution',
            'few patients',
            f'There are only a few patients ({", ".join(few)}), so chance weighs heavily. Mind '
            'the intervals, not the values.',
        )
    ]


def _one_class(table: EvaluationTable) -> list[dict[str, str]]:
    counts = table.truth.sum(axis=0)
    same = [label for label, n in zip(table.labels, counts, strict=True) if n == len(table)]
    none = table.multilabel and not counts.any()
    if not same and not none:
        return []
    said = f'All images are {", ".join(same)}' if same else 'No image has a finding'
    return [
        _said(
            'caution',
            'one class',
            f'{said}, so there is no AUC, and nothing shows whether the model tells classes '
            'apart. Add images of another class.',
        )
    ]


def _left_out(content: Mapping[str, Any]) -> list[dict[str, str]]:
    about, parts = content['set'], []
    if about['failed']:
        parts.append(f'{about["failed"]:,} could not be read')
    if about['doubtful'] and not about['doubtful_included']:
        parts.append(
            f'{about["doubtful"]:,} are probably no upright frontal chest radiographs '
            '(--include-doubtful counts them)'
        )
    if about['unmeasured']:
        labels = ', '.join(about['unknown_labels'][:4])
        parts.append(
            f'{about["unmeasured"]:,} have a label that the model does not know ({labels})'
        )
    if not parts:
        return []
    return [_said('caution', 'left out', f'Left out of all figures: {"; ".join(parts)}.')]
