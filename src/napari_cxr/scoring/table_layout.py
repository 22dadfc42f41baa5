"""The columns of a table of scores: what they are called, what is in them, and rows from them.

Each column holds one value, so that the table is one for pandas, R, SQL and spreadsheets alike
(Wickham, Tidy data, J Stat Softw 2014): a column of 0 and 1 for each label that can be predicted,
a column for each kind of warning, and what decides a label as numbers, not as JSON. How images are
prepared is the model's own matter, and stands on its card and in the metrics beside the table.

Earlier tables of version 0.1 hold lists and JSON in the columns `above`, `called`, `doubts`,
`warnings`, `preprocessing` and `rule`. They are read, and gone on with, as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeAlias

from napari_cxr.inference.prediction import WARNING_CODES, ImageWarning
from napari_cxr.scoring.score_row import IDENTITY, ScoreRow, ScoringRun
from napari_cxr.settings_file import parse_json

__all__ = [
    'FIRST_COLUMNS',
    'ColumnKind',
    'TableEntries',
    'TableLayout',
    'constant_columns',
    'flag_columns',
    'run_of_columns',
    'run_of_values',
    'table_columns',
]

#: What is in a column: a text, a number or none, 1, 0 or none; and in earlier tables several
#: texts, or entries by name.
ColumnKind = Literal['text', 'number', 'flag', 'texts', 'table']

#: What is in each column of a row.
TableEntries: TypeAlias = dict[str, Any]

#: With what a table begins.
FIRST_COLUMNS = ('path', 'status', 'error', 'label')

_RUN_COLUMNS = ('model', 'model_hash', 'version')

#: The column of each kind of warning. An underscore instead of a dash spares quotes in SQL.
_WARNINGS = {code: f'warning_{code.replace("-", "_")}' for code in WARNING_CODES}

#: The kind of a warning of which an earlier table has nothing but the text.
_NOTE = 'note'


def table_columns(run: ScoringRun) -> dict[str, ColumnKind]:
    """Return the columns of a run's table in order, and what is in each."""
    tidy = run.tidy
    out: dict[str, ColumnKind] = dict.fromkeys(FIRST_COLUMNS, 'text')
    out |= dict.fromkeys((f'p_{label}' for label in run.labels), 'number')
    if run.rule:
        out['answer'] = 'text'
    if 'thresholds' in run.rule:
        out |= _of_labels('predicted', run) if tidy else {'above': 'texts'}
    if run.decision:
        out |= _of_labels('positive', run) if tidy else {'called': 'texts'}
    if run.possible and tidy:
        out |= _of_labels('possible', run)
    if run.truth:
        out['truth'] = 'text'
    if run.patients:
        out['patient'] = 'text'
    if run.splits:
        out['split'] = 'text'
    if run.model_split:
        out['model_split'] = 'text'
    out |= {'view': 'text', 'source': 'text'}
    if tidy:
        out |= {'doubtful': 'flag', **dict.fromkeys(_WARNINGS.values(), 'text')}
    else:
        out |= {'doubts': 'texts', 'warnings': 'texts'}
    if run.heatmaps:
        out['heatmap'] = 'text'
    if run.peaks:
        out |= {'heatmap_peak_in_lung': 'flag', 'heatmap_peak_region': 'text'}
        out['heatmap_half_peak_lung_fraction'] = 'number'
    if run.shares:
        out |= dict.fromkeys(
            ('heatmap_lung_share', 'heatmap_lung_share_if_even', 'heatmap_frame_share'), 'number'
        )
        if run.markers:
            names = ('heatmap_marker_fraction', 'heatmap_marker_fraction_uniform')
            out |= dict.fromkeys(names, 'number')
        if run.lift:
            out['heatmap_half_peak_lung_lift'] = 'number'
        out['lung_field'] = 'text'
    out |= {'model': 'text', 'model_hash': 'text'}
    if not tidy:
        out['preprocessing'] = 'table'
    out |= _rule_columns(run)
    out['version'] = 'text'
    out |= {'device': 'text', 'precision': 'text'}
    if run.backend:
        out['backend'] = 'text'
    if run.decoded:
        out['decoded'] = 'text'
    if run.identify:
        out |= dict.fromkeys(IDENTITY, 'text')
    return out


