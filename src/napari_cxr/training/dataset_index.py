"""Find the labelled images of a folder of sub-folders or of a table.

Tables are CSV files as spreadsheets and the public collections write them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path

from napari_cxr import image_tables
from napari_cxr.image_tables import TABLE_ENDINGS, ImageFinder, ImageTableError, TableRow
from napari_cxr.scoring.table_reader import is_score_table
from napari_cxr.training.dataset import SPLIT_NAMES, Dataset, DatasetError, Sample, within
from napari_cxr.training.recipe.data_sections import DataRecipe

__all__ = ['LAYOUTS', 'index', 'samples_in_folder', 'samples_in_table']

#: What the first and the second folder on the way to an image are.
LAYOUTS = {
    'class': ('label',),
    'class/source': ('label', 'source'),
    'source/class': ('source', 'label'),
    'split/class': ('split', 'label'),
}

#: Extensions of files that are meant to be images, readable or not.
_ENDINGS = ('.png', '.jpg', '.jpeg', '.jpe', '.tif', '.tiff', '.dcm', '.dicom', '.bmp', '.webp')


def index(source: str | Path, data: DataRecipe | None = None) -> Dataset:
    """Find the labelled images of a folder or a table.

    Parameters
    ----------
    source : str or Path
        A folder with a ``manifest.csv``; a folder of sub-folders, whose meaning
        `data.layout` gives; or a CSV file, see `samples_in_table`.
    data : DataRecipe, optional
        What the folders mean, which labels make up which classes, and how to find the
        patient in a file's name.

    Returns
    -------
    Dataset

    Raises
    ------
    DatasetError
        If there is nothing to train on, or folders, table and recipe do not match; the
        message says what to change.
    """
    # Absolute, so that '.' has a name in messages.
    source, data = Path(os.path.abspath(source)), data or DataRecipe()
    if source.is_dir() and (source / 'manifest.csv').is_file():
        source /= 'manifest.csv'
    if source.is_dir():
        root, samples = source, samples_in_folder(source, data.layout)
    elif source.suffix.lower() in TABLE_ENDINGS and source.is_file():
        root, samples = source.parent, samples_in_table(source, data.columns)
    elif source.exists() and not source.is_file():
        raise DatasetError(
            f'{source} is a pipe or a device. Save what comes out of it as a CSV file, and name '
            'that.'
        )
    else:
        raise DatasetError(f'{source} is neither a folder of images nor a CSV file.')
    if data.patient:
        samples = _with_patients(samples, re.compile(data.patient), root)
    samples = _in_classes(samples, data.classes)
    _refuse_twins(samples)
    _refuse_ambiguous({sample.source for sample in samples})
    grouped = bool(samples) and all(sample.known for sample in samples)
    return Dataset(root, tuple(samples), grouped, limit=data.limit, balance=data.balance)


def _with_patients(samples: list[Sample], pattern: re.Pattern[str], root: Path) -> list[Sample]:
    """Take the patient from the file's name, or from the folders that it is in."""
    out = []
    for sample in samples:
        match = pattern.search(sample.path.name) or pattern.search(within(sample.path, root))
        found = match and match.group(1 if pattern.groups else 0)
        out.append(replace(sample, group=found, known=True) if found else sample)
    if samples and out == samples:
        raise DatasetError(
            f'data.patient, {pattern.pattern!r}, matches no file name; the first one is '
            f'{samples[0].path.name}.'
        )
    return out


def _in_classes(samples: list[Sample], classes: dict[str, tuple[str, ...]]) -> list[Sample]:
    """Merge labels into classes; images with none of these labels are dropped."""
    if not classes:
        return samples
    present = {label for sample in samples for label in sample.labels}
    class_of = {label: name for name, labels in classes.items() for label in labels}
    for label in class_of:
        if label not in present:
            raise DatasetError(
                f'data.classes names the label {label!r}, which no image has; the labels are '
                f'{", ".join(repr(p) for p in sorted(present))}.'
            )
    by_case = {label.casefold(): label for label in class_of}
    for label in sorted(present - set(class_of)):
        if label.casefold() in by_case:
            raise DatasetError(
                f'data.classes names the label {by_case[label.casefold()]!r}, and there is '
                f'{label!r} as well; list both, or spell them the same.'
            )
    out = []
    for sample in samples:
        found = {class_of[label] for label in sample.labels if label in class_of}
        if found:
            unknown = {class_of[label] for label in sample.unknown if label in class_of} - found
            out.append(
                replace(sample, label='|'.join(sorted(found)), unknown=tuple(sorted(unknown)))
            )
    return out


