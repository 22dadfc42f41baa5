"""A table of images: whatever spreadsheets and the public collections write as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_cxr import sheets
from napari_cxr.scoring.tables_back import is_ours
from napari_cxr.sheets import Finder, Row, SheetError
from napari_cxr.training.dataset import SPLIT_WORDS, DatasetError, Sample, within

__all__ = ['samples_of']

_LONGEST = 200  # characters of a name in a message


def samples_of(table: Path) -> list[Sample]:
    """Read a table.

    It needs a column of paths (path, file, image, Image Index...) and its labels: one
    column (label, class, diagnosis, Finding Labels...) in which several are separated by
    '|' or ';' as in NIH ChestX-ray14, or a column of 0 and 1 for each label as in CheXpert,
    where -1 (uncertain) and nothing count as 0. It may have split, patient (or group),
    source and view. Case does not matter in names of columns. Commas, semicolons and
    tabs separate; UTF-8 and UTF-16 are read.

    Parameters
    ----------
    table : Path
        Paths in it are relative to its folder. A file that is not there is looked for by
        its name in the folders below.

    Raises
    ------
    DatasetError
        If a column, a path, a label or a file is missing, a file is named twice, or it is a
        table of scores.
    """
    try:
        names, rows = sheets.read(table)
    except SheetError as error:
        raise DatasetError(str(error)) from None
    if is_ours(names):
        raise DatasetError(
            f'{table.name} is a table of scores, whose labels are what a model said: export '
            'the labels of a reading list, or name the images and their labels in another table.'
        )
    columns = sheets.columns(names)
    if 'path' not in columns:
        raise DatasetError(
            f"{table.name} has no column 'path'; its columns, separated by commas, "
            f'are: {", ".join(names)}.'
        )
    flags = [] if 'label' in columns else sheets.flags(names, rows, set(columns.values()))
    if 'label' not in columns and not flags:
        raise DatasetError(
            f"{table.name} has no column 'label'; its columns, separated by commas, are: "
            f'{", ".join(names)}. Add it, or one column of 0 and 1 for each label.'
        )
    find = Finder(table.parent)
    samples = []
    for number, row in enumerate(rows, start=2):  # line 1 holds the names
        entries = {ours: row[theirs] for ours, theirs in columns.items()}
        if flags:
            entries['label'] = sheets.label_of_flags(row, flags)
        samples.append(_sample(entries, number, table, find, must=not flags))
    missing = [s.path for s in samples if not sheets.is_file(s.path)]
    if missing:
        raise DatasetError(
            f'{len(missing)} of {len(samples)} files named in {table.name} are missing, '
            f'the first of them {within(missing[0], table.parent)[:_LONGEST]}.'
        )
    _refuse_repeats(samples, table)
    return samples


def _sample(entries: Row, number: int, table: Path, find: Finder, *, must: bool) -> Sample:
    labels = sheets.labels_in(entries['label'])
    if not entries['path'] or (must and not labels):
        raise DatasetError(f'Line {number} of {table.name} has no path or no label.')
    split, group = entries.get('split', ''), entries.get('group', '')
    if split and split.lower() not in SPLIT_WORDS:
        raise DatasetError(
            f'Line {number} of {table.name} has the split {split!r}; '
            'it must be train, val or test.'
        )
    return Sample(
        path=find(entries['path']),
        label='|'.join(labels),
        # An image without a patient is taken for a patient of its own.
        group=group or f'image {number}',
        split=SPLIT_WORDS.get(split.lower(), ''),
        source=entries.get('source', ''),
        view=entries.get('view', ''),
        known=bool(group),
    )


def _refuse_repeats(samples: Sequence[Sample], table: Path) -> None:
    """Refuse a file that is named twice: it would land in two splits, or have two labels."""
    seen: set[Path] = set()
    for sample in samples:
        path = sample.path.resolve()
        if path in seen:
            raise DatasetError(
                f'{table.name} names {within(sample.path, table.parent)} more than once; '
                'keep one line for each image.'
            )
        seen.add(path)
