"""What the table of runs needs of the disk, read and written in threads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari.qt.threading import thread_worker

from napari_cxr.plugin.classifying import Failure, failure
from napari_cxr.plugin.runs.columns import RunRow
from napari_cxr.plugin.runs.run_history import RunHistory

__all__ = ['Table', 'read_histories', 'read_table', 'row_below', 'write_table']


@dataclass(frozen=True, eq=False)
class Table:
    """The runs below a folder.

    Parameters
    ----------
    folder : Path
        As asked for.
    rows : tuple of RunRow
        In the order of their names.
    failure : Failure, optional
        Why there are none.
    """

    folder: Path
    rows: tuple[RunRow, ...] = ()
    failure: Failure | None = None


@thread_worker
def read_table(folder: Path) -> Table:
    """Read all runs below a folder; one that does not exist is empty.

    Returns
    -------
    Table
    """
    from napari_cxr.training.runs import is_run, rows_of

    if not folder.is_dir():
        return Table(folder)
    rows = []
    try:
        for values in rows_of(folder):
            path = folder / str(values['run'])
            path = path if is_run(path) else folder  # the folder is that of the run itself
            rows.append(RunRow(values, path, (path / 'best.safetensors').is_file()))
    except OSError as error:
        words = f'{folder} cannot be read: {error.strerror}. Choose another folder.'
        return Table(folder, failure=Failure(words, ''))
    except Exception as error:
        return Table(folder, failure=failure(error, 'Reading the runs'))
    return Table(folder, tuple(rows))


@thread_worker
def read_histories(paths: Sequence[Path]) -> dict[Path, RunHistory | Failure]:
    """Read the curves of runs.

    Returns
    -------
    dict
        By the folders asked for.
    """
    found: dict[Path, RunHistory | Failure] = {}
    for path in paths:
        try:
            found[path] = RunHistory.from_folder(path)
        except OSError as error:
            words = f'The run {path.name} cannot be read: {error.strerror}. Read the table again.'
            found[path] = Failure(words, '')
        except Exception as error:
            found[path] = failure(error, 'Reading the run')
    return found


@thread_worker
def write_table(rows: list[dict[str, Any]], path: str) -> str | Failure:
    """Write rows as CSV.

    Returns
    -------
    str or Failure
        The path.
    """
    from napari_cxr.training import runs

    try:
        runs.write_table(rows, path)
    except OSError as error:
        words = f'{path} could not be written: {error.strerror}. Choose another place.'
        return Failure(words, '')
    except Exception as error:
        return failure(error, 'Writing the table')
    return path


def row_below(root: Path, folder: Path, values: dict[str, Any]) -> RunRow:
    """Return the row of a run that has just ended, as it is called below `root`.

    Parameters
    ----------
    root : Path
        The folder on show.
    folder : Path
        That of the sweep, or of the cross-validated run, which holds the run.
    values : dict
        The run's row, see `RunsDone`; a fold is called 'RUN/FOLD' in it.
    """
    path = folder / str(values.get('run', '')).removeprefix(f'{folder.name}/')
    name = path.relative_to(root).as_posix()
    return RunRow({**values, 'run': name}, path, values.get('status') == 'finished')
