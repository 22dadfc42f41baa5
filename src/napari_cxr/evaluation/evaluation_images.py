"""What is evaluated by: images with labels, and what else their table says of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from napari_cxr import image_tables
from napari_cxr.image_tables import TABLE_ENDINGS
from napari_cxr.inference.label_rule import UNKNOWN_MARK, known_and_unknown
from napari_cxr.scoring.input_lists import Item, ListingError, items_of_table
from napari_cxr.scoring.score_row import NO_FINDING
from napari_cxr.scoring.scoring_inputs import LABELS_FROM_FOLDERS, list_items

__all__ = ['EvaluationImages', 'class_of_labels', 'list_images']

#: The table of a folder that describes itself.
MANIFEST = 'manifest.csv'


@dataclass(frozen=True, eq=False)
class EvaluationImages:
    """The files of a set, and what is known of each.

    Parameters
    ----------
    place : Path
        The folder or the table.
    items : tuple of Item
        Every file, of all splits.
    columns : dict of str to dict of str to str
        By column what the table says, by path: 'view', and those that a person asked for.
    """

    place: Path
    items: tuple[Item, ...]
    columns: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What people call the set: the folder, or the table without its ending."""
        if self.place.name == MANIFEST:
            return self.place.absolute().parent.name
        return self.place.name if self.place.is_dir() else self.place.stem

    @property
    def splits(self) -> set[str]:
        """The splits that there are."""
        return {item.split for item in self.items} - {''}


def list_images(
    place: str | Path,
    *,
    labels: str | Path | None = None,
    columns: Mapping[str, str] | None = None,
    by: Sequence[str] = (),
    directory: Callable[[Path], Iterable[Path]] | None = None,
) -> EvaluationImages:
    """List the images of a folder or a table, with their labels.

    Parameters
    ----------
    place : str or Path
        A table of images; a folder with a ``manifest.csv``, which then is that table; or a
        folder with a folder for each class.
    labels : str or Path, optional
        Of a folder: a table of labels, in the place of the folders' names.
    columns : mapping of str to str, optional
        What the table calls its columns, see `napari_cxr.image_tables.recognise_columns`.
    by : sequence of str
        More columns of the table, by which a report is divided.
    directory : callable, optional
        As of `napari_cxr.scoring.list_items`.

    Raises
    ------
    ListingError
        If nothing is there, no image has a label, or a column is missing.
    """
    place = Path(place)
    if place.is_dir() and labels is None and (place / MANIFEST).is_file():
        place = place / MANIFEST
    table = place if place.suffix.lower() in TABLE_ENDINGS else None
    if table is None and labels is not None and str(labels) != LABELS_FROM_FOLDERS:
        table = Path(labels)
    if table is None:
        if by:
            raise ListingError(
                f'{place.name} is a folder without a table, so it has no column {by[0]!r}: give a '
                'table of the images.'
            )
        items = list_items([place], LABELS_FROM_FOLDERS, directory)
        return EvaluationImages(place, tuple(items))
    chosen = {name: value for name, value in (columns or {}).items() if name != 'view'}
    items = list_items(
        [place], None if table == place else table, directory, columns=chosen or None
    )
    if not any(item.truth for item in items):
        raise ListingError(
            f'{table.name} has no label for any image. Name the column with the labels '
            '(--label-column).'
        )
    found = _more_columns(table, chosen, (columns or {}).get('view', ''), by)
    return EvaluationImages(place, tuple(items), found)


def _more_columns(
    table: Path, chosen: Mapping[str, str], view: str, by: Sequence[str]
) -> dict[str, dict[str, str]]:
    """Return what a table says in the columns that files to score do not have."""
    try:
        names, rows = image_tables.read(table)
        known = image_tables.recognise_columns(names, {'view': view} if view else {})
    except image_tables.ImageTableError as error:
        raise ListingError(str(error)) from None
    wanted = {'view': known['view']} if 'view' in known else {}
    for name in by:
        if name in image_tables.COLUMN_NAMES and name not in names:
            continue  # one of ours, under whatever name the table has it
        if name not in names:
            raise ListingError(
                f'{table.name} has no column {name!r}. Its columns are: {", ".join(names)}.'
            )
        wanted[name] = name
    if not wanted:
        return {}
    paths = [item.path for item in items_of_table(table, chosen, must=False)]
    return {
        ours: {path: row[theirs] for path, row in zip(paths, rows, strict=True)}
        for ours, theirs in wanted.items()
    }


def class_of_labels(
    classes: Mapping[str, Sequence[str]], labels: Sequence[str]
) -> Callable[[Item], Item]:
    """Return what gives images the labels of a model, where their own have other names.

    Parameters
    ----------
    classes : mapping of str to sequence of str
        By a label of the model, which labels of the images mean it; 'none' for those that
        mean none of several. Labels that are not listed stay as they are.
    labels : sequence of str
        The model's.

    Raises
    ------
    ListingError
        If the model has no such label.
    """
    own = {label.casefold(): label for label in labels}
    meaning: dict[str, str] = {}
    for name, theirs in classes.items():
        if name.casefold() not in own and name.casefold() != 'none':
            raise ListingError(
                f'The model has no class {name!r}; it has {", ".join(map(repr, labels))}, and '
                "'none' stands for none of them."
            )
        for one in theirs:
            meaning[one.casefold()] = own.get(name.casefold(), NO_FINDING)

    def mapped(item: Item) -> Item:
        named, unknown = known_and_unknown(item.truth)
        said = [meaning.get(one.casefold(), one) for one in named]
        found = [one for one in dict.fromkeys(said) if one != NO_FINDING or len(set(said)) == 1]
        # Of a class that one of its labels says is there, nothing is unknown.
        open_ = dict.fromkeys(meaning.get(one.casefold(), one) for one in unknown)
        marked = [f'{one}{UNKNOWN_MARK}' for one in open_ if one not in {*found, NO_FINDING}]
        return replace(item, truth='|'.join([*sorted(found), *sorted(marked)]))

    return mapped if meaning else lambda item: item
