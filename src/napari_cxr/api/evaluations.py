"""How good a model is, and what that is worth: figures, cautions, and a report."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_cxr.api.models import Model, load_model
from napari_cxr.api.worker import ProgressBar, run_on_models

if TYPE_CHECKING:
    import pandas as pd

__all__ = ['Evaluation', 'evaluate']


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation came to.

    Attributes
    ----------
    report : Path
        The report, an HTML page that needs no other file.
    predictions_file : Path
        The table from which every figure can be computed again.
    shortcuts_page : Path or None
        The page of the shortcut tests; None where there were none.
    cautions : tuple of str
        What has to be said first, the worst first.
    metrics : dict
        All figures, as in ``metrics.json``; see docs/evaluation.md.
    """

    report: Path
    predictions_file: Path
    cautions: tuple[str, ...]
    metrics: dict[str, Any] = field(repr=False)
    shortcuts_page: Path | None = None

    def predictions(self) -> pd.DataFrame:
        """Return the truth and the predictions, a row for each image."""
        import pandas as pd

        return pd.read_csv(self.predictions_file, keep_default_na=False, na_values=[''])

    def _repr_html_(self) -> str:
        said = ''.join(f'<li>{escape(one)}</li>' for one in self.cautions)
        rows = ''.join(
            f'<tr><td style="text-align:left">{escape(name)}</td>'
            f'<td>{escape(_auc_text(own.get("auc")))}</td></tr>'
            for kind in ('models', 'baselines')
            for name, own in self.metrics[kind].items()
        )
        return (
            f'<div><ul>{said}</ul><table><tr><th></th><th>AUC</th></tr>{rows}</table>'
            '<small>For research only, not for clinical use.</small></div>'
        )


def _auc_text(figure: Mapping[str, Any] | None) -> str:
    from napari_cxr.evaluation.metric_text import figure_text

    return figure_text(figure)


def evaluate(
    models: Model | str | Path | Sequence[Model | str | Path],
    images: str | Path,
    out: str | Path,
    *,
    split: str = '',
    by: Sequence[str] = (),
    classes: Mapping[str, Sequence[str]] | None = None,
    columns: Mapping[str, str] | None = None,
    labels: str | Path | None = None,
    prevalence: float | None = None,
    cost: float = 0.0,
    baselines: bool = True,
    gallery: bool = True,
    include_doubtful: bool = False,
    shortcut_tests: bool = False,
    sealed: bool = False,
    device: str = 'auto',
    workers: int | None = None,
    progress: bool = True,
) -> Evaluation:
    """Evaluate models by labelled images, and write a report.

    Parameters
    ----------
    models : Model, str, Path, or a sequence of them
        As `load_model` returns or takes them; several must give the same classes.
    images : str or Path
        A folder with a folder for each class, or a table of paths and labels.
    out : str or Path
        Folder for report.html, metrics.json, predictions.csv and the tables of scores.
    split : str
        'train', 'val', 'test' or 'all'; by default the test split where there is one.
    by : sequence of str
        More columns of the table by which figures are divided, beside source and view.
    classes : mapping of str to sequence of str, optional
        Which labels of the images mean a class of the model: ``{'opacity': ['pneumonia'],
        'none': ['normal']}``, where 'none' stands for none of its classes.
    columns : mapping of str to str, optional
        What the table calls its columns, as `score` takes it.
    labels : str or Path, optional
        Of a folder: a table of labels, in the place of the folders' names.
    prevalence : float, optional
        Also give predictive values where so many have the class.
    cost : float
        How many false alarms one missed case is worth: adds a threshold by cost.
    baselines : bool
        Whether to fit classifiers that see no anatomy, for comparison.
    gallery : bool
        Whether the report shows some radiographs of each class with their heatmaps.
    include_doubtful : bool
        Whether images count that are probably no upright frontal chest radiographs.
    shortcut_tests : bool
        Whether each image is shown again without lungs, with another frame, without markers,
        mirrored, and coarser, to see whether the models take a shortcut. Takes nine times as
        long, and torch.
    sealed : bool
        Whether to seal the set: from then on it answers once for each model, and training
        refuses its images and copies of them.
    device : str
        As `load_model` takes it.
    workers : int, optional
        Processes that decode; as many as there are cores by default.
    progress : bool
        Whether to draw a bar, in a terminal or a notebook.

    Returns
    -------
    Evaluation
        Cautions, figures, and where the report is.

    Raises
    ------
    napari_cxr.scoring.ListingError, napari_cxr.scoring.ScoringError
        If nothing can be evaluated, or the report cannot be written.
    napari_cxr.checkpoint.CheckpointError
        If there is no such model.

    Examples
    --------
    >>> import napari_cxr as cxr
    >>> found = cxr.evaluate(
    ...     'cxr3-resnet10', 'images/', out='evaluation', include_doubtful=True, progress=False
    ... )
    >>> found.metrics['auc']['value'] <= 1
    True
    """
    given = [models] if isinstance(models, (Model, str, Path)) else models
    paths = [str((m if isinstance(m, Model) else load_model(m, device)).path) for m in given]
    arguments: dict[str, Any] = {
        'images': str(images),
        'out': str(out),
        'labels': None if labels is None else str(labels),
        'columns': dict(columns or {}),
        'by': list(by),
        'workers': workers,
        'split': split,
        'classes': {name: list(theirs) for name, theirs in (classes or {}).items()},
        'prevalence': prevalence,
        'cost': cost,
        'baselines': baselines,
        'gallery': gallery,
        'include_doubtful': include_doubtful,
        'shortcut_tests': shortcut_tests,
        'sealed': sealed,
    }
    events = run_on_models(
        'evaluate', models=paths, device=device, torch=shortcut_tests, **arguments
    )
    return _to_the_end(events, progress)


def _to_the_end(events: Generator[Any, None, Any], progress: bool) -> Evaluation:
    from napari_cxr.evaluation.evaluation_events import (
        EvaluationFinished,
        EvaluationProgress,
        EvaluationWarned,
    )

    finished: EvaluationFinished | None = None
    with ProgressBar('Evaluating', 'image', progress) as bar, closing(events):
        for event in events:
            match event:
                case EvaluationProgress(step=step, done=done, total=total):
                    if total:
                        bar.move(done, total, step)
                    else:
                        bar.say(step)
                case EvaluationWarned(text=text):
                    bar.warn(text)
                case EvaluationFinished():
                    finished = event
    assert finished is not None
    metrics = finished.result.metrics
    return Evaluation(
        Path(finished.report),
        Path(finished.predictions_file),
        tuple(one['text'] for one in metrics['cautions']),
        metrics,
        Path(finished.shortcuts_page) if finished.shortcuts_page else None,
    )
