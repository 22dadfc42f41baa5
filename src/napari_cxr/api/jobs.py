"""Work of minutes and hours: scoring folders, and training."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from napari_cxr.api.models import Model, load_model
from napari_cxr.api.worker import ProgressBar, run, run_scoring
from napari_cxr.output_text import from_csv_cell

if TYPE_CHECKING:
    import pandas as pd

    from napari_cxr.training.recipe import Recipe

__all__ = ['TrainedModel', 'recipes', 'score', 'train']


def score(
    paths: str | Path | Sequence[str | Path],
    out: str | Path | None = None,
    model: Model | str | Path | None = None,
    *,
    labels: str | Path | None = None,
    columns: Mapping[str, str] | None = None,
    split: str = '',
    heatmaps: str | Path | None = None,
    device: str = 'auto',
    batch_size: int = 0,
    workers: int | None = None,
    backend: str = '',
    precision: Literal['auto', 'float32', 'bfloat16'] = 'auto',
    identify: bool = False,
    full_resolution: bool = False,
    resume: bool = False,
    retry_errors: bool = False,
    include_doubtful: bool = False,
    prior: Mapping[str, float] | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Score many radiographs into a table with a row for each.

    Parameters
    ----------
    paths : str, Path, or a sequence of them
        Images, folders, a DICOMDIR, a .txt list of paths, or a .csv table with a column of
        paths.
    out : str or Path, optional
        The table: .csv, .jsonl or, with pyarrow, .parquet. Rows are kept beside it as they
        come, so what is stopped goes on with `resume`. Without it nothing is kept.
    model : Model, str or Path, optional
        As `load_model` returns or takes it.
    labels : str or Path, optional
        What the images are, to measure by: a table of paths and labels, or 'folders' for the
        names of the folders in `paths`.
    columns : mapping of str to str, optional
        What tables call their columns, where they have names of their own: for instance
        ``{'path': 'file name', 'label': 'read as'}``; also of 'patient', 'source', 'split' and
        'view'.
    split : str
        'train', 'val' or 'test' to score the images of one split only: of the table or the
        folders, or else of the run that made the model.
    heatmaps : str or Path, optional
        A folder for a picture of each image with the heatmap of its label.
    device : str
        As `load_model` takes it; a `Model` has its own.
    batch_size : int
        Images that the network takes at once; 0 to choose by device and input size.
    workers : int, optional
        Processes that decode; as many as there are cores by default.
    backend : str
        What runs the network: 'ONNX Runtime', 'OpenVINO', 'torch channels_last' or 'torch'; by
        default the first of these that is installed and agrees with torch, and on a GPU torch.
    precision : {'auto', 'float32', 'bfloat16'}
        What the network computes in; 'auto' is float32, or bfloat16 if the device has it and
        the model's card says that the model was checked in it.
    identify : bool
        Whether to add columns that name patient, study and image.
    full_resolution : bool
        Whether JPEG 2000 is decoded at its full size, also where a half or a quarter of it is
        enough for the model.
    resume : bool
        Whether to go on with what was stopped, and to add files that are new.
    retry_errors : bool
        Whether rows with errors are scored again; with `resume`.
    include_doubtful : bool
        Whether images count in the metrics that are probably no upright frontal chest
        radiographs; without it ``attrs['metrics']['doubtful']`` says how many were left out.
    prior : mapping of str to float, optional
        The fraction of images that have a class where the model is used, such as
        ``{'pneumonia': 0.05}``: probabilities then hold there, and the table says so in its
        columns ``prevalence_CLASS``. By default that of the model's card.
    progress : bool
        Whether to draw a bar, in a terminal or a notebook.

    Returns
    -------
    pandas.DataFrame
        The table; columns of 0 and 1 are of type 'boolean', without a value where a file could not
        be scored. Where labels are known, ``attrs['metrics']`` holds the metrics, which are also
        in NAME.metrics.json beside `out`; see docs/tables.md for both.

    Raises
    ------
    napari_cxr.scoring.ListingError, napari_cxr.scoring.ScoringError
        If nothing can be scored, or the table cannot be begun, resumed or written.
    napari_cxr.checkpoint.CheckpointError
        If there is no such model.

    Examples
    --------
    >>> import napari_cxr as cxr
    >>> table = cxr.score(['folder'], out='scores.csv', progress=False)
    >>> table[['path', 'label', 'p_opacity']].shape
    (2, 3)
    """
    from napari_cxr.scoring import (
        ScoringFinished,
        ScoringPreparing,
        ScoringProgress,
        ScoringStarted,
        ScoringWarned,
    )

    chosen = model if isinstance(model, Model) else load_model(model, device)
    given = [paths] if isinstance(paths, (str, Path)) else paths
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder, 'scores.csv') if out is None else Path(out)
        metrics: dict[str, Any] = {}
        with (
            ProgressBar('Scoring', 'image', progress) as bar,
            closing(
                run_scoring(
                    paths=[str(path) for path in given],
                    labels=None if labels is None else str(labels),
                    out=str(table),
                    model=str(chosen.path),
                    device=chosen.device,
                    settings={
                        'batch': batch_size,
                        'heatmaps': '' if heatmaps is None else str(heatmaps),
                        'precision': precision,
                        'backend': backend,
                        'identify': identify,
                        'retry_errors': retry_errors,
                        'full_resolution': full_resolution,
                        'include_doubtful': include_doubtful,
                        'prior': dict(prior or {}),
                    },
                    resume=resume,
                    workers=workers,
                    columns=dict(columns or {}),
                    split=split,
                )
            ) as events,
        ):
            for event in events:
                match event:
                    case ScoringPreparing(text=text):
                        bar.say(text)
                    case ScoringStarted(total=total, done=done):
                        bar.move(done, total)
                    case ScoringProgress(done=done, total=total):
                        bar.move(done, total)
                    case ScoringWarned(text=text):
                        bar.warn(text)
                    case ScoringFinished():
                        metrics = event.metrics
        frame = _read_table(table)
    frame.attrs['metrics'] = metrics
    return frame