def _refuse_twins(samples: list[Sample]) -> None:
    by_case: dict[str, set[str]] = {}
    for sample in samples:
        for label in sample.labels:
            by_case.setdefault(label.casefold(), set()).add(label)
    for spellings in by_case.values():
        if len(spellings) > 1:
            listed = ' and '.join(repr(s) for s in sorted(spellings))
            raise DatasetError(
                f'The labels {listed} differ only in case; spell them the same, or merge them in '
                'data.classes.'
            )


def _refuse_ambiguous(sources: set[str]) -> None:
    """Refuse names of sources that have another meaning in metrics by source."""
    clashes = {'all': len(sources) > 1, 'no source': '' in sources}
    for name, clash in clashes.items():
        if clash and name in sources:
            raise DatasetError(
                f'A source is named {name!r}, which has another meaning in metrics by source; '
                'rename it.'
            )


def samples_in_folder(root: Path, layout: str) -> list[Sample]:
    """Find the images of a folder.

    A file whose name says that it is an image is listed even if it is none, so that it is
    reported as unreadable instead of being ignored.

    Parameters
    ----------
    root : Path
        Its sub-folders are classes, sources or splits. Names that start with a dot or an
        underscore are ignored.
    layout : {'auto', 'class', 'class/source', 'source/class', 'split/class'}
        What the sub-folders mean. Auto recognises folders named train, val and test, and
        otherwise takes the first level for the classes, unless folders of the second level
        have the same name in several of the first: then it does not guess.

    Raises
    ------
    DatasetError
        If there are no sub-folders, one without images, images without a class, or
        if the meaning of the folders is not clear.
    """
    tops = [p for p in sorted(root.iterdir()) if p.is_dir() and p.name[0] not in '._']
    if not tops:
        raise DatasetError(
            f'{root.name} has no sub-folders; put the images of each class into a sub-folder of '
            'their own, or choose a CSV file.'
        )
    if any(_is_meant(path) for path in root.iterdir() if path.is_file()):
        raise DatasetError(
            f'Some images lie directly in {root.name}, beside the class folders, and have no '
            'class; move each into the folder of its class.'
        )
    # A link to the whole folder would put every image into every class.
    above = {_identity(folder) for folder in (root, *root.resolve().parents)}
    found = {top: list(_images(top, above)) for top in tops}
    if layout == 'auto':
        layout = _guess(root, found)
    levels = LAYOUTS[layout]
    samples = [
        _folder_sample(root, path, levels, layout) for paths in found.values() for path in paths
    ]
    _refuse_empty(root, tops, {s.label for s in samples}, levels)
    _refuse_shared(root, samples)
    return samples


def _folder_sample(root: Path, path: Path, levels: tuple[str, ...], layout: str) -> Sample:
    folders = path.relative_to(root).parts[:-1]
    entries = dict(zip(levels, folders, strict=False))
    if 'label' not in entries:
        raise DatasetError(
            f'The folder {folders[0]!r} holds images beside its class folders; with the layout '
            f'{layout!r} they have no class.'
        )
    if 'split' in entries:
        word = entries['split'].lower()
        if word not in SPLIT_NAMES:
            raise DatasetError(
                f'The folder {entries["split"]!r} must be called train, val or test in the '
                "layout 'split/class'; rename it, or choose another data.layout."
            )
        entries['split'] = SPLIT_NAMES[word]
    return Sample(
        path,
        label=entries['label'],
        group=path.relative_to(root).as_posix(),
        split=entries.get('split', ''),
        source=entries.get('source', ''),
    )


