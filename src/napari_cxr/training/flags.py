"""What in a data set would mislead, in plain words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_cxr.training.material import Material
from napari_cxr.training.recipe.words import label_of

if TYPE_CHECKING:
    from napari_cxr.training.survey import Pair

__all__ = ['association', 'of']

_STRONG = 0.5  # Cramér's V
_CHANCE = 0.01  # likelihood of such a table where nothing goes together
_BASELINE = 0.8  # macro AUC
_FEW = 20  # patients
_SIZES = 12  # kinds of size that are told apart
#: Entries of a recipe, which a dock shows by their labels in sections of these titles.
_SECTIONS = {'data': 'Images', 'split': 'Splits'}
_ENTRY = re.compile(r'\b(data|split)\.([a-z]+)\b')


def of(
    material: Material,
    pairs: Sequence[Pair],
    excluded: np.ndarray,
    skipped: Sequence[tuple[str, str]],
    baselines: dict[str, tuple[float, float, float]],
    obstacle: str,
) -> tuple[str, ...]:
    """Return sentences on what would mislead, the most serious first.

    Entries of the recipe are called what the dock calls them.

    Parameters
    ----------
    material : Material
        The images that are used.
    pairs : sequence of Pair
        Near-duplicates among all images, and `excluded` which of these are left out.
    excluded : ndarray of bool, shape (n,)
        As above.
    skipped : sequence of (str, str)
        Files that cannot be used, and why.
    baselines : dict
        See `napari_cxr.training.no_anatomy`.
    obstacle : str
        What stands in the way of a split, or empty.
    """
    out = [obstacle] if obstacle else []
    out += _of_duplicates(material, pairs, excluded)
    out += _of_sources(material)
    out += _of_format(material)
    if baselines:
        name, (value, low, high) = max(baselines.items(), key=lambda item: item[1][0])
        if value > _BASELINE:
            out.append(
                f'A classifier that sees no shapes, only size, borders and grey levels, reaches a '
                f'macro AUC of {value:.3f} ({low:.3f} to {high:.3f}, {name}): a network must do '
                'clearly better before its figures mean anything.'
            )
    if not material.dataset.grouped:
        some = any(sample.known for sample in material.dataset.samples)
        out.append(
            f'Patients are not {"all " * some}known, so the split is by image and results are '
            "too good where a patient has several; give a table with a column 'patient', or set "
            'data.patient.'
        )
    out += _of_classes(material)
    if skipped:
        out.append(
            f'{len(skipped)} of {len(skipped) + len(excluded)} files cannot be used; see the '
            'list for why.'
        )
    return tuple(_ENTRY.sub(_as_labelled, text) for text in out)


def _as_labelled(entry: re.Match[str]) -> str:
    return f'"{label_of(entry[2])}" under {_SECTIONS[entry[1]]}'


def association(kinds: np.ndarray, truth: np.ndarray) -> float:
    """Return Cramér's V of a property of images and their class; NaN where there is one kind.

    Parameters
    ----------
    kinds : ndarray of str, shape (n,)
        Such as the source; where it is empty the image does not count.
    truth : ndarray of bool, shape (n, K)
        Labels. Where images have several, it is the largest V of any of them.
    """
    return max((v for v, _ in _tables(kinds, truth)), default=float('nan'))


def _predicts(kinds: np.ndarray, truth: np.ndarray) -> float:
    """Return V where it is strong and hardly due to chance, else 0."""
    return max((v for v, p in _tables(kinds, truth) if v > _STRONG and p < _CHANCE), default=0.0)


def _tables(kinds: np.ndarray, truth: np.ndarray) -> list[tuple[float, float]]:
    """Return V (Cramér, Mathematical Methods of Statistics, 1946) and p of each table."""
    from scipy.stats import chi2_contingency

    known = kinds != ''
    names, place = np.unique(kinds[known], return_inverse=True)
    truth = truth[known]
    single = len(truth) and (truth.sum(axis=1) == 1).all()
    answers = [truth.argmax(axis=1)] if single else [column.astype(int) for column in truth.T]
    out = []
    for answer in answers:
        present, column = np.unique(answer, return_inverse=True)
        if len(names) < 2 or len(present) < 2:
            continue
        table = np.zeros((len(names), len(present)), dtype=np.intp)
        np.add.at(table, (place, column), 1)
        result = chi2_contingency(table, correction=False)
        most = len(answer) * (min(table.shape) - 1)
        out.append((float(np.sqrt(result.statistic / most)), float(result.pvalue)))
    return out


def _of_duplicates(material: Material, pairs: Sequence[Pair], excluded: np.ndarray) -> list[str]:
    place_of = {int(place): i for i, place in enumerate(np.flatnonzero(~excluded))}
    samples = material.dataset.samples
    used = [
        (samples[place_of[p.first]], samples[place_of[p.second]])
        for p in pairs
        if p.first in place_of and p.second in place_of
    ]
    out = []
    if torn := sum(a.split != b.split for a, b in used if a.split and b.split):
        out.append(
            f'The given splits divide {torn} pairs of near-duplicates, so that figures will be '
            'better than they should be; put each into one group, or set split.method to '
            "'holdout'."
        )
    if doubtful := sum(a.label != b.label for a, b in used):
        out.append(
            f'{doubtful} pairs of near-duplicates have different labels; leave one of each out.'
        )
    if strangers := sum(a.known and b.known and a.group != b.group for a, b in used):
        out.append(f'{strangers} pairs of near-duplicates are said to be of different patients.')
    return out


def _of_sources(material: Material) -> list[str]:
    dataset = material.dataset
    sources = np.array([sample.source for sample in dataset.samples])
    out = []
    if strength := _predicts(sources, _truth(material)):
        out.append(
            f"Source predicts class (Cramér's V {strength:.2f}): a network can learn to tell "
            'hospitals apart instead of diseases. Judge it by a source left '
            "out: set split.method to 'leave-source-out'."
        )
    if len(set(sources) - {''}) > 1:
        for label in dataset.labels:
            of_label = {s.source for s in dataset.samples if label in s.labels}
            if len(of_label) == 1 and '' not in of_label:
                out.append(f'All images of {label!r} come from one source, {of_label.pop()!r}.')
    return out


def _of_format(material: Material) -> list[str]:
    truth = _truth(material)
    endings = np.array([s.path.suffix.lower() or 'none' for s in material.dataset.samples])
    sizes = np.array([f'{rows} x {columns}' for rows, columns in material.sizes])
    if len(set(sizes)) > _SIZES:
        # Too many to count each: by number of pixels, as many images in each kind.
        pixels = material.sizes.prod(axis=1)
        edges = np.unique(np.quantile(pixels, np.linspace(0, 1, _SIZES + 1)[1:-1]))
        sizes = np.searchsorted(edges, pixels).astype(str)
    out = []
    for what, kinds in (('The size of the images', sizes), ('The kind of file', endings)):
        if strength := _predicts(kinds, truth):
            out.append(
                f"{what} predicts class (Cramér's V {strength:.2f}): classes come from different "
                'machines or were prepared differently.'
            )
    return out


def _of_classes(material: Material) -> list[str]:
    out = []
    for label in material.dataset.labels:
        groups = [s.group for s in material.dataset.samples if label in s.labels]
        if len(set(groups)) < _FEW:
            grouped = material.dataset.grouped
            count = f'{len(set(groups))} patients' if grouped else f'{len(groups)} images'
            out.append(f'The class {label!r} has {count} only; figures on it will be rough.')
    return out


def _truth(material: Material) -> np.ndarray:
    labels = np.array(material.dataset.labels)
    return np.array(
        [np.isin(labels, sample.labels) for sample in material.dataset.samples], dtype=bool
    )