def _read_table(path: Path) -> pd.DataFrame:
    import pandas as pd

    from napari_cxr.scoring.table_layout import flag_columns

    match path.suffix.lower():
        case '.jsonl':
            frame = pd.read_json(path, lines=True)
        case '.parquet':
            frame = pd.read_parquet(path)
        case _:
            # Labels such as 'None' or 'NA' are words, not gaps; only empty cells are gaps.
            frame = pd.read_csv(path, keep_default_na=False, na_values=[''])
            for name in frame.select_dtypes(exclude='number'):
                frame[name] = frame[name].map(
                    lambda cell: from_csv_cell(cell) if isinstance(cell, str) else cell
                )
    # Files that failed have neither yes nor no.
    return frame.astype(dict.fromkeys(flag_columns(list(frame)), 'boolean'))


@dataclass(frozen=True)
class TrainedModel:
    """What training came to.

    Attributes
    ----------
    run_folder : Path
        Recipe, curves, splits and checkpoints.
    path : Path or None
        The model's file, for `load_model`; None where none of several folds is the result.
    metrics : dict
        As in the model's card: of the model and of its baselines, with intervals.
    """

    run_folder: Path
    path: Path | None
    metrics: dict[str, Any] = field(repr=False)

    def load(self, device: str = 'auto') -> Model:
        """Return the model; ValueError if none of several folds is the result."""
        if self.path is None:
            raise ValueError(f'{self.run_folder} has no model: its folds judge a recipe.')
        return load_model(self.path, device)