def _guess(root: Path, found: dict[Path, list[Path]]) -> str:
    """Return what the folders mean; raise DatasetError if that is ambiguous."""
    names = [top.name.lower() for top in found]
    if 'train' in {SPLIT_NAMES.get(name) for name in names} and set(names) <= set(SPLIT_NAMES):
        return 'split/class'
    above: dict[str, set[Path]] = {}
    for top, paths in found.items():
        for path in paths:
            folders = path.relative_to(top).parts[:-1]
            if not folders:
                return 'class'  # there are images at the first level, so its folders are classes
            above.setdefault(folders[0], set()).add(top)
    shared = sorted(name for name, tops in above.items() if len(tops) > 1)
    if shared:
        listed = ', '.join(repr(name) for name in shared[:4])
        raise DatasetError(
            f'{root.name} has folders of the same name ({listed}) in several of its folders. If '
            "these are the classes, set data.layout to 'source/class'; if they are hospitals or "
            "collections, to 'class/source'; if they mean nothing, to 'class'."
        )
    return 'class'


def _refuse_empty(root: Path, tops: list[Path], labels: set[str], levels: tuple[str, ...]) -> None:
    """Refuse a class folder without images, which would silently be no class."""
    depth = levels.index('label')
    classes = tops if depth == 0 else [p for top in tops for p in sorted(top.iterdir())]
    for folder in classes:
        if folder.is_dir() and folder.name[0] not in '._' and folder.name not in labels:
            raise DatasetError(
                f'The class folder {folder.relative_to(root).as_posix()!r} contains no images; '
                'add some or remove it.'
            )


def _refuse_shared(root: Path, samples: Sequence[Sample]) -> None:
    """Refuse a file that links put into two classes: one of them must be wrong."""
    first: dict[Path, Sample] = {}
    for sample in samples:
        try:
            other = first.setdefault(sample.path.resolve(), sample)
        except (OSError, RuntimeError):  # a link to nowhere, or to itself
            continue
        if other.label != sample.label:
            one, two = (s.path.relative_to(root).as_posix() for s in (other, sample))
            raise DatasetError(
                f'{one} and {two} are the same file, by a link, in two classes; remove one of '
                'them.'
            )


def _identity(folder: str | Path) -> tuple[int, int]:
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _images(folder: Path, above: Set[tuple[int, int]]) -> Iterator[Path]:
    """Yield what is meant to be an image, sorted; links are followed, but no loops."""
    visited = set(above)
    for here, folders, names in os.walk(folder, followlinks=True):
        place = _identity(here)
        if place in visited:
            folders.clear()
            continue
        visited.add(place)
        folders[:] = sorted(name for name in folders if name[0] not in '._')
        yield from (path for name in sorted(names) if _is_meant(path := Path(here, name)))


def _is_meant(path: Path) -> bool:
    """Return whether a file is an image, or is named like one."""
    from napari_cxr.image_files import is_image

    if path.name.startswith('.') or path.name.upper() == 'DICOMDIR':
        return False
    ending = path.suffix.lower()
    # DICOM files often have no extension, or are named by a UID that ends in digits.
    if ending in _ENDINGS or not ending or ending[1:].isdigit():
        return True
    try:
        return is_image(path)
    except OSError:
        return False


_LONGEST = 200  # characters of a name in a message


