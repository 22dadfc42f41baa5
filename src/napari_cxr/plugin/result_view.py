"""A classification's result: bars, reasons for caution, and the heatmap's controls."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_cxr.plugin.bars import ProbabilityBars
from napari_cxr.plugin.classifying import Answer
from napari_cxr.plugin.heatmap_controls import HeatmapControls
from napari_cxr.plugin.text import quiet_label, thin_line

__all__ = ['ResultView']


class ResultView(QWidget):
    """Shows an answer; knows nothing of layers.

    Parameters
    ----------
    theme : str
        Name of napari's theme.
    opacity : float
        Opacity of a new heatmap.
    parent : QWidget, optional
        Qt parent.
    """

    #: The class whose heatmap is wanted.
    label_chosen = Signal(str)

    def __init__(self, theme: str, opacity: float, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._answer: Answer | None = None
        self.bars = ProbabilityBars(theme)
        self.apart = quiet_label(
            'Each finding has a probability of its own; they need not sum to 100 %.'
        )
        self.apart.hide()
        self.cautions = QLabel()
        self.cautions.setWordWrap(True)
        self.cautions.setObjectName('caution')
        self.cautions.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.heat = HeatmapControls(opacity)
        self.frame_share = quiet_label()
        self.frame_share.setToolTip(
            'The edge is the outer 8 % along each side of what the model saw: 29 % of it. '
            'Much more than that there is a reason to ask whether it looked at the lungs.'
        )
        self.made_with = quiet_label()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(10)
        for widget in (
            self.bars,
            self.apart,
            self.cautions,
            thin_line(),
            self.heat,
            self.frame_share,
            self.made_with,
        ):
            layout.addWidget(widget)
        self.bars.chosen.connect(self._choose)
        self.heat.label_changed.connect(self._choose)

    @property
    def label(self) -> str:
        """The class whose heatmap is on show."""
        return self.heat.label.currentText()

    def show_answer(self, answer: Answer, label: str) -> None:
        """Show a result, with the heatmap's controls on one of its classes."""
        self._answer = answer
        prediction = answer.prediction
        self.bars.set_rows(
            list(zip(prediction.labels, prediction.probabilities, strict=True)), label
        )
        self.apart.setVisible(prediction.several)
        self.heat.set_labels(prediction.labels, label)
        self.cautions.setText('\n'.join(f'• {caution.text}' for caution in prediction.cautions))
        self.cautions.setVisible(bool(prediction.cautions))
        self.made_with.setText(f'{prediction.model} on {prediction.device}')
        self._show_share(label)

    def _choose(self, label: str) -> None:
        if not label:
            return
        self.bars.set_current(label)
        self.heat.set_labels([label for label, _ in self.bars.rows], label)
        self._show_share(label)
        self.label_chosen.emit(label)

    def _show_share(self, label: str) -> None:
        assert self._answer is not None
        share = self._answer.frame_share(label)
        if share is None:
            text = f'The heatmap of {label} is empty: no cell raised its score.'
        else:
            text = f'{100 * share:.0f} % of this heatmap lies at the edge (29 % if it were even).'
        self.frame_share.setText(text)