def train(
    images: str | Path,
    recipe: str | Path | Recipe | None = None,
    out: str | Path | None = None,
    *,
    changes: Mapping[str, Any] | None = None,
    columns: Mapping[str, str] | None = None,
    epochs: int = 0,
    device: str = 'auto',
    resume: bool = False,
    progress: bool = True,
) -> TrainedModel:
    """Train a model on labelled images.

    Parameters
    ----------
    images : str or Path
        A folder with a sub-folder a class, or a table (CSV) of paths and labels.
    recipe : str, Path or Recipe
        A name from `recipes`, a TOML file, or a recipe; left out with `resume`.
    out : str or Path
        Folder of the run, new or empty.
    changes : mapping, optional
        Entries of the recipe to change, such as ``{'epochs': 3}`` or
        ``{'optimiser.learning_rate': 1e-4}``.
    columns : mapping of str to str, optional
        What the table calls its columns, as `score` takes it.
    epochs : int
        Epochs in all, instead of those of the recipe. With `resume`, a run that is finished or
        was stopped goes on to so many.
    device : str
        'auto', 'cpu', 'cuda', 'cuda:N' or 'mps'.
    resume : bool
        Whether to go on with the run in `out`, bit for bit, with its own recipe.
    progress : bool
        Whether to draw a bar, in a terminal or a notebook.

    Returns
    -------
    TrainedModel
        Run folder, model and metrics.

    Raises
    ------
    napari_cxr.training.DatasetError, napari_cxr.training.RecipeError
        If images or recipe cannot be used.
    napari_cxr.training.TrainingError
        If the run failed.

    Examples
    --------
    >>> import napari_cxr as cxr
    >>> trained = cxr.train(
    ...     'images/', recipe='start-from-scratch', out='runs/one', changes={'epochs': 4},
    ...     progress=False,
    ... )
    >>> trained.path.name
    'best.safetensors'
    >>> trained.load().predict('film.dcm').label in ('normal', 'pneumonia')
    True
    """
    from napari_cxr.training import recipe as known
    from napari_cxr.training.recipe import Recipe as RecipeType
    from napari_cxr.training.training_events import (
        BatchDone,
        ReadingProgress,
        TrainingFinished,
        TrainingStarted,
        WarningRaised,
    )

    if out is None:
        raise TypeError('train() needs out, the folder of the run')
    if resume and (recipe is not None or changes or columns):
        raise TypeError(
            'a run that is resumed keeps its own recipe: leave out recipe, changes and columns'
        )
    if not resume and recipe is None:
        raise TypeError('train() needs a recipe, or resume=True')
    plan = ''
    if recipe is not None:
        chosen = recipe if isinstance(recipe, RecipeType) else known.find(recipe)
        entries = dict(changes or {}) | ({'epochs': epochs} if epochs else {})
        entries |= {f'data.columns.{what}': name for what, name in (columns or {}).items()}
        plan = chosen.with_changes(entries).to_toml()
    ended: TrainingFinished | None = None
    with (
        ProgressBar('Training', 'batch', progress) as bar,
        closing(
            run(
                'train',
                source=str(images),
                plan=plan,
                out=str(out),
                device=device,
                epochs=epochs if resume else 0,
            )
        ) as events,
    ):
        per_epoch = epochs = 0
        for event in events:
            match event:
                case ReadingProgress(done=done, total=total):
                    bar.move(done, total, 'Reading')
                case TrainingStarted():
                    per_epoch, epochs = event.batches, event.epochs
                    bar.move(event.epoch * per_epoch, epochs * per_epoch, event.run)
                case BatchDone(epoch=epoch, batch=batch):
                    bar.move((epoch - 1) * per_epoch + batch, epochs * per_epoch, event.run)
                case WarningRaised(text=text):
                    bar.warn(text)
                case TrainingFinished() if '/' not in event.run or ended is None:
                    ended = event
    metrics = ended.metrics if ended is not None else {}
    path = Path(ended.path) if ended is not None and ended.path else None
    return TrainedModel(Path(out), path, metrics)


def recipes() -> pd.DataFrame:
    """List the recipes that can be named.

    Returns
    -------
    pandas.DataFrame
        A row for each, with title, network, epochs, and the paper that it is from.

    Examples
    --------
    >>> import napari_cxr as cxr
    >>> cxr.recipes().loc['zhong', 'paper'] != ''
    True
    """
    import pandas as pd

    from napari_cxr.training import recipe as known

    rows = []
    for name in known.names():
        recipe = known.find(name)
        rows.append(
            {
                'name': name,
                'title': recipe.title,
                'network': recipe.network,
                'epochs': recipe.epochs,
                'paper': recipe.paper,
            }
        )
    return pd.DataFrame(rows).set_index('name')
