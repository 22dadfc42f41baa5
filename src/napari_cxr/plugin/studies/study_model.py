"""Patients, studies, series and images as a tree for Qt."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from os.path import basename, splitext
from typing import Any

from qtpy.QtCore import QAbstractItemModel, QModelIndex, QObject, QSize, Qt
from qtpy.QtGui import QImage

from napari_cxr.dicom.header_summary import Identity
from napari_cxr.plugin.widgets.text import plain_tip
from napari_cxr.studies.study_index import IndexedImage
from napari_cxr.studies.study_tree import (
    Patient,
    Series,
    Study,
    image_text,
    interval_text,
    matches,
)

__all__ = ['IMAGE_HEIGHT', 'StudyModel', 'StudyNode', 'study_rows']

#: Height of a row with a thumbnail, and of the thumbnail in it, in pixels.
IMAGE_HEIGHT = 44
_LINE_HEIGHT = 24
_DIGITS = 6  # of a pseudonym on screen


@dataclass(eq=False)
class StudyNode:
    """A row of the tree, with those below it.

    Parameters
    ----------
    key : str
        What it is known by when the tree is made anew.
    text, details : str
        The two columns.
    parent : StudyNode or None
        The row above.
    image : IndexedImage or None
        Of the rows that can be opened.
    """

    key: str
    text: str
    details: str
    parent: StudyNode | None = None
    image: IndexedImage | None = None
    row: int = 0
    children: list[StudyNode] = field(default_factory=list)

    def add(self, child: StudyNode) -> StudyNode:
        """Put a row below this one, after the others."""
        child.parent, child.row = self, len(self.children)
        self.children.append(child)
        return child

    def images(self) -> Iterable[StudyNode]:
        """Yield the rows of images below this one, itself included, from the top."""
        if self.image is not None:
            yield self
        for child in self.children:
            yield from child.images()


class StudyModel(QAbstractItemModel):
    """The tree of patients; made anew whenever it changes, since that takes milliseconds.

    A series of one image is that image's row.

    Parameters
    ----------
    thumbnail : callable
        From a path to its thumbnail: None until it is read, an empty one if there is none.
    parent : QObject, optional
        Qt parent.
    """

    def __init__(
        self, thumbnail: Callable[[str], QImage | None], parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._thumbnail = thumbnail
        self._root = self._before = StudyNode('', '', '')
        self._shown: set[str] = set()

    @property
    def root(self) -> StudyNode:
        """What stands above all patients."""
        return self._root

    def set_root(self, root: StudyNode) -> None:
        """Show another tree, see `study_rows`."""
        self.beginResetModel()
        self._before, self._root = self._root, root  # Qt may hold indices until the end
        self.endResetModel()

    def set_shown(self, paths: Iterable[str]) -> None:
        """Mark the images that are on show, from the next painting on."""
        self._shown = set(paths)

    def node(self, index: QModelIndex) -> StudyNode:
        """Return the row of an index; the root for none."""
        found: Any = index.internalPointer() if index.isValid() else self._root
        return found if isinstance(found, StudyNode) else self._root

    def index_of(self, node: StudyNode, column: int = 0) -> QModelIndex:
        """Return the index of a row."""
        return QModelIndex() if node is self._root else self.createIndex(node.row, column, node)

    # -- Qt's side ----------------------------------------------------------------------

    def index(self, row: int, column: int, parent: QModelIndex | None = None) -> QModelIndex:
        """Return the index of a row below another."""
        children = self.node(parent or QModelIndex()).children
        if 0 <= row < len(children) and column in (0, 1):
            return self.createIndex(row, column, children[row])
        return QModelIndex()

    def parent(self, child: Any = None) -> Any:  # type: ignore[override]
        """Return the index above another; without one, the Qt parent."""
        if child is None:
            return super().parent()
        above = self.node(child).parent
        return QModelIndex() if above is None else self.index_of(above)

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Return how many rows stand below another."""
        parent = parent or QModelIndex()
        return 0 if parent.column() > 0 else len(self.node(parent).children)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Return 2: what it is, and details."""
        return 2

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Return the titles of the columns."""
        if orientation is Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return ('Patient, study, image', 'Details')[section]
        return None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what a row shows."""
        if not index.isValid():
            return None
        node = self.node(index)
        if role == Qt.ItemDataRole.DisplayRole:
            return node.text if index.column() == 0 else node.details
        if role == Qt.ItemDataRole.ToolTipRole:
            return plain_tip(f'{node.text} · {node.details}')
        if role == Qt.ItemDataRole.AccessibleTextRole:
            on = ', on show' if node.image and node.image.path in self._shown else ''
            return f'{node.text}, {node.details}{on}'
        if role == Qt.ItemDataRole.TextAlignmentRole and index.column() == 1:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if role == Qt.ItemDataRole.SizeHintRole:
            if index.column() > 0:
                return None  # as wide as its text
            return QSize(0, IMAGE_HEIGHT if node.image is not None else _LINE_HEIGHT)
        if node.image is None:
            return None
        if role == Qt.ItemDataRole.FontRole and node.image.path in self._shown:
            from qtpy.QtGui import QFont
            from qtpy.QtWidgets import QApplication

            font = QFont(QApplication.font())
            font.setBold(True)
            return font
        if role == Qt.ItemDataRole.DecorationRole and index.column() == 0:
            return self._picture(node.image.path)
        return None

    def _picture(self, path: str) -> QImage:
        found, side = self._thumbnail(path), IMAGE_HEIGHT - 4
        empty = QImage(side, side, QImage.Format.Format_ARGB32)
        empty.fill(Qt.GlobalColor.transparent)
        if found is None or found.isNull():
            return empty
        from qtpy.QtGui import QPainter

        small = found.scaled(
            side,
            side,
            Qt.AspectRatioMode.KeepAspectRatio,
            Qt.TransformationMode.SmoothTransformation,
        )
        painter = QPainter(empty)
        painter.drawImage((side - small.width()) // 2, (side - small.height()) // 2, small)
        painter.end()
        return empty


def study_rows(
    patients: Sequence[Patient], identities: dict[str, Identity], words: Sequence[str] = ()
) -> StudyNode:
    """Return the rows of patients, or what of them fits a search; needs no Qt.

    Parameters
    ----------
    patients : sequence of Patient
        In their order.
    identities : dict of str to Identity
        By the key of a study; what is not there is shown by its pseudonym.
    words : sequence of str
        All of them, in lower case, must occur in an image's row or in those above it.

    Returns
    -------
    StudyNode
        What stands above all patients.
    """
    root = StudyNode('', '', '')
    for patient in patients:
        _add_patient(root, patient, identities, words)
    return root


def _add_patient(
    root: StudyNode,
    patient: Patient,
    identities: dict[str, Identity],
    words: Sequence[str],
) -> None:
    images = patient.images
    known = next((identities[s.key] for s in patient.studies if s.key in identities), None)
    node = StudyNode(
        f'patient {patient.key}',
        _patient_text(patient, known),
        _images_text(len(images)),
    )
    for study in patient.studies:
        _add_study(node, patient, study, identities.get(study.key), words)
    if node.children:
        root.add(node)


def _add_study(
    above: StudyNode,
    patient: Patient,
    study: Study,
    known: Identity | None,
    words: Sequence[str],
) -> None:
    images = study.images
    kinds = ' '.join(dict.fromkeys(image.header.modality for image in images if image.header))
    text = interval_text(study, patient) if images[0].header else 'Pictures'
    if known is not None:
        text = ' · '.join(part for part in (known.date or text, known.study) if part)
    details = ' · '.join(part for part in (kinds, _images_text(len(images))) if part)
    node = StudyNode(f'study {patient.key} {study.key}', text, details)
    for series in study.series:
        _add_series(node, f'{above.text} {above.details} {text} {details}', series, words)
    if node.children:
        above.add(node)


def _add_series(above: StudyNode, path: str, series: Series, words: Sequence[str]) -> None:
    header = series.images[0].header
    title = header.description if header is not None else ''
    if header is not None and not title:
        title = f'Series {header.series_number}' if header.series_number else 'Series'
    rows = []
    for image in series.images:
        name = splitext(basename(image.path))[0] if image.header is None else ''
        text = name or image_text(image)
        if len(series.images) == 1 and header is not None and header.description:
            text = f'{text} · {header.description}'
        elif image.header is not None and image.header.image_number and len(series.images) > 1:
            text = f'{text} · {image.header.image_number}'
        details = _size_text(image)
        if not words or matches(f'{path} {title} {text} {details}', words):
            rows.append(StudyNode(f'image {image.path}', text, details, image=image))
    if not rows:
        return
    if header is not None and len(series.images) > 1:
        above = above.add(
            StudyNode(f'series {above.key} {series.key}', title, _images_text(len(series.images)))
        )
    for row in rows:
        above.add(row)


def _patient_text(patient: Patient, known: Identity | None) -> str:
    if known is not None and (known.name or known.number):
        return ' · '.join(
            part for part in (known.name, known.number, known.birth_date, known.sex) if part
        )
    first = patient.images[0]
    if first.header is None:
        return f'Folder {basename(patient.key)}'
    if not first.header.patient:
        return f'Unnamed patient {patient.key[:_DIGITS]}'
    return f'Patient {patient.key[:_DIGITS]}'


def _images_text(count: int) -> str:
    return '1 image' if count == 1 else f'{count:,} images'


def _size_text(image: IndexedImage) -> str:
    header = image.header
    if header is None:
        return image.format
    frames = f' × {header.frames:,}' if header.frames > 1 else ''
    return f'{header.columns} × {header.rows}{frames}'