def flag_columns(names: Sequence[str]) -> list[str]:
    """Return the columns that hold 1, 0 or nothing, of a table with these columns."""
    return [name for name, kind in table_columns(run_of_columns(names)).items() if kind == 'flag']


def _of_labels(word: str, run: ScoringRun) -> dict[str, ColumnKind]:
    return dict.fromkeys((f'{word}_{label}' for label in run.labels), 'flag')


# -- what decides a label ------------------------------------------------------------------


def constant_columns(run: ScoringRun) -> tuple[str, ...]:
    """Return the columns that must be the same in all rows."""
    return (*_RUN_COLUMNS, *(() if run.tidy else ('preprocessing',)), *_rule_columns(run))


def _rule_columns(run: ScoringRun) -> dict[str, ColumnKind]:
    if not run.rule:
        return {}
    if not run.tidy:
        return {'rule': 'table'}
    return {
        name: 'text' if name == 'negative_label' else 'number' for name in _rule_values(run.rule)
    }


def _rule_values(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decides a label, see `LabelRule.to_dict`, by column."""
    prevalence = {f'prevalence_{label}': p for label, p in rule.get('prevalence', {}).items()}
    if 'thresholds' not in rule:
        return {**{k: v for k, v in rule.items() if k != 'prevalence'}, **prevalence}
    out = prevalence | {f'threshold_{label}': p for label, p in rule['thresholds'].items()}
    for label, (low, high) in rule.get('undecided', {}).items():
        out |= {f'undecided_from_{label}': low, f'undecided_to_{label}': high}
    return {**out, 'negative_label': rule.get('negative', '')}


def run_of_values(entries: TableEntries, shape: ScoringRun) -> ScoringRun:
    """Return what all rows of a table have in common.

    Parameters
    ----------
    entries : dict
        What is in each column of its first row.
    shape : ScoringRun
        What the names of its columns tell, see `run_of_columns`.

    Raises
    ------
    TypeError, ValueError
        If it is not there, or cannot be a rule.
    """
    rule, preprocessing = shape.rule, shape.preprocessing
    if not shape.tidy:
        preprocessing = _as_table(entries['preprocessing'])
        rule = _as_table(entries['rule']) if rule else rule
    elif 'thresholds' in rule:
        rule = {
            'thresholds': {label: entries[f'threshold_{label}'] for label in shape.labels},
            'negative': entries['negative_label'],
            'undecided': {
                label: [entries[f'undecided_from_{label}'], entries[f'undecided_to_{label}']]
                for label in rule['undecided']
            },
        }
    elif rule:
        rule = {'least_margin': entries['least_margin']}
    if shape.tidy and 'prevalence' in shape.rule:
        stated = {label: entries[f'prevalence_{label}'] for label in shape.labels}
        rule = {**rule, 'prevalence': stated}
    return replace(
        shape,
        **{name: entries[name] for name in _RUN_COLUMNS},
        preprocessing=preprocessing,
        rule=rule,
        multilabel='thresholds' in rule,
    )


def _as_table(value: Any) -> dict[str, Any]:
    found = parse_json(value) if isinstance(value, str) else value
    if not isinstance(found, dict):
        raise ValueError
    return found


def run_of_columns(names: Sequence[str]) -> ScoringRun:
    """Return what the names of columns tell of a run; the rest is empty.

    Parameters
    ----------
    names : sequence of str
        Of a table of scores. Those of the run that is returned need not be the same: then the
        table is of another version, or was changed.
    """
    labels = []
    for name in names[len(FIRST_COLUMNS) :]:
        if not name.startswith('p_'):
            break
        labels.append(name.removeprefix('p_'))
    tidy = 'doubtful' in names
    rule: dict[str, Any] = {}
    if 'above' in names or 'negative_label' in names:
        banded = [label for label in labels if f'undecided_from_{label}' in names]
        rule = {
            'thresholds': dict.fromkeys(labels, 0.5),
            'undecided': {label: [0.5, 0.5] for label in banded},
        }
    elif 'rule' in names or 'least_margin' in names:
        rule = {'least_margin': 0.0}
    if labels and f'prevalence_{labels[0]}' in names:
        rule['prevalence'] = dict.fromkeys(labels, 0.5)
    called = f'positive_{labels[0]}' in names if tidy and labels else 'called' in names
    possible = bool(tidy and labels) and f'possible_{labels[0]}' in names
    return ScoringRun(
        model='',
        model_hash='',
        labels=tuple(labels),
        preprocessing={},
        version='',
        rule=rule,
        decision=called,
        heatmaps='heatmap' in names,
        shares='lung_field' in names,
        identify='patient_id' in names,
        truth='truth' in names,
        patients='patient' in names,
        backend='backend' in names,
        decoded='decoded' in names,
        peaks='heatmap_peak_in_lung' in names,
        markers='heatmap_marker_fraction' in names,
        lift='heatmap_half_peak_lung_lift' in names,
        splits='split' in names,
        model_split='model_split' in names,
        tidy=tidy,
        possible=possible,
    )


# -- rows ----------------------------------------------------------------------------------


class TableLayout:
    """How the rows of a run lie in its table.

    Parameters
    ----------
    run : ScoringRun
        What the rows have in common.

    Attributes
    ----------
    columns : dict
        As `table_columns`.

    Raises
    ------
    ValueError
        If its rule cannot be one.
    """

    def __init__(self, run: ScoringRun) -> None:
        self._run, self._rule = run, run.label_rule
        self.columns = table_columns(run)
        self._probabilities = [f'p_{label}' for label in run.labels]
        self._predicted, self._positive, self._possible = (
            {label: name for label in run.labels if (name := f'{word}_{label}') in self.columns}
            for word in ('predicted', 'positive', 'possible')
        )
        constant = {
            'model': run.model,
            'model_hash': run.model_hash,
            'version': run.version,
            **(_rule_values(run.rule) if run.tidy else {}),
            **({} if run.tidy else {'preprocessing': run.preprocessing, 'rule': run.rule}),
        }
        self._empty = dict.fromkeys(self.columns) | {
            name: value for name, value in constant.items() if name in self.columns
        }

    def values(self, row: ScoreRow) -> TableEntries:
        """Return what is in each column for a row: None where there is no number.

        Probabilities are rounded to 7 digits, which is what single precision can tell.
        """
        run = self._run
        every: TableEntries = {
            'path': row.path,
            'status': row.status,
            'error': row.error,
            'label': row.label,
            'answer': row.answer,
            'truth': row.truth,
            'patient': row.patient,
            'split': row.split,
            'model_split': row.model_split,
            'view': row.view,
            'source': row.source,
            'heatmap': row.heatmap,
            'heatmap_peak_in_lung': None if row.peak_in_lung is None else int(row.peak_in_lung),
            'heatmap_peak_region': row.peak_region,
            'heatmap_half_peak_lung_fraction': _rounded(row.half_peak_lung_fraction),
            'heatmap_lung_share': _rounded(row.lung_share),
            'heatmap_lung_share_if_even': _rounded(row.lung_share_if_even),
            'heatmap_frame_share': _rounded(row.frame_share),
            'heatmap_marker_fraction': _rounded(row.marker_fraction),
            'heatmap_marker_fraction_uniform': _rounded(row.marker_fraction_uniform),
            'heatmap_half_peak_lung_lift': _rounded(row.half_peak_lung_lift),
            'lung_field': row.lung_field,
            'device': row.device,
            'precision': row.precision,
            'backend': row.backend,
            'decoded': row.decoded,
            **{name: row.identity.get(name, '') for name in IDENTITY if run.identify},
        }
        if run.tidy:
            every |= _warning_values(row)
        else:
            every['above'], every['called'] = list(row.above), list(row.called)
            every['doubts'] = list(row.doubts)
            every['warnings'] = [warning.text for warning in row.warnings]
        out = self._empty | {name: every[name] for name in every.keys() & self._empty.keys()}
        if row.status == 'scored':
            for name, p in zip(self._probabilities, row.probabilities, strict=True):
                out[name] = _rounded(p)
            for names, found in (
                (self._predicted, row.above),
                (self._positive, row.called),
                (self._possible, row.possible),
            ):
                for label, name in names.items():
                    out[name] = int(label in found)
        return out

    def row(self, number: int, entries: TableEntries) -> ScoreRow:
        """Undo what `values` did.

        Parameters
        ----------
        number : int
            The place of the row in the table.
        entries : dict
            What is in each column.

        Raises
        ------
        KeyError, TypeError, ValueError
            If it cannot be a row of such a table.
        """
        status = entries['status']
        shares = tuple(entries[name] for name in self._probabilities)
        whole = None not in shares if status == 'scored' else shares.count(None) == len(shares)
        if status not in ('scored', 'error') or not whole or not entries['path']:
            raise ValueError
        if self._run.tidy:
            above, called = (
                _flagged(names, entries) for names in (self._predicted, self._positive)
            )
            if len(above) > 1:  # the furthest above first
                above = tuple(label for label in self._rule.ordered(shares) if label in above)
            warnings = tuple(
                ImageWarning(code, text)
                for code, name in _WARNINGS.items()
                if (text := entries[name])
            )
        else:
            above, called = tuple(entries.get('above', ())), tuple(entries.get('called', ()))
            codes, texts = entries['doubts'], entries['warnings']
            codes = [*codes, *[_NOTE] * (len(texts) - len(codes))]
            warnings = tuple(ImageWarning(*pair) for pair in zip(codes, texts, strict=True))
        hit = entries.get('heatmap_peak_in_lung')
        identity = {name: entries[name] for name in IDENTITY} if self._run.identify else {}
        return ScoreRow(
            number=number,
            path=entries['path'],
            status=status,
            error=entries['error'],
            label=entries['label'],
            probabilities=shares if status == 'scored' else (),
            above=above,
            answer=entries.get('answer', ''),
            called=called,
            possible=_flagged(self._possible, entries),
            truth=entries.get('truth', ''),
            source=entries['source'],
            patient=entries.get('patient', ''),
            split=entries.get('split', ''),
            model_split=entries.get('model_split', ''),
            view=entries['view'],
            warnings=warnings,
            heatmap=entries.get('heatmap', ''),
            peak_in_lung=None if hit is None else bool(hit),
            peak_region=entries.get('heatmap_peak_region') or '',
            half_peak_lung_fraction=entries.get('heatmap_half_peak_lung_fraction'),
            lung_share=entries.get('heatmap_lung_share'),
            lung_share_if_even=entries.get('heatmap_lung_share_if_even'),
            frame_share=entries.get('heatmap_frame_share'),
            marker_fraction=entries.get('heatmap_marker_fraction'),
            marker_fraction_uniform=entries.get('heatmap_marker_fraction_uniform'),
            lung_field=entries.get('lung_field', ''),
            device=entries['device'],
            precision=entries['precision'],
            backend=entries.get('backend', ''),
            decoded=entries.get('decoded', ''),
            identity={name: text for name, text in identity.items() if text},
        )


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 7)


def _warning_values(row: ScoreRow) -> TableEntries:
    """Return whether a row is doubtful, and the sentences of each kind of warning.

    Several of one kind are one text.
    """
    out: TableEntries = dict.fromkeys(_WARNINGS.values(), '')
    out['doubtful'] = int(bool(row.doubts)) if row.status == 'scored' else None
    for warning in row.warnings:
        name = _WARNINGS.get(warning.code, _WARNINGS[_NOTE])
        out[name] = f'{out[name]} {warning.text}' if out[name] else warning.text
    return out


def _flagged(names: Mapping[str, str], entries: TableEntries) -> tuple[str, ...]:
    """Return the labels whose column holds 1."""
    if any(entries[name] not in (0, 1, None) for name in names.values()):
        raise ValueError
    return tuple(label for label, name in names.items() if entries[name])
