"""How far the readers of a table agree: sentences, what to do next, and the statistics."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QGridLayout, QVBoxLayout, QWidget

from napari_cxr.plugin.annotation.annotation_controls import push_button
from napari_cxr.plugin.style import quiet_label
from napari_cxr.plugin.widgets.sections import CollapsibleSection
from napari_cxr.plugin.widgets.text import PlainLabel
from napari_cxr.scoring.annotation.agreement import AgreementReport
from napari_cxr.scoring.annotation.agreement_text import (
    agreement_sentences,
    agreement_statistics,
    reading_sentences,
)

__all__ = ['AgreementView']


class AgreementView(QWidget):
    """Shows an `AgreementReport`; asks for a new one whenever it is brought forward.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    #: The readers are to be compared.
    wanted = Signal()
    #: Only rows on which readers disagree are to be shown.
    disagreements_wanted = Signal()
    #: Disagreements are to be settled.
    settle_wanted = Signal()
    #: All readings are to be exported.
    export_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.text = PlainLabel()
        self.text.setWordWrap(True)
        self.text.setIndent(0)
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.disagreements = push_button('Show them', 'Show only rows on which readers disagree')
        self.settle = push_button(
            'Settle them', 'Go through the rows on which readers disagree, and label them anew'
        )
        self.export = push_button(
            'Export all readings…',
            'A row for each image and reader as CSV, and beside it the agreement as JSON',
        )
        self.readings = quiet_label()
        self.statistics = quiet_label()
        self.details = CollapsibleSection('Details', open_=False)
        self.details.add(self.readings, self.statistics)
        buttons = QGridLayout()
        buttons.setSpacing(6)
        buttons.addWidget(self.disagreements, 0, 0)
        buttons.addWidget(self.settle, 0, 1)
        buttons.addWidget(self.export, 1, 0, 1, 2)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addWidget(self.text)
        layout.addLayout(buttons)
        layout.addWidget(self.details)
        self.disagreements.clicked.connect(self.disagreements_wanted)
        self.settle.clicked.connect(self.settle_wanted)
        self.export.clicked.connect(self.export_wanted)
        self.show_nothing('')

    def show_report(self, report: AgreementReport, problems: tuple[str, ...] = ()) -> None:
        """Show how far readers agree, and what could not be read."""
        self.text.setText('\n'.join([*agreement_sentences(report), *problems]))
        differ = len(report.disagreements)
        self.disagreements.setEnabled(bool(differ))
        self.settle.setEnabled(bool(differ))
        self.export.setEnabled(any(reading.counts.read for reading in report.readings))
        self.readings.setText('\n'.join(reading_sentences(report)))
        self.statistics.setText('\n'.join(agreement_statistics(report)))
        self.details.setVisible(bool(self.readings.text()))

    def show_nothing(self, why: str) -> None:
        """Show why there is nothing to show."""
        self.text.setText(why)
        for button in (self.disagreements, self.settle, self.export):
            button.setEnabled(False)
        self.details.hide()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Ask for what is known now."""
        super().showEvent(event)
        self.wanted.emit()
