"""Which models are evaluated by which images, and where the report goes."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QMenu,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_cxr.checkpoint import catalog
from napari_cxr.image_tables import TABLE_ENDINGS
from napari_cxr.plugin.docks import dock_signals
from napari_cxr.plugin.preferences import preferences, save_preferences
from napari_cxr.plugin.widgets.form_fields import (
    FormLabel,
    ValidatedField,
    field_with_button,
    more_button,
)
from napari_cxr.plugin.widgets.model_selector import fill_device_list
from napari_cxr.plugin.widgets.sections import CollapsibleSection
from napari_cxr.plugin.widgets.text import plain_tip

__all__ = ['EvaluationRequest', 'EvaluationSetup', 'classes_of_text']

#: Milliseconds after the last key before what was typed is taken.
_TYPING_PAUSE = 400
#: Lines of the list of models.
_MOST_MODELS = 5
_TABLES = 'Tables (*.csv *.tsv);;All files (*)'
_SPLITS = (
    ('Test images, or all', ''),
    ('Test', 'test'),
    ('Validation', 'val'),
    ('Training', 'train'),
    ('All', 'all'),
)


@dataclass(frozen=True)
class EvaluationRequest:
    """What to evaluate.

    Parameters
    ----------
    models : tuple of str
        Names in the catalog, or files.
    images : str
        A folder or a table.
    out : str
        Folder for the report.
    device : str
        'auto', 'cpu', 'cuda' or 'mps'.
    split : str
        As `EvaluationSettings.split`.
    classes : dict of str to list of str
        Which labels of the images mean which class of the model.
    by : tuple of str
        More columns by which figures are divided.
    shortcut_tests : bool
        Whether to run the shortcut tests, too.
    """

    models: tuple[str, ...]
    images: str
    out: str
    device: str = 'auto'
    split: str = ''
    classes: dict[str, list[str]] = field(default_factory=dict)
    by: tuple[str, ...] = ()
    shortcut_tests: bool = False


def classes_of_text(text: str) -> dict[str, list[str]]:
    """Read 'opacity = pneumonia, covid19; none = normal'.

    Raises
    ------
    ValueError
        If a part of it is not of this form; the message says what to write.
    """
    out: dict[str, list[str]] = {}
    for part in text.split(';'):
        if not part.strip():
            continue
        name, sign, labels = part.partition('=')
        found = [label.strip() for label in labels.split(',') if label.strip()]
        if not sign or not name.strip() or not found:
            raise ValueError(
                f'“{part.strip()}” does not say which labels mean a class. Write it like '
                '“opacity = pneumonia, covid19; none = normal”.'
            )
        out.setdefault(name.strip(), []).extend(found)
    return out


class EvaluationSetup(QWidget):
    """Models to tick, the images, and where the report goes.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    #: Something was changed.
    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._own_out = False  # whether a person has chosen the folder of the report
        self._build()
        self._fill_models()
        remembered = preferences('evaluate')
        self.images.setText(remembered.images)
        self._propose_out()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_TYPING_PAUSE)
        self._timer.timeout.connect(self._take)
        self.models.itemChanged.connect(self._models_changed)
        self.images.textChanged.connect(self._images_changed)
        self.out.textEdited.connect(self._out_edited)
        for line in (self.classes, self.by):
            line.textChanged.connect(self._timer.start)
        for box in (self.split, self.device):
            box.currentIndexChanged.connect(self._take)
        dock_signals().model_added.connect(self._fill_models)
        self._take()

    def _build(self) -> None:
        self.models = QListWidget()
        self.models.setAccessibleName('Models')
        self.models.setToolTip('Tick the models to evaluate; several are compared')
        self.add_model = QPushButton('Model from a file…')
        self.add_model.clicked.connect(self.choose_model)
        self.images = QLineEdit()
        self.images.setAccessibleName('Images')
        self.images.setPlaceholderText('Folder or table')
        self.images.setToolTip(
            'A folder with one sub-folder for each class, or a table (CSV) with the columns path '
            'and label, and optionally patient, split, source and view. You can also drop it here.'
        )
        self.browse = more_button('Choose the images')
        menu = QMenu(self.browse)
        menu.addAction('Folder of images…', self.choose_folder)
        menu.addAction('Table (CSV)…', self.choose_table)
        self.browse.setMenu(menu)
        self.browse.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.images_field = ValidatedField(field_with_button(self.images, self.browse))
        self.out = QLineEdit()
        self.out.setAccessibleName('Folder of the report')
        self.out.setToolTip('The report goes there. What was scored there is not scored again.')
        self.choose_out = more_button('Choose where the report goes')
        self.choose_out.clicked.connect(self.choose_out_folder)
        self.split = QComboBox()
        self.split.setAccessibleName('Split')
        self.split.setToolTip('By which images; thresholds are chosen by the validation images')
        for text, data in _SPLITS:
            self.split.addItem(text, data)
        self.device = QComboBox()
        self.device.setAccessibleName('Device')
        fill_device_list(self.device, preferences('evaluate').device)
        self.classes = QLineEdit()
        self.classes.setAccessibleName('Labels that mean a class')
        self.classes.setPlaceholderText('opacity = pneumonia, covid19; none = normal')
        self.classes.setToolTip(
            'Where the labels of the images have other names than the classes of the model: which '
            'labels mean a class. “none” stands for none of the classes.'
        )
        self.classes_field = ValidatedField(self.classes)
        self.by = QLineEdit()
        self.by.setAccessibleName('More columns')
        self.by.setPlaceholderText('age_group, machine')
        self.by.setToolTip(
            'Columns of the table by which figures are divided, beside source and view'
        )
        self.shortcut_tests = QCheckBox('Test for shortcuts')
        self.shortcut_tests.setToolTip(
            'Show each image again without lungs, with another frame, without markers, mirrored, '
            'and coarser, and say whether the model answers by the lungs. Takes nine times as '
            'long.'
        )
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.DontWrapRows)
        form.addRow('Models', self.models)
        form.addRow('', self.add_model)
        form.addRow(FormLabel('Images', self.images), self.images_field)
        form.addRow('Report in', field_with_button(self.out, self.choose_out))
        form.addRow('', self.shortcut_tests)
        more = QWidget()
        rest = QFormLayout(more)
        rest.setContentsMargins(0, 0, 0, 0)
        rest.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        rest.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        rest.addRow('Split', self.split)
        rest.addRow('Device', self.device)
        rest.addRow(FormLabel('Classes', self.classes), self.classes_field)
        rest.addRow('Divide by', self.by)
        self.more = CollapsibleSection('More', open_=False)
        self.more.add(more)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addLayout(form)
        layout.addWidget(self.more)

    # -- what is chosen -----------------------------------------------------------------

    @property
    def request(self) -> EvaluationRequest | None:
        """What to evaluate; None as long as `reason` says what is missing."""
        if self.reason:
            return None
        return EvaluationRequest(
            models=self.chosen_models,
            images=self._path(self.images),
            out=self._path(self.out),
            device=self.device.currentData(),
            split=self.split.currentData(),
            classes=classes_of_text(self.classes.text()),
            by=tuple(name.strip() for name in self.by.text().split(',') if name.strip()),
            shortcut_tests=self.shortcut_tests.isChecked(),
        )

    @property
    def reason(self) -> str:
        """What is missing, in a sentence."""
        if not self.chosen_models:
            return 'Tick a model.'
        if not self._path(self.images):
            return 'Choose the images: a labelled folder or a table.'
        return self._problem or ('' if self._path(self.out) else 'Choose a folder for the report.')

    @property
    def chosen_models(self) -> tuple[str, ...]:
        """The models that are ticked."""
        items = (self.models.item(i) for i in range(self.models.count()))
        return tuple(
            item.data(Qt.ItemDataRole.UserRole)
            for item in items
            if item is not None and item.checkState() == Qt.CheckState.Checked
        )

    def choose_models(self, *names: str) -> None:
        """Tick these models, by name or file, and no others."""
        for name in names:
            if self._item(name) is None:
                self._add_model(name, Path(name).stem, name)
        for i in range(self.models.count()):
            item = self.models.item(i)
            if item is not None:
                wanted = item.data(Qt.ItemDataRole.UserRole) in names
                states = Qt.CheckState
                item.setCheckState(states.Checked if wanted else states.Unchecked)

    def set_images(self, path: str) -> None:
        """Choose the images."""
        self.images.setText(path)

    def remember(self) -> None:
        """Keep what is chosen for the next session."""
        save_preferences(
            'evaluate',
            images=self._path(self.images),
            models='\n'.join(self.chosen_models),
            device=self.device.currentData(),
        )

    # -- asking -------------------------------------------------------------------------

    def choose_folder(self) -> None:
        """Ask for a folder of images."""
        path = QFileDialog.getExistingDirectory(self, 'Choose labelled images', self._start)
        if path:
            self.set_images(path)

    def choose_table(self) -> None:
        """Ask for a table of images."""
        path, _ = QFileDialog.getOpenFileName(self, 'Choose a table', self._start, _TABLES)
        if path:
            self.set_images(path)

    def choose_out_folder(self) -> None:
        """Ask for the folder of the report."""
        path = QFileDialog.getExistingDirectory(
            self, 'Choose a folder for the report', self._path(self.out)
        )
        if path:
            self._own_out = True
            self.out.setText(path)
            self._take()

    def choose_model(self) -> None:
        """Ask for the file of a model."""
        path, _ = QFileDialog.getOpenFileName(
            self, 'Choose a model', '', 'Models (*.safetensors);;All files (*)'
        )
        if path:
            self.choose_models(*self.chosen_models, path)

    @property
    def _start(self) -> str:
        path = Path(self._path(self.images))
        return str(path if path.is_dir() else path.parent)

    # -- reactions ----------------------------------------------------------------------

    def _fill_models(self, _: str = '') -> None:
        """List the models; those that were ticked stay so."""
        chosen = self.chosen_models or tuple(
            preferences('evaluate').models.splitlines() or [catalog.default()]
        )
        self.models.blockSignals(True)
        self.models.clear()
        for entry in catalog.entries():
            if not entry.needs_download and not entry.error:
                title = entry.card.title if entry.card is not None else ''
                self._add_model(entry.name, entry.name, title)
        for name in chosen:
            if self._item(name) is None and Path(name).is_file():
                self._add_model(name, Path(name).stem, name)
        self.choose_models(*(name for name in chosen if self._item(name) is not None))
        self.models.blockSignals(False)
        line = self.models.sizeHintForRow(0) if self.models.count() else 20
        shown = min(max(self.models.count(), 2), _MOST_MODELS)
        self.models.setFixedHeight(shown * line + 16)
        self.models.scrollToTop()

    def _add_model(self, name: str, text: str, tip: str) -> None:
        item = QListWidgetItem(text)
        item.setData(Qt.ItemDataRole.UserRole, name)
        item.setToolTip(plain_tip(tip))
        item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
        item.setCheckState(Qt.CheckState.Unchecked)
        self.models.addItem(item)

    def _item(self, name: str) -> QListWidgetItem | None:
        for i in range(self.models.count()):
            item = self.models.item(i)
            if item is not None and item.data(Qt.ItemDataRole.UserRole) == name:
                return item
        return None

    def _models_changed(self, _: QListWidgetItem) -> None:
        self._propose_out()
        self._take()

    def _images_changed(self) -> None:
        self._propose_out()
        self._timer.start()

    def _out_edited(self) -> None:
        self._own_out = bool(self.out.text().strip())
        self._timer.start()

    def _propose_out(self) -> None:
        """Propose a folder in the person's home, named after the images and the models."""
        images = self._path(self.images)
        if self._own_out or not images:
            return
        path = Path(images)
        name = path.parent.name if path.suffix.lower() in TABLE_ENDINGS else path.name
        models = [Path(model).stem for model in self.chosen_models]
        others = f' and {len(models) - 1} more' if len(models) > 1 else ''
        name = f'{name or "images"} by {models[0]}{others}' if models else name or 'images'
        self.out.setText(str(Path.home() / 'napari-cxr-evaluations' / name))

    def _take(self) -> None:
        images = self._path(self.images)
        self._problem = ''
        if images and not os.path.lexists(images):
            self._problem = f'There is no {images}. Choose another folder or table.'
        elif images and not os.path.isdir(images) and not images.lower().endswith(TABLE_ENDINGS):
            self._problem = 'This is neither a folder nor a CSV table. Choose another one.'
        self.images_field.show_messages(self._problem)
        try:
            classes_of_text(self.classes.text())
            self.classes_field.show_messages('')
        except ValueError as error:
            self._problem = self._problem or str(error)
            self.classes_field.show_messages(str(error))
        self.changed.emit()

    @staticmethod
    def _path(line: QLineEdit) -> str:
        text = line.text().strip()
        return os.path.abspath(os.path.expanduser(text)) if text else ''