def samples_in_table(table: Path, columns: Mapping[str, str] | None = None) -> list[Sample]:
    """Read a table.

    It needs a column of paths (path, file, image, Image Index...) and its labels: one
    column (label, class, diagnosis, Finding Labels...) in which several are separated by
    '|' or ';' as in NIH ChestX-ray14, or a column of 0 and 1 for each label as in CheXpert,
    where -1, 'uncertain' and nothing say that nobody knows, so that it counts nowhere. It may
    have split, patient (or group),
    source, view, age and sex. Case does not matter in names of columns. Commas, semicolons and
    tabs separate; UTF-8 and UTF-16 are read.

    Parameters
    ----------
    table : Path
        Paths in it are relative to its folder. A file that is not there is searched for by
        its name in the folders below. One that cannot be found has a `problem`.
    columns : mapping of str to str, optional
        Names of columns of its own, see `napari_cxr.image_tables.recognise_columns`.

    Raises
    ------
    DatasetError
        If a column, a path, a label or most files are missing, a file is named twice, or it is a
        table of scores.
    """
    try:
        names, rows = image_tables.read(table)
    except ImageTableError as error:
        raise DatasetError(str(error)) from None
    if is_score_table(names):
        raise DatasetError(
            f'{table.name} is a table of scores, whose labels are predictions of a model. Export '
            'the labels of a reading list, or list images and labels in another table.'
        )
    try:
        known = image_tables.recognise_columns(names, columns)
    except ImageTableError as error:
        raise DatasetError(str(error).replace('The table has', f'{table.name} has', 1)) from None
    if 'path' not in known:
        raise DatasetError(
            f"{table.name} has no column 'path'. Its columns are: {', '.join(names)}. Name it "
            '(data.columns.path, or --path-column).'
        )
    try:
        taken = set(known.values())
        flags = [] if 'label' in known else image_tables.flag_columns(names, rows, taken)
    except ImageTableError as error:
        raise DatasetError(f'{table.name}: {error}') from None
    if 'label' not in known and not flags:
        raise DatasetError(
            f"{table.name} has no column 'label'. Its columns are: {', '.join(names)}. Name it "
            '(data.columns.label, or --label-column), or add one column of 0 and 1 for each label.'
        )
    find = ImageFinder(table.parent)
    samples = []
    for number, row in enumerate(rows, start=2):  # line 1 holds the names
        entries = {ours: row[theirs] for ours, theirs in known.items()}
        if flags:
            entries['label'] = image_tables.labels_from_flags(row, flags)
        sample = _table_sample(entries, number, table, find, must=not flags)
        samples.append(replace(sample, unknown=image_tables.unknown_flags(row, flags)))
    missing = [sample for sample in samples if sample.problem]
    if len(missing) > len(samples) / 2:  # the folder, or the column, is another one
        first = missing[0]
        name = within(first.path, table.parent)[:_LONGEST]
        raise DatasetError(
            f'{len(missing)} of {len(samples)} files named in {table.name} cannot be found. '
            f'The first is {name}: {first.problem[:_LONGEST]}'
        )
    _refuse_repeats(samples, table)
    return samples


def _table_sample(
    entries: TableRow, number: int, table: Path, find: ImageFinder, *, must: bool
) -> Sample:
    labels = image_tables.split_labels(entries['label'])
    if not entries['path'] or (must and not labels):
        raise DatasetError(f'Line {number} of {table.name} has no path or no label.')
    split, group = entries.get('split', ''), entries.get('group', '')
    if split and split.lower() not in SPLIT_NAMES:
        raise DatasetError(
            f'Line {number} of {table.name} has the split {split!r}; '
            'it must be train, val or test.'
        )
    path = find(entries['path'])
    problem = ''
    if not image_tables.is_file(path):
        problem = find.ambiguity(entries['path']) or 'There is no such file.'
    return Sample(
        path=path,
        label='|'.join(labels),
        # An image without a patient counts as a patient of its own.
        group=group or f'image {number}',
        split=SPLIT_NAMES.get(split.lower(), ''),
        source=entries.get('source', ''),
        view=entries.get('view', ''),
        known=bool(group),
        problem=problem,
        age=entries.get('age', ''),
        sex=entries.get('sex', ''),
    )


def _refuse_repeats(samples: Sequence[Sample], table: Path) -> None:
    """Refuse a file that is listed twice: it could be in two splits, or have two labels."""
    listed: set[Path] = set()
    for sample in samples:
        path = sample.path.resolve()
        if path in listed:
            raise DatasetError(
                f'{table.name} lists {within(sample.path, table.parent)} more than once; '
                'keep one line for each image.'
            )
        listed.add(path)
