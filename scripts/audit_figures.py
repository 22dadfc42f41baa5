"""Measure whether the audit finds labels that radiologists call wrong.

    NAPARI_CXR_DATA=... python scripts/audit_figures.py --out runs/audit

Labels of NIH ChestX-ray14 were mined from reports; radiologists have read 369 of the images. The
audit ranks labels without their readings. What it says of the whole collection is written to
audit.json in the folder, the figures for docs/audit.md to figures.json, and printed.

Features and penalty were chosen by how well they foretell the given labels, see `--choose`, which
reads no expert's label.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_cxr.evaluation.audit_features import LUNG_VIEW, lung_features
from napari_cxr.evaluation.audit_output import write_audit
from napari_cxr.evaluation.data_audit import Audit, audit
from napari_cxr.evaluation.held_out_sources import within_auc
from napari_cxr.evaluation.label_doubt import LabelDoubt, doubt_labels, out_of_fold
from napari_cxr.metrics.confidence_intervals import auc_interval
from napari_cxr.training.data_preparation import LoadedImages, load_images
from napari_cxr.training.dataset_index import index
from napari_cxr.training.recipe import Recipe
from napari_cxr.workers.decoder_pool import DecoderPool

#: What is compared: the question, the given label, who is mislabelled, and among whom.
QUESTIONS = (
    ('pneumonia, but read as normal', 'pneumonia', ('normal',)),
    ('pneumonia, but no opacity', 'pneumonia', ('normal', 'abnormal')),
    ('normal, but abnormal', 'normal', ('opacity', 'abnormal')),
)
PENALTIES = (0.1, 0.3, 1.0, 3.0)


def readings(data: Path) -> dict[str, str]:
    """Return what the radiologists of the RSNA saw, by path: 'opacity', 'normal', 'abnormal'."""
    kinds = {'Lung Opacity': 'opacity', 'Normal': 'normal'}
    with (data / 'nih_expert_labels.csv').open(newline='', encoding='utf-8') as file:
        return {
            row['path']: kinds.get(row['rsna_class'], 'abnormal')
            for row in csv.DictReader(file)
            if row['rsna_class']
        }


def finished(steps: Generator[Any, None, Any]) -> Any:
    """Run steps to their end and return what they return."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def measured(
    found: Audit, doubts: np.ndarray, read: Mapping[str, str], root: Path
) -> dict[str, dict[str, Any]]:
    """Return the AUC of doubts for labels that radiologists call wrong, with its interval."""
    names = [Path(path).relative_to(root).as_posix() for path in found.paths]
    out = {}
    for question, label, wrong in QUESTIONS:
        k = found.labels.index(label)
        places = np.array(
            [
                i
                for i, name in enumerate(names)
                if found.truth[i, k] and name in read and np.isfinite(doubts[i])
            ]
        )
        mistaken = np.array([read[names[i]] in wrong for i in places])
        score = doubts[places]
        interval = auc_interval(mistaken, score, [found.groups[i] for i in places])
        views = [found.views[i] for i in places]
        out[question] = {
            'images': len(places),
            'mislabelled': int(mistaken.sum()),
            'auc': interval.to_list(),
            'auc_within_view': round(float(within_auc(mistaken, score, views)), 4),
            **{
                f'found_among_first_{count}': int(
                    mistaken[np.argsort(-score, kind='stable')][:count].sum()
                )
                for count in (25, 50)
            },
        }
    return out


def variants(found: Audit, features: np.ndarray, images: LoadedImages) -> dict[str, LabelDoubt]:
    """Return other rankings: without balanced views, and by what is no anatomy."""
    format_only = np.nan_to_num(images.features.astype(np.float64))
    format_only = (format_only - format_only.mean(axis=0)) / (format_only.std(axis=0) + 1e-9)
    truth = found.truth.argmax(axis=1)
    out = {}
    for name, columns, views in (
        ('views not balanced', features, [''] * len(truth)),
        ('size, borders and grey levels (control)', format_only, found.views),
    ):
        steps = doubt_labels(
            columns, truth, found.sources, views, found.groups, classes=len(found.labels)
        )
        out[name] = finished(steps)
    return out


def foretold(found: Audit, features: np.ndarray) -> dict[str, dict[str, float]]:
    """Return how well given labels are foretold within view, by penalty and source."""
    truth, sources = found.truth.argmax(axis=1), np.array(found.sources)
    out: dict[str, dict[str, float]] = {}
    for penalty in PENALTIES:
        out[str(penalty)] = {}
        for source in sorted(set(found.sources)):
            places = np.flatnonzero(sources == source)
            if len(set(truth[places])) < 2:
                continue
            views = [found.views[i] for i in places]
            groups = [found.groups[i] for i in places]
            said = finished(
                out_of_fold(
                    features[places],
                    truth[places],
                    views,
                    groups,
                    classes=len(found.labels),
                    penalty=penalty,
                )
            )
            k = found.labels.index('pneumonia')
            area = within_auc(truth[places] == k, said[:, k], views)
            out[str(penalty)][source] = round(float(area), 4)
    return out


def read_lungs(folder: Path, decoders: DecoderPool) -> LoadedImages:
    """Return the images as the audit sees their lungs."""
    recipe = Recipe(name='audit', network='none', input=LUNG_VIEW)
    return finished(load_images(index(folder), recipe, decoders))  # type: ignore[no-any-return]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, required=True)
    parser.add_argument('--choose', action='store_true', help='only compare penalties')
    options = parser.parse_args(arguments)
    data = Path(os.environ['NAPARI_CXR_DATA'])
    folder = data / 'cxr3'
    decoders = DecoderPool()
    try:
        found: Audit = finished(audit(folder, reader=decoders))
        images = read_lungs(folder, decoders)
    finally:
        decoders.close()
    write_audit(found, options.out)
    features = finished(lung_features(images))
    figures: dict[str, Any] = {'foretold': foretold(found, features)}
    if not options.choose:
        read = readings(data)
        figures['audit'] = measured(found, found.doubts, read, folder)
        for name, doubt in variants(found, features, images).items():
            figures[name] = measured(found, doubt.doubts, read, folder)
    text = json.dumps(figures, indent=1)
    (options.out / 'figures.json').write_text(text + '\n', encoding='ascii')
    print(text)


if __name__ == '__main__':
    main()
