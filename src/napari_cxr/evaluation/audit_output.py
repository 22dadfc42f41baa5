"""An audit as JSON, and as a table that opens as a reading list, the most doubtful label first."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from napari_cxr import __version__
from napari_cxr.checkpoint.model_file import write_atomic
from napari_cxr.evaluation.data_audit import Audit
from napari_cxr.evaluation.variable_audit import VariableAudit
from napari_cxr.inference.prediction import ImageWarning
from napari_cxr.lungs.frontal_check import FrontalCheck
from napari_cxr.scoring.score_row import NO_FINDING, ScoreRow, ScoringRun
from napari_cxr.scoring.scoring_checks import make_result_folder
from napari_cxr.scoring.table_writer import write_table

__all__ = ['REPORT_FILE', 'TABLE_FILE', 'audit_to_dict', 'doubt_text', 'write_audit']

#: What `write_audit` writes into a folder.
REPORT_FILE, TABLE_FILE = 'audit.json', 'doubtful-labels.csv'

_MODEL = 'label audit'
#: Codes of warnings for what the frontal check says, where they are other words.
_CODES = {'other': 'not-a-chest', 'inverted': 'polarity'}


def audit_to_dict(audit: Audit) -> dict[str, Any]:
    """Return an audit fit for JSON: what was found, and what is known of each image.

    No patient is named in it; numbers that are undefined are None.
    """
    rank = np.full(len(audit.paths), -1)
    rank[audit.most_doubtful] = np.arange(len(audit.most_doubtful))
    return {
        'form': 1,
        'version': __version__,
        'labels': list(audit.labels),
        'multilabel': audit.multilabel,
        'images': len(audit.paths),
        'findings': list(audit.findings),
        'variables': [_variable(one) for one in audit.variables],
        'baselines': {name: [_number(x) for x in auc] for name, auc in audit.baselines.items()},
        'sources': [
            {
                'name': one.name,
                'counts': one.counts,
                'baseline': [_number(x) for x in one.baseline],
                'labels_judged': one.judged,
                'labels_doubted': one.doubted,
                'variables': [_variable(variable) for variable in one.variables],
                'median_age': _number(one.median_age),
            }
            for one in audit.by_source
        ],
        'copies_with_other_labels': [[audit.paths[i] for i in places] for places in audit.copies],
        'near_duplicates': [
            {
                'paths': [audit.paths[pair.first], audit.paths[pair.second]],
                'similarity': _number(pair.similarity),
                'across': pair.across,
            }
            for pair in audit.pairs
        ],
        'not_frontal': {
            path: kind
            for path, kind in zip(audit.paths, audit.frontal, strict=True)
            if kind != 'frontal'
        },
        'skipped': dict(audit.skipped),
        'doubtful_labels': [
            {
                'path': audit.paths[i],
                'label': given_label(audit, i),
                'doubt': _number(audit.doubts[i]),
                'suggested': audit.labels[audit.suggested[i]] if audit.suggested[i] >= 0 else '',
                'probabilities': [_number(p) for p in audit.probabilities[i]],
            }
            for i in audit.most_doubtful.tolist()
        ],
    }


def _variable(one: VariableAudit) -> dict[str, Any]:
    return {
        'name': one.name,
        'images': one.images,
        'auc': [_number(x) for x in one.auc],
        'could_give_the_auc': one.answer,
        'text': one.text,
        'counts': one.counts,
    }


def given_label(audit: Audit, place: int) -> str:
    """Return the label of an image as given, several joined by '|'."""
    return '|'.join(np.array(audit.labels, dtype=object)[audit.truth[place]]) or NO_FINDING


def doubt_text(audit: Audit, place: int) -> str:
    """Say in a sentence why the label of an image is doubted; empty where it is not."""
    k = int(audit.suggested[place])
    if k < 0:
        return ''
    label = audit.labels[k]
    source = audit.sources[place]
    where = f' of {source}' if source else ''
    if audit.multilabel:
        change = 'has' if audit.truth[place, k] else 'lacks'
        other = 'without' if audit.truth[place, k] else 'with'
        return f'It {change} the label {label}, but looks more like the images{where} {other} it.'
    return f'It looks more like the images{where} that are labelled {label}.'


def write_audit(audit: Audit, out: Path) -> tuple[Path, Path | None]:
    """Write ``audit.json`` and ``doubtful-labels.csv`` into a folder.

    Parameters
    ----------
    audit : Audit
        What was found.
    out : Path
        The folder; it is made where it is missing.

    Returns
    -------
    Path, Path or None
        The report; and the table, unless no label could be judged.

    Raises
    ------
    OSError, napari_cxr.scoring.ScoringError
        If they cannot be written.
    """
    make_result_folder(out)
    report = out / REPORT_FILE
    text = json.dumps(audit_to_dict(audit), indent=2, allow_nan=False)
    write_atomic(report, (text + '\n').encode('ascii'))
    if not len(audit.most_doubtful):
        return report, None
    table = out / TABLE_FILE
    write_table(table, _rows(audit), _run(audit))
    return report, table


def _run(audit: Audit) -> ScoringRun:
    lines = [f'{d} {given_label(audit, i)}' for i, d in enumerate(audit.digests)]
    return ScoringRun(
        model=_MODEL,
        model_hash=hashlib.sha256('\n'.join(sorted(lines)).encode()).hexdigest()[:12],
        labels=audit.labels,
        preprocessing={},
        version=__version__,
        multilabel=audit.multilabel,
        truth=True,
        patients=True,
        splits=any(audit.splits),
    )


def _rows(audit: Audit) -> Iterator[ScoreRow]:
    for number, i in enumerate(audit.most_doubtful.tolist()):
        probabilities = tuple(float(p) for p in audit.probabilities[i])
        text = doubt_text(audit, i)
        kind = audit.frontal[i]
        warnings = [ImageWarning('label', text)] if text else []
        if kind != 'frontal':
            code = _CODES.get(kind, kind)
            warnings.insert(0, ImageWarning(code, FrontalCheck(kind, 1.0).message))
        yield ScoreRow(
            number=number,
            path=audit.paths[i],
            status='scored',
            label=audit.labels[int(np.argmax(probabilities))],
            probabilities=probabilities,
            truth=given_label(audit, i),
            source=audit.sources[i],
            patient=audit.groups[i],
            split=audit.splits[i],
            view=audit.views[i],
            warnings=tuple(warnings),
        )


def _number(value: float) -> float | None:
    return round(float(value), 4) if math.isfinite(value) else None
