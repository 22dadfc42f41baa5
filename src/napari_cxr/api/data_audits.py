"""What in a labelled data set would mislead, from Python."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_cxr.api.worker import ProgressBar, run_without_torch

if TYPE_CHECKING:
    import pandas as pd

    from napari_cxr.evaluation.data_audit import Audit

__all__ = ['DataAudit', 'audit']


@dataclass(frozen=True)
class DataAudit:
    """What was found in a data set.

    Attributes
    ----------
    findings : tuple of str
        Sentences, the most serious first.
    """

    findings: tuple[str, ...]
    _found: Audit = field(repr=False)

    @property
    def variables(self) -> pd.DataFrame:
        """What source, view, age and sex alone tell about the class.

        A row for each, with the macro AUC of a classifier that knows nothing else and its 95 %
        interval (``auc``, ``low``, ``high``), of how many images it is known, and the answer to
        "could this alone give your AUC?": 'yes', 'partly', 'no' or 'unknown'.
        """
        import pandas as pd

        rows = []
        for one in self._found.variables:
            value, low, high = one.auc or (float('nan'),) * 3
            rows.append((one.name, one.images, value, low, high, one.answer))
        columns = ['variable', 'images', 'auc', 'low', 'high', 'could_give_the_auc']
        return pd.DataFrame(rows, columns=columns).set_index('variable')

    @property
    def labels(self) -> pd.DataFrame:
        """The labels that could be judged, the most doubtful first.

        Columns are the path, the given label, the class that fits better where the label is
        doubted, the doubt, and the out-of-fold probability of each class as ``p_CLASS``.
        """
        import pandas as pd

        from napari_cxr.evaluation.audit_output import given_label

        found = self._found
        rows = [
            {
                'path': found.paths[i],
                'label': given_label(found, i),
                'suggested': found.labels[found.suggested[i]] if found.suggested[i] >= 0 else '',
                'doubt': found.doubts[i],
                **{f'p_{n}': p for n, p in zip(found.labels, found.probabilities[i], strict=True)},
            }
            for i in found.most_doubtful.tolist()
        ]
        named = ['path', 'label', 'suggested', 'doubt', *(f'p_{name}' for name in found.labels)]
        return pd.DataFrame(rows, columns=named)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as ``audit.json`` has it, see docs/audit.md."""
        from napari_cxr.evaluation.audit_output import audit_to_dict

        return audit_to_dict(self._found)


def audit(
    images: str | Path,
    out: str | Path | None = None,
    *,
    columns: Mapping[str, str] | None = None,
    auc: float | None = None,
    progress: bool = True,
) -> DataAudit:
    """Say what in a labelled data set would mislead.

    Copies and near-duplicates, images that are not frontal radiographs, labels that are probably
    wrong, and whether source, view, age, sex or the format of the files could give a good result
    by themselves.

    Parameters
    ----------
    images : str or Path
        A folder with a sub-folder a class, or a table (CSV) of paths and labels.
    out : str or Path, optional
        A folder for ``audit.json`` and ``doubtful-labels.csv``, which opens in the Score dock as
        a reading list.
    columns : mapping of str to str, optional
        What the table calls its columns, as `score` takes it.
    auc : float, optional
        The AUC of a model: could a variable alone give it?
    progress : bool
        Whether to draw a bar, in a terminal or a notebook.

    Returns
    -------
    DataAudit

    Raises
    ------
    napari_cxr.training.DatasetError
        If there are no labelled images, or none can be used.

    Examples
    --------
    >>> import napari_cxr as cxr
    >>> found = cxr.audit('images/', progress=False)
    >>> 'frontal' in ' '.join(found.findings)
    True
    >>> found.variables.loc['sex', 'could_give_the_auc']
    'unknown'
    """
    from napari_cxr.evaluation.data_audit import AuditProgress
    from napari_cxr.training.training_events import WarningRaised

    events = run_without_torch(
        'audit',
        source=str(images),
        data={'columns': dict(columns or {})},
        out='' if out is None else str(out),
        asked=auc,
    )
    with ProgressBar('Auditing', '%', progress) as bar, closing(events):
        while True:
            try:
                event = next(events)
            except StopIteration as end:
                found: Audit = end.value
                return DataAudit(found.findings, found)
            match event:
                case AuditProgress(doing=doing, fraction=fraction):
                    bar.move(round(100 * fraction), 100, doing)
                case WarningRaised(text=text):
                    bar.warn(text)
