"""Lists of models and devices, as docks offer them, and the window with a model's card."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import cast

from qtpy.QtCore import QSignalBlocker, Qt, QUrl, Signal
from qtpy.QtGui import (
    QBrush,
    QColor,
    QStandardItemModel,
    QTextCursor,
    QTextDocument,
    QTextFrameFormat,
    QTextLength,
    QTextTable,
)
from qtpy.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QTextBrowser,
    QVBoxLayout,
    QWidget,
)

from napari_cxr.checkpoint import Card, CheckpointError, catalog, read_card
from napari_cxr.checkpoint.card_page import card_markdown, unfinished_text
from napari_cxr.plugin.docks import dock_signals
from napari_cxr.plugin.preferences import preferences, save_preferences
from napari_cxr.plugin.widgets.text import ElidedComboBox, plain_tip

__all__ = ['CardDialog', 'ModelComboBox', 'fill_device_list']

_FROM_FILE = 'From a file…'

_DEMONSTRATIONS = 'Demonstrations'


class ModelComboBox(ElidedComboBox):
    """The models of the catalog, and files of a person's own.

    Parameters
    ----------
    tip : str
        Its tooltip.
    category : str
        Under which of the preferences the choice is remembered, as its `model`.
    offers : bool
        Whether models that have to be downloaded first are listed too.
    parent : QWidget, optional
        Qt parent.
    """

    #: Another model was chosen.
    chosen = Signal()

    def __init__(
        self, tip: str, category: str, offers: bool = False, parent: QWidget | None = None
    ) -> None:
        super().__init__(tip, parent)
        self._category = category
        self._offers = offers
        self._fill()
        self.activated.connect(self._activated)
        dock_signals().model_added.connect(self._list)

    @property
    def current(self) -> str:
        """Name in the catalog or path of the chosen model; empty if there is none."""
        return cast(str, self.currentData() or '')

    @property
    def is_download(self) -> bool:
        """Whether the chosen model is downloaded at its first use, and has no card before."""
        entry = self._entries.get(self.current)
        return entry is not None and entry.card is None and not entry.error

    @property
    def offered(self) -> catalog.CatalogEntry | None:
        """The chosen model, where it has to be downloaded first; else None."""
        entry = self._entries.get(self.current)
        return entry if entry is not None and entry.needs_download else None

    def current_card(self) -> Card:
        """Return the card of the chosen model.

        Raises
        ------
        CheckpointError
            If its file cannot be read.
        """
        entry = self._entries.get(self.current)
        if entry is None:
            return read_card(self.current)
        if entry.card is None:
            title = entry.summary.get('title', '')
            if entry.needs_download:
                raise CheckpointError(f'{title}. Its card comes with it: click Get.')
            raise CheckpointError(
                entry.error or f'{title}. Its card comes with its download, at the first use.'
            )
        return entry.card

    def choose(self, name_or_path: str) -> None:
        """Choose a model by its name in the catalog, or a file, as another dock asks for.

        The model of a run that has not finished is chosen for now; next time the dock starts
        with the one that it had.
        """
        self._list()
        if name_or_path in self._entries:
            self.setCurrentIndex(self.findData(name_or_path))
            self._take()
        else:
            self.choose_file(name_or_path)

    def choose_file(self, path: str, by_hand: bool = False) -> None:
        """Add a model file to the list and choose it.

        Parameters
        ----------
        path : str
            The file.
        by_hand : bool
            Whether the person has chosen this very file.
        """
        if self.findData(path) < 0:
            heading = self.findText(_DEMONSTRATIONS, Qt.MatchFlag.MatchExactly)
            # Before the demonstrations with the line above them, or before the last entry.
            place = heading - 1 if heading >= 0 else self.count() - 1
            self.insertItem(place, _file_title(path), path)
            self.setItemData(place, plain_tip(path), Qt.ItemDataRole.ToolTipRole)
        self.setCurrentIndex(self.findData(path))
        self._take(by_hand)

    def _take(self, by_hand: bool = False) -> None:
        """Make the current model the chosen one, and remember it."""
        self._now = self.current
        if by_hand or not self._is_unfinished:
            save_preferences(self._category, model=self._now)
        self.chosen.emit()

    @property
    def _is_unfinished(self) -> bool:
        try:
            return bool(self.current_card().unfinished)
        except CheckpointError:
            return False

    def _fill(self) -> None:
        default = catalog.default()
        wanted = preferences(self._category).model or default
        # Of two of one name the one that `catalog.resolve` takes: yours, bundled, download.
        order = ('download', 'bundled', 'yours')
        listed = [e for e in catalog.entries() if self._offers or not e.needs_download]
        # What cannot be used goes before neither.
        taken = sorted(listed, key=lambda entry: (not entry.error, order.index(entry.origin)))
        meant = {entry.name: entry for entry in taken}
        self._entries = {entry.name: meant[entry.name] for entry in listed}
        demonstrations = [entry for entry in self._entries.values() if entry.is_demonstration]
        for entry in self._entries.values():
            if not entry.is_demonstration:
                self._add(entry)
        if wanted in self._entries and self._entries[wanted].error:
            wanted = default
        if wanted not in self._entries and Path(wanted).is_file():
            self.addItem(_file_title(wanted), wanted)
            self.setItemData(self.count() - 1, plain_tip(wanted), Qt.ItemDataRole.ToolTipRole)
        if demonstrations:
            self._add_heading()
        for entry in demonstrations:
            self._add(entry)
        self.addItem(_FROM_FILE, '')
        found = self.findData(wanted)
        self.setCurrentIndex(found if found >= 0 else max(self.findData(default), 0))
        self._now = self.current

    def _add(self, entry: catalog.CatalogEntry) -> None:
        card = entry.card
        self.addItem(f'{entry.name}{_remark(entry)}', entry.name)
        tip = entry.error
        if card is not None:
            of_run = unfinished_text(card)
            more = card.demonstration or (of_run and f'This model is {of_run}.')
            tip = f'{card.title}\n{more}'.strip()
        if entry.needs_download:
            tip = entry.summary.get('title', '')
        self.setItemData(self.count() - 1, plain_tip(tip), Qt.ItemDataRole.ToolTipRole)

    def _add_heading(self) -> None:
        """Add a line and what stands below it, neither of which can be chosen."""
        self.insertSeparator(self.count())
        self.addItem(_DEMONSTRATIONS, None)
        items = self.model()
        if isinstance(items, QStandardItemModel) and (heading := items.item(self.count() - 1)):
            heading.setEnabled(False)

    def _list(self, added: str = '') -> None:
        """List the models again; the chosen one stays chosen."""
        before = self.current
        with QSignalBlocker(self):
            self.clear()
            self._fill()
            if self.findData(before) >= 0:
                self.setCurrentIndex(self.findData(before))
            self._now = self.current

    def _activated(self) -> None:
        if self.current:
            self._take(by_hand=True)
            return
        path, _ = QFileDialog.getOpenFileName(
            self, 'Choose a model', '', 'Models (*.safetensors);;All files (*)'
        )
        self.setCurrentIndex(self.findData(self._now))
        if path:
            self.choose_file(path, by_hand=True)


def _remark(entry: catalog.CatalogEntry) -> str:
    """Return what stands behind the name of a model in the list."""
    if entry.error:
        return ' · not usable'
    if entry.needs_download:
        return f' · Get{entry.size_text}'
    return _stopped(entry.card) if entry.card is not None else ''


def _stopped(card: Card) -> str:
    return f' · stopped at {card.unfinished}' if card.unfinished else ''


#: What the models in the folder of a run are called, which is not a name for people.
_OF_A_RUN = ('best', 'last')


def _file_title(path: str) -> str:
    """Return what a file is called in the list: of a run, by the run."""
    file = Path(path)
    title = file.parent.name if file.stem in _OF_A_RUN and file.parent.name else file.stem
    try:
        return f'{title}{_stopped(read_card(file))}'
    except CheckpointError:
        return f'{title} · not usable'


def fill_device_list(box: QComboBox, chosen: str) -> None:
    """Offer the devices on which networks run, and choose one: 'auto', 'cpu', 'cuda', 'mps'."""
    box.addItem('Automatic', 'auto')
    box.addItem('CPU', 'cpu')
    gpu = ('Apple GPU', 'mps') if sys.platform == 'darwin' else ('CUDA GPU', 'cuda')
    box.addItem(*gpu)
    box.setCurrentIndex(max(box.findData(chosen), 0))


#: Wide enough for a table of metrics beside two baselines, each with its interval.
_CARD_WIDTH, _CARD_HEIGHT = 1120, 800

_RULE_COLOUR = QColor(128, 128, 128, 110)  # on dark and on light


class _CardText(QTextBrowser):
    """Draws text alone: a card must not have files opened by naming them as pictures."""

    def loadResource(self, kind: int, name: QUrl) -> None:
        """Load nothing."""


class CardDialog(QDialog):
    """Shows a card as text that can be selected and copied.

    Parameters
    ----------
    card : Card
        What to show.
    parent : QWidget, optional
        Qt parent.
    """

    def __init__(self, card: Card, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(card.title or card.name)
        self.text = _CardText()
        self.text.setOpenExternalLinks(True)
        document = self.text.document()
        if document is not None:
            features = QTextDocument.MarkdownFeature
            document.setMarkdown(
                card_markdown(card),
                features.MarkdownDialectGitHub | features.MarkdownNoHTML,
            )
            document.setDocumentMargin(14)
            _rule_tables(document)
        self.text.moveCursor(QTextCursor.MoveOperation.Start)  # the last line is in view else
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(self.text)
        layout.addWidget(buttons)
        screen = self.screen()
        space = screen.availableGeometry() if screen is not None else self.rect()
        self.resize(min(_CARD_WIDTH, space.width() - 40), min(_CARD_HEIGHT, space.height() - 80))


def _rule_tables(document: QTextDocument) -> None:
    """Give tables thin lines, space around their numbers, and the width of the page."""
    root = document.rootFrame()
    for frame in root.childFrames() if root is not None else []:
        if isinstance(frame, QTextTable):
            rules = frame.format()
            rules.setBorder(1)
            rules.setBorderStyle(QTextFrameFormat.BorderStyle.BorderStyle_Solid)
            rules.setBorderBrush(QBrush(_RULE_COLOUR))
            rules.setBorderCollapse(True)
            rules.setCellPadding(4)
            rules.setTopMargin(6)
            rules.setBottomMargin(10)
            # All of it and its last line would be wider than the page.
            rules.setWidth(QTextLength(QTextLength.Type.PercentageLength, 99))
            frame.setFormat(rules)
