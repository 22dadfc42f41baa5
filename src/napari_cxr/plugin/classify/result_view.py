"""The result of a classification: warning, bars, cautions, and where the network looked.

Where an image may be the wrong kind, the warning is read before any probability, and the result
waits for a click.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFrame, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_cxr.correction import Correction
from napari_cxr.explain.heatmap import FRAME
from napari_cxr.explain.heatmap_location import HeatmapLocation, MarkerFraction
from napari_cxr.inference.label_rule import CANNOT_SAY, LabelRule, answer_reason, percent
from napari_cxr.inference.prediction import ImageWarning, Prediction
from napari_cxr.plugin.classify.heatmap_checks_view import HeatmapChecksView
from napari_cxr.plugin.classify.heatmap_controls import HeatmapControls
from napari_cxr.plugin.classify.probability_bars import ProbabilityBars, bar_groups
from napari_cxr.plugin.classify.result_buttons import ResultButtons
from napari_cxr.plugin.classify_job import ExplainedPrediction, HeatmapsByLungs
from napari_cxr.plugin.style import (
    keep_space,
    quiet_label,
    separator_line,
    set_style_name,
    theme_color,
)
from napari_cxr.plugin.widgets.sections import CollapsibleSection
from napari_cxr.plugin.widgets.text import PlainLabel

__all__ = [
    'ResultHeadline',
    'ResultView',
    'ResultWarning',
    'below_text',
    'headline_text',
    'heatmap_text',
    'lungs_source_text',
    'markers_text',
    'peak_text',
]

_UNIFORM_EDGE = 1 - (1 - 2 * FRAME) ** 2


def peak_text(label: str, location: HeatmapLocation | None, at_edge: float | None) -> str:
    """Return where the peak of the heatmap of a class lies, in one sentence.

    Parameters
    ----------
    label : str
        The class.
    location : HeatmapLocation or None
        Where it lies; None for a map without a peak.
    at_edge : float or None
        Fraction of the map at the edge of the model's input; None for an empty map.
    """
    if at_edge is None:
        return f'The heatmap of {label} is empty: no cell raised its score.'
    if location is None:
        return f'The heatmap of {label} is the same everywhere: it has no peak.'
    return f'The peak lies {location.place}.'


def heatmap_text(location: HeatmapLocation | None, uniform: float, at_edge: float | None) -> str:
    """Return one sentence about how much of a heatmap lies where; empty for one without a peak.

    Parameters
    ----------
    location, at_edge
        As of `peak_text`.
    uniform : float
        Fraction of the model's input that is lung, in [0, 1].
    """
    if location is None or at_edge is None:
        return ''
    return (
        f'{location.half_peak_lung_fraction:.0%} of the area above half of the peak lies in the '
        f'lungs ({uniform:.0%} of what the model sees is lung), {at_edge:.0%} of the heatmap at '
        f'the edge ({_UNIFORM_EDGE:.0%} if uniform).'
    ).replace('%', '\u00a0%')


def markers_text(found: MarkerFraction) -> str:
    """Return how much of a heatmap lies on text and markers; empty where the model sees none."""
    if not found.count or found.fraction is None:
        return ''
    if max(found.fraction, found.uniform) < 0.005:  # which would read as 0 %
        return ''
    return (
        f'{found.fraction:.0%} of the heatmap lies on text or markers ({found.uniform:.0%} if '
        'uniform).'
    ).replace('%', '\u00a0%')


def below_text(prediction: Prediction, label: str) -> str:
    """Return that a class is below its operating point, with what that means for its heatmap."""
    if prediction.predicts(label):
        return ''
    if prediction.multilabel:
        below = f'below its threshold ({percent(prediction.rule.threshold(label))})'
    else:
        below = 'not the most probable class'
    return f'{label} is {below}: the heatmap shows what little speaks for it.'


def lungs_source_text(lungs: HeatmapsByLungs) -> str:
    """Return one short sentence about where the lungs come from."""
    if lungs.edit:
        return 'The lungs are as you edited them.'
    if lungs.source == 'network':
        return 'The lungs, including what lies behind the heart, were found by a network.'
    why = f', because {lungs.implausible}' if lungs.implausible else ''
    return f'The lungs are the standard outline{why}.'


_HELD_BACK = 'The result is withheld until you ask for it.'


class ResultWarning(QFrame):
    """Sentences in a frame, and a button that shows the result in spite of them.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    #: The person wants to see the result anyway.
    accepted = Signal()
    #: The person wants the image to be put right, and classified again: a `Correction`.
    correction_wanted = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._remedy = Correction()
        self.setObjectName('warning')
        self.text = PlainLabel()
        self.text.setWordWrap(True)
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.anyway = QPushButton('Show the result anyway')
        self.anyway.setToolTip('Show probabilities and heatmap in spite of this')
        self.correct = QPushButton('Correct')
        self.correct.setToolTip(
            'Correct what models see of this image, and classify it again. The file stays as it '
            'is; every result says what was done.'
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(11, 8, 8, 8)
        layout.setSpacing(8)
        layout.addWidget(self.text)
        layout.addWidget(self.correct, 0, Qt.AlignmentFlag.AlignLeft)
        layout.addWidget(self.anyway, 0, Qt.AlignmentFlag.AlignLeft)
        self.anyway.clicked.connect(self.accepted)
        self.correct.clicked.connect(lambda *_: self.correction_wanted.emit(self._remedy))
        self.hide()

    def show_warnings(self, warnings: Sequence[ImageWarning], ask: bool) -> None:
        """Show warnings, with a button for the first remedy among them.

        Parameters
        ----------
        warnings, ask
            As of `show_sentences`.
        """
        self.show_sentences([warning.text for warning in warnings], ask)
        self._remedy = next((w.remedy for w in warnings if w.remedy), Correction())
        self.correct.setText(f'{_remedy_text(self._remedy)} and classify again')
        self.correct.setVisible(bool(self._remedy))

    def show_sentences(self, sentences: Sequence[str], ask: bool) -> None:
        """Show sentences, or nothing where there are none.

        Parameters
        ----------
        sentences : sequence of str
            What is wrong, and what to do about it.
        ask : bool
            Whether the result waits for a click; else it stands below.
        """
        self.text.setText('\n'.join([*sentences, *([_HELD_BACK] if ask else [])]))
        self.anyway.setVisible(ask)
        self.correct.hide()
        self.setVisible(bool(sentences))


def _remedy_text(remedy: Correction) -> str:
    """Return a correction as a command, such as 'Invert and mirror'."""
    parts = ['invert'] * remedy.inverted
    if remedy.mirrored and remedy.turns == 2:
        parts.append('flip top to bottom')
    else:
        parts += ['mirror'] * remedy.mirrored + ['turn upright'] * bool(remedy.turns)
    return ' and '.join(parts).capitalize()


#: Findings above their thresholds that are named; the others are counted.
_NAMED = 3


class ResultHeadline(QWidget):
    """The answer in large type and a plain sentence, and the classes that cannot be excluded.

    The answer is hidden where a class stands out of others.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.answer = PlainLabel()
        self.answer.setWordWrap(True)
        self.answer.setObjectName('headline')
        self.answer.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.answer.setAccessibleName('Answer')
        self.why = quiet_label()
        self.possible = quiet_label()
        self.possible.setToolTip(
            'Found on images that the model was not trained on, so that so many images of each '
            'class have it named here. Images of other hospitals may differ.'
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 0, 8, 0)
        layout.setSpacing(2)
        layout.addWidget(self.answer)
        layout.addWidget(self.why)
        layout.addWidget(self.possible)
        self.hide()

    def show_prediction(self, prediction: Prediction) -> None:
        """Show the answer of a model with findings, or that no class stands out."""
        self.answer.setText(headline_text(prediction))
        self.why.setText(answer_reason(prediction.rule, prediction.probabilities))
        self.possible.setText(prediction.possible_text)
        headed = bool(self.answer.text())
        self.answer.setVisible(headed)
        self.why.setVisible(headed)
        self.possible.setVisible(bool(prediction.possible_text))
        self.setVisible(headed or bool(prediction.possible_text))

    def clear(self) -> None:
        """Show nothing."""
        self.answer.clear()
        self.why.clear()
        self.possible.clear()
        self.hide()


def headline_text(prediction: Prediction) -> str:
    """Return the findings above their thresholds, or the answer where there are none."""
    if not prediction.multilabel:
        nearly_tied = prediction.rule.near_tie(prediction.probabilities)
        return prediction.answer.capitalize() if nearly_tied else ''
    above = prediction.above
    if prediction.answer == CANNOT_SAY or not above:
        return prediction.answer
    more = f' and {len(above) - _NAMED} more' if len(above) > _NAMED else ''
    return ', '.join(above[:_NAMED]) + more


_APART = (
    '▴ The middle of each bar is the threshold of its finding. Each has a probability of its own; '
    'they need not sum to 100 %.'
)


def bars_legend(rule: LabelRule) -> str:
    """Return what the marks on bars mean; empty where there are none."""
    if not rule.multilabel:
        return ''
    if len(rule.labels) > 1:
        return _APART
    (label,) = rule.labels
    text = f'▴ marks the threshold, {percent(rule.threshold(label))}.'
    if rule.band(label) is not None:
        text += ' The model does not decide in the framed part.'
    return text


class ResultView(QWidget):
    """Shows a result; knows nothing of layers.

    Warnings against classifying the image at all stand first. Until the person asks for the
    result in spite of them, nothing here holds it.

    Parameters
    ----------
    theme : str
        Name of napari's theme.
    opacity : float
        Opacity of a new heatmap.
    parent : QWidget, optional
        Qt parent.
    """

    #: The class whose heatmap to show.
    label_chosen = Signal(str)
    #: The person wants to see the result in spite of a warning.
    accepted = Signal()
    #: As of `ResultWarning`.
    correction_wanted = Signal(object)
    #: The person wants to read the model's card.
    card_wanted = Signal()

    def __init__(self, theme: str, opacity: float, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._answer: ExplainedPrediction | None = None
        self._lungs: HeatmapsByLungs | None = None
        self.warning = ResultWarning()
        self.headline = ResultHeadline()
        self.bars = ProbabilityBars(theme)
        self.legend = quiet_label()
        self.legend.hide()
        self._theme = theme
        self.demonstration = QLabel()
        self.demonstration.setTextFormat(Qt.TextFormat.RichText)  # it ends in a link
        self.demonstration.setWordWrap(True)
        self.demonstration.setObjectName('caution')
        self.demonstration.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
        self.performance = quiet_label()
        self.performance.setTextFormat(Qt.TextFormat.RichText)
        self.performance.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
        self.cautions = PlainLabel()
        self.cautions.setWordWrap(True)
        self.cautions.setObjectName('caution')
        self.cautions.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.heat = HeatmapControls(opacity)
        self.peak = PlainLabel()
        self.peak.setWordWrap(True)
        self.peak.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.peak.setToolTip(
            'The peak is the cell of the heatmap with the strongest evidence. Outside the lungs '
            'it is a reason to doubt that the result comes from the lungs.'
        )
        # The controls below choose what it is about, and must not move when they are used.
        keep_space(self.peak, lines=3)
        self.remarks = quiet_label()
        self.looked = quiet_label()
        self.looked.setToolTip(
            'In brackets: what a uniform heatmap would have. The edge is the outer 8 % along '
            'each side of the model’s input. Much at the edge, or little in the lungs, is a '
            'reason to doubt that the result comes from the lungs.'
        )
        self.checks = HeatmapChecksView(theme)
        self.made_with = quiet_label()
        self.details = CollapsibleSection('Details', open_=False)
        self.details.add(self.looked, self.made_with)
        self.output = ResultButtons()
        self.shown = QWidget()
        inside = QVBoxLayout(self.shown)
        for widget in (
            self.headline,
            self.bars,
            self.legend,
            self.demonstration,
            self.output,
            self.performance,
            self.cautions,
            separator_line(),
            self.peak,
            self.heat,
            self.remarks,
            self.details,
            self.checks,
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
        self.warning.correction_wanted.connect(self.correction_wanted)
        for label in (self.performance, self.demonstration):
            label.linkActivated.connect(lambda _: self.card_wanted.emit())

    @property
    def label(self) -> str:
        """The class whose heatmap is on show."""
        return self.heat.label.currentText()

    def hold_back(self, answer: ExplainedPrediction) -> None:
        """Show nothing of a result but the warnings against it."""
        self._answer = self._lungs = None
        self.warning.show_warnings(answer.prediction.doubts, ask=True)
        self.bars.set_groups([])
        self.headline.clear()
        self.shown.hide()

    def show_answer(self, answer: ExplainedPrediction, label: str) -> None:
        """Show a result, with the heatmap's controls on one of its classes."""
        if answer is not self._answer:
            self.output.said.clear()
        self._answer, self._lungs = answer, answer.lungs
        prediction, doubts = answer.prediction, answer.prediction.doubts
        self.warning.show_warnings(doubts, ask=False)
        self.headline.show_prediction(prediction)
        self.bars.set_groups(bar_groups(prediction.rule, prediction.probabilities), label)
        self.legend.setText(bars_legend(prediction.rule))
        self.legend.setVisible(bool(self.legend.text()))
        self.heat.set_labels([label for label, _ in self.bars.rows], label)
        self.heat.set_method(prediction.labels, answer.method, answer.against)
        others = [f'• {c.text}' for c in prediction.warnings if c not in doubts]
        self.cautions.setText('\n'.join(others))
        self.cautions.setVisible(bool(others))
        self._show_performance()
        self.made_with.setText(f'{prediction.model} on {prediction.device}')
        self._show_where(label)
        self.shown.show()

    def show_lungs(self, lungs: HeatmapsByLungs) -> None:
        """Follow lungs that were edited."""
        self._lungs = lungs
        if self._answer is not None:
            self._show_where(self.label)

    def set_theme(self, theme: str) -> None:
        """Repaint in another of napari's themes."""
        self._theme = theme
        self.bars.set_theme(theme)
        self.checks.set_theme(theme)
        self._show_performance()

    def _choose(self, label: str) -> None:
        if not label:
            return
        self.bars.set_current(label)
        self.heat.set_labels([label for label, _ in self.bars.rows], label)
        self._show_where(label)
        self.label_chosen.emit(label)

    def _show_performance(self) -> None:
        text = self._answer.performance if self._answer is not None else ''
        colour = theme_color(self._theme, 'text').name()
        link = f'<a href="card" style="color: {colour}">Card</a>'
        is_demonstration = self._answer is not None and self._answer.demonstration
        for part, wanted in (
            (self.performance, not is_demonstration),
            (self.demonstration, is_demonstration),
        ):
            part.setText(f'{escape(text)} {link}' if wanted else '')
            part.setVisible(bool(text) and wanted)

    def _show_where(self, label: str) -> None:
        assert self._answer is not None and self._lungs is not None
        at = self._answer.prediction.labels.index(label)
        lungs, at_edge = self._lungs, self._answer.edge_fractions[at]
        location = lungs.locations[at]
        title = self._answer.heatmaps[at].title
        self.peak.setText(peak_text(title, location, at_edge))
        outside = location is not None and not location.in_lungs
        set_style_name(self.peak, 'caution' if outside else 'peak')
        sees_lungs = self._answer.prediction.preprocessing.get('lungs', 'ignored') != 'ignored'
        edited = sees_lungs and lungs.edit != self._answer.lungs.edit
        remarks = (
            '' if at_edge is None else below_text(self._answer.prediction, label),
            markers_text(self._answer.on_markers[at]) if self._answer.on_markers else '',
            'The result is not based on your edits: click Classify again.' if edited else '',
        )
        self.remarks.setText(' '.join(filter(None, remarks)))
        self.remarks.setVisible(bool(self.remarks.text()))
        details = (heatmap_text(location, lungs.uniform, at_edge), lungs_source_text(lungs))
        self.looked.setText(' '.join(filter(None, details)))
