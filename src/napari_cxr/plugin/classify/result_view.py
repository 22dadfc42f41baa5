"""A classification's result: a warning, bars, cautions, and where the network looked."""

from __future__ import annotations

from html import escape

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_cxr.plugin.classify.bar_rows import groups_of
from napari_cxr.plugin.classify.bars import ProbabilityBars
from napari_cxr.plugin.classify.first_warning import FirstWarning
from napari_cxr.plugin.classify.headline import Headline
from napari_cxr.plugin.classify.heatmap_controls import HeatmapControls
from napari_cxr.plugin.classify.where_words import where_it_looked, whose_lungs
from napari_cxr.plugin.classifying import Answer, LungShares
from napari_cxr.plugin.text import quiet_label, thin_line
from napari_cxr.plugin.theme import theme_color

__all__ = ['ResultView']

_APART = (
    'The middle of each bar is the threshold of its finding. Each has a probability of its own; '
    'they need not sum to 100 %.'
)


class ResultView(QWidget):
    """Shows an answer; knows nothing of layers.

    What speaks against classifying the image at all stands first. Until the person has
    asked for the result all the same, nothing here holds it.

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
    #: The person wants to see the result in spite of a warning.
    accepted = Signal()
    #: The person wants to read the model's card.
    card_wanted = Signal()

    def __init__(self, theme: str, opacity: float, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._answer: Answer | None = None
        self._lungs: LungShares | None = None
        self.warning = FirstWarning()
        self.headline = Headline()
        self.bars = ProbabilityBars(theme)
        self.apart = quiet_label(_APART)
        self.apart.hide()
        self._theme = theme
        self.demonstration = QLabel()
        self.demonstration.setWordWrap(True)
        self.demonstration.setObjectName('caution')
        self.demonstration.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
        self.reach = quiet_label()
        self.reach.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
        self.cautions = QLabel()
        self.cautions.setWordWrap(True)
        self.cautions.setObjectName('caution')
        self.cautions.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.heat = HeatmapControls(opacity)
        self.looked = quiet_label()
        self.looked.setToolTip(
            'In brackets stands what an even heatmap would have. The edge is the outer 8 % '
            'along each side of what the model saw. Much at the edge, or little in the lungs, '
            'is a reason to ask whether the answer came from the lungs.'
        )
        self.made_with = quiet_label()
        self.shown = QWidget()
        inside = QVBoxLayout(self.shown)
        for widget in (
            self.headline,
            self.bars,
            self.demonstration,
            self.apart,
            self.reach,
            self.cautions,
            thin_line(),
            self.heat,
            self.looked,
            self.made_with,
        ):
            inside.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.addWidget(self.warning)
        layout.addWidget(self.shown)
        for each in (inside, layout):
            each.setContentsMargins(0, 0, 0, 0)
            each.setSpacing(10)
        self.bars.chosen.connect(self._choose)
        self.heat.label_changed.connect(self._choose)
        self.warning.accepted.connect(self.accepted)
        for label in (self.reach, self.demonstration):
            label.linkActivated.connect(lambda _: self.card_wanted.emit())

    @property
    def label(self) -> str:
        """The class whose heatmap is on show."""
        return self.heat.label.currentText()

    def hold_back(self, answer: Answer) -> None:
        """Show nothing of a result but what speaks against it."""
        self._answer = self._lungs = None
        self.warning.tell([caution.text for caution in answer.prediction.doubts], ask=True)
        self.bars.set_groups([])
        self.headline.clear()
        self.shown.hide()

    def show_answer(self, answer: Answer, label: str) -> None:
        """Show a result, with the heatmap's controls on one of its classes."""
        self._answer, self._lungs = answer, answer.lungs
        prediction, doubts = answer.prediction, answer.prediction.doubts
        self.warning.tell([caution.text for caution in doubts], ask=False)
        self.headline.show_prediction(prediction)
        self.bars.set_groups(groups_of(prediction.rule, prediction.probabilities), label)
        self.apart.setVisible(prediction.several and len(prediction.labels) > 1)
        self.heat.set_labels([label for label, _ in self.bars.rows], label)
        others = [f'• {c.text}' for c in prediction.cautions if c not in doubts]
        self.cautions.setText('\n'.join(others))
        self.cautions.setVisible(bool(others))
        self._show_reach()
        self.made_with.setText(f'{prediction.model} on {prediction.device}')
        self._show_where(label)
        self.shown.show()

    def show_lungs(self, lungs: LungShares) -> None:
        """Follow lungs that were edited."""
        self._lungs = lungs
        if self._answer is not None:
            self._show_where(self.label)

    def set_theme(self, theme: str) -> None:
        """Repaint in another of napari's themes."""
        self._theme = theme
        self.bars.set_theme(theme)
        self._show_reach()

    def _choose(self, label: str) -> None:
        if not label:
            return
        self.bars.set_current(label)
        self.heat.set_labels([label for label, _ in self.bars.rows], label)
        self._show_where(label)
        self.label_chosen.emit(label)

    def _show_reach(self) -> None:
        said = self._answer.reach if self._answer is not None else ''
        colour = theme_color(self._theme, 'text').name()
        link = f'<a href="card" style="color: {colour}">Card</a>'
        is_demonstration = self._answer is not None and self._answer.demonstration
        for part, wanted in (
            (self.reach, not is_demonstration),
            (self.demonstration, is_demonstration),
        ):
            part.setText(f'{escape(said)} {link}' if wanted else '')
            part.setVisible(bool(said) and wanted)

    def _show_where(self, label: str) -> None:
        assert self._answer is not None and self._lungs is not None
        at = self._answer.prediction.labels.index(label)
        lungs, at_edge = self._lungs, self._answer.frame_shares[at]
        looked = where_it_looked(label, lungs.shares[at], lungs.even, at_edge)
        text = f'{looked} {whose_lungs(lungs)}'
        sees_lungs = self._answer.prediction.preprocessing.get('lungs', 'ignored') != 'ignored'
        if sees_lungs and lungs.edit != self._answer.lungs.edit:
            text += ' The model has not seen them so: click Classify again.'
        self.looked.setText(text)
