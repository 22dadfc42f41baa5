"""Controls of the annotation panel: counts and undo, a button for each class, and a note.

Each class button shows its key, its probability, and whether the class is chosen.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from qtpy.QtCore import QEvent, QRectF, QSize, Qt, Signal
from qtpy.QtGui import (
    QColor,
    QFont,
    QFontMetricsF,
    QKeySequence,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
    QShortcut,
)
from qtpy.QtWidgets import (
    QAbstractButton,
    QCheckBox,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_cxr.plugin.style import theme_color
from napari_cxr.plugin.widgets.text import ElidedLine, PlainLabel, plain_tip
from napari_cxr.scoring.annotation import NOT_USABLE_REASONS, Annotation, AnnotationCounts

__all__ = [
    'CLASS_KEYS',
    'AnnotationControls',
    'AnnotationHeader',
    'ClassButtons',
    'push_button',
    'tool_button',
]


class AnnotationHeader(QWidget):
    """Counts with a thin bar, undo and redo.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.counts = ElidedLine()
        self.saving = PlainLabel()
        self.saving.setObjectName('quiet')
        self.undo = tool_button('↶', 'Undo (Ctrl+Z)', 'Undo')
        self.redo = tool_button('↷', 'Redo (Ctrl+Shift+Z)', 'Redo')
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName('Fraction of the images that are annotated')
        self.bar.setFixedHeight(3)
        line = QHBoxLayout()
        line.setSpacing(6)
        line.addWidget(self.counts, 1)
        for widget in (self.saving, self.undo, self.redo):
            line.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(line)
        layout.addWidget(self.bar)
        self.show_counts(AnnotationCounts(), 0)
        self.show_history(False, False)
        self.show_saving('')

    def show_counts(self, counts: AnnotationCounts, total: int) -> None:
        """Show how many of the images are annotated, and how many without a label."""
        more = f', {counts.unsure:,} unsure' if counts.unsure else ''
        more += f', {counts.unusable:,} not usable' if counts.unusable else ''
        self.counts.show_text(f'{counts.read:,} of {total:,} annotated{more}')
        self.bar.setRange(0, max(total, 1))
        self.bar.setValue(counts.read)

    def show_history(self, undoable: bool, redoable: bool) -> None:
        """Show whether there is anything to undo and to redo."""
        self.undo.setEnabled(undoable)
        self.redo.setEnabled(redoable)

    def show_saving(self, text: str) -> None:
        """Show that labels are being saved; an empty text once they are."""
        self.saving.setText(text)
        self.saving.setVisible(bool(text))


def tool_button(text: str, tip: str, name: str) -> QToolButton:
    """Return a small button that does not take the focus when clicked."""
    button = QToolButton()
    button.setText(text)
    button.setToolTip(tip)
    button.setAccessibleName(name)
    button.setObjectName('more')
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    return button


_LONGEST_NOTE = 2000


class AnnotationControls(QWidget):
    """The buttons and the note, without behaviour of their own.

    Parameters
    ----------
    parent : QWidget, optional
        Qt parent.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.agree = push_button('Agree (Space)', 'Label the image as the model predicts')
        self.unsure = push_button('Unsure (U)', 'Mark the image as one that you cannot label')
        self.unsure.setCheckable(True)
        self.unusable = UnusableButton()
        self.clear = push_button('Clear', 'Remove your label; the note stays')
        self.note = QLineEdit()
        self.note.setPlaceholderText('Note (N)')
        self.note.setToolTip(
            'Free text about this image (key N). Enter saves it, Escape restores the old text'
        )
        self.note.setAccessibleName('Note')
        self.note.setMaxLength(_LONGEST_NOTE)
        self.note.setMinimumHeight(26)
        #: Escape in the note field.
        self.escape = QShortcut(QKeySequence('Escape'), self.note)
        self.escape.setContext(Qt.ShortcutContext.WidgetShortcut)
        self.previous = push_button(
            '‹ Previous (K)', 'The previous row of the table, as it is sorted'
        )
        self.next = push_button('Next (J) ›', 'The next row of the table, as it is sorted')
        self.auto_advance = QCheckBox('Next row after a label')
        self.auto_advance.setChecked(True)
        self.auto_advance.setToolTip('Open the next row as soon as this one has a label')
        #: The buttons below those of the classes.
        self.answers = QWidget()
        answers = QGridLayout(self.answers)
        for place, button in enumerate((self.agree, self.unsure, self.unusable, self.clear)):
            answers.addWidget(button, *divmod(place, 2))
        for column in range(2):
            answers.setColumnStretch(column, 1)
        steps = QGridLayout()
        steps.addWidget(self.previous, 0, 0)
        steps.addWidget(self.next, 0, 1)
        steps.addWidget(self.auto_advance, 1, 0, 1, 2)
        whole = QVBoxLayout(self)
        whole.addWidget(self.answers)
        whole.addWidget(self.note)
        whole.addLayout(steps)
        for layout in (answers, steps, whole):
            layout.setContentsMargins(0, 0, 0, 0)
            layout.setSpacing(6)

    def show_entry(self, entry: Annotation, *, notable: bool, steps: bool) -> None:
        """Show the annotation of a row, and enable what can be done.

        Parameters
        ----------
        entry : Annotation
            The annotation.
        notable, steps : bool
            Whether it can have a note, and whether there are other rows.
        """
        self.unsure.setChecked(entry.unsure)
        self.unusable.setChecked(entry.unusable)
        self.clear.setEnabled(entry.read)
        self.note.setEnabled(notable)
        if self.note.text() != entry.note:
            self.note.setText(entry.note)
            self.note.setCursorPosition(0)
        for button in (self.previous, self.next):
            button.setEnabled(steps)


class UnusableButton(QPushButton):
    """Marks an image as not usable, for one of the reasons in its menu."""

    #: A reason was chosen.
    chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__('Not usable (X) ▾')
        self.setToolTip('Say that the image cannot be read at all, and why')
        self.setMinimumHeight(28)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCheckable(True)
        self.reasons = _KeyedMenu(self)
        for number, reason in enumerate(NOT_USABLE_REASONS, 1):
            action = self.reasons.addAction(f'&{number}  {reason[0].upper()}{reason[1:]}')
            assert action is not None
            action.setData(reason)
        self.reasons.triggered.connect(lambda action: self.chosen.emit(action.data()))
        self.clicked.connect(self.ask)

    def nextCheckState(self) -> None:
        """Leave the state to the reading list: a click alone changes nothing."""

    def ask(self) -> None:
        """Open the menu of reasons."""
        if self.isEnabled():
            self.reasons.popup(self.mapToGlobal(self.rect().bottomLeft()))


class _KeyedMenu(QMenu):
    """A menu whose keys are its own: digits choose an entry, and not a class behind it."""

    def event(self, event: QEvent | None) -> bool:
        """Take keys before the shortcuts of the panel do."""
        if event is not None and event.type() == QEvent.Type.ShortcutOverride:
            event.accept()
            return True
        return super().event(event)


def push_button(text: str, tip: str) -> QPushButton:
    """Return a button that takes no focus when clicked: the space bar still means "agree"."""
    button = QPushButton(text)
    button.setToolTip(tip)
    button.setMinimumHeight(28)
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    return button


#: Shortcuts of the first twenty classes.
CLASS_KEYS = (*'1234567890', *(f'Shift+{digit}' for digit in '1234567890'))
_HEIGHT = 36
_GAP = 6
_PADDING, _SPACING = 10, 8
#: Minimum and maximum width of a column in pixels; the maximum is lower for many buttons.
_NARROWEST, _WIDEST, _WIDEST_OF_MANY, _MANY = 132, 240, 132, 6


class ClassButtons(QWidget):
    """Buttons in as many columns as fit.

    Parameters
    ----------
    theme : str
        Name of napari's theme.
    parent : QWidget, optional
        Qt parent.
    """

    #: A class was chosen.
    chosen = Signal(str)

    def __init__(self, theme: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._columns = 0
        self.buttons: list[_ClassButton] = []
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(_GAP)

    def set_labels(self, labels: Sequence[str], multilabel: bool) -> None:
        """Create a button for each class; with `multilabel`, more than one can be chosen."""
        for button in self.buttons:
            self._grid.removeWidget(button)
            button.deleteLater()
        self.buttons = []
        for place, label in enumerate(labels):
            key = CLASS_KEYS[place] if place < len(CLASS_KEYS) else ''
            button = _ClassButton(label, key, multilabel, self._theme, self)
            button.clicked.connect(lambda _=False, label=label: self.chosen.emit(label))
            self.buttons.append(button)
        self._columns = 0
        self._arrange()

    def show_answers(
        self, probabilities: Sequence[float], predicted: Collection[str], chosen: Collection[str]
    ) -> None:
        """Show predictions and labels of an image.

        Parameters
        ----------
        probabilities : sequence of float
            Of the classes; there can be more buttons than classes, and no probabilities at all.
        predicted, chosen : collection of str
            Labels of the model, and of the user.
        """
        for place, button in enumerate(self.buttons):
            button.show_answer(
                probabilities[place] if place < len(probabilities) else None,
                button.label in predicted,
                button.label in chosen,
            )

    def set_theme(self, theme: str) -> None:
        """Repaint in another of napari's themes."""
        self._theme = theme
        for button in self.buttons:
            button.set_theme(theme)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Use as many columns as fit."""
        super().resizeEvent(event)
        self._arrange()

    def _arrange(self) -> None:
        if not self.buttons:
            return
        wanted = max(button.sizeHint().width() for button in self.buttons)
        widest = _WIDEST_OF_MANY if len(self.buttons) > _MANY else _WIDEST
        wanted = min(max(wanted, _NARROWEST), widest)
        columns = max(1, min((self.width() + _GAP) // (wanted + _GAP), len(self.buttons)))
        if columns == self._columns:
            return
        for column in range(max(columns, self._columns)):
            self._grid.setColumnStretch(column, int(column < columns))
        self._columns = columns
        for place, button in enumerate(self.buttons):
            self._grid.addWidget(button, *divmod(place, columns))
        self.updateGeometry()


class _ClassButton(QAbstractButton):
    """The key, the name and the probability, with a bar below them."""

    def __init__(
        self, label: str, key: str, multilabel: bool, theme: str, parent: QWidget | None
    ) -> None:
        super().__init__(parent)
        self.label, self._key, self._theme = label, key, theme
        self._probability: float | None = None
        self._predicted = False
        self._multilabel = multilabel
        self.setCheckable(True)
        # Clicks give it no focus, so that the space bar still means "agree".
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(_HEIGHT)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.show_answer(None, False, False)

    def nextCheckState(self) -> None:
        """Leave the state to the reading list: a click alone changes nothing."""

    def show_answer(self, probability: float | None, predicted: bool, chosen: bool) -> None:
        """Show the probability of the class, whether it is predicted, and whether it is chosen."""
        self._probability, self._predicted = probability, predicted
        self.setChecked(chosen)
        parts = [self.label]
        if probability is not None:
            parts.append(f'probability {100 * probability:.1f} %')
        if predicted:
            parts.append('predicted')
        if chosen:
            parts.append('your label')
        self.setAccessibleName(', '.join(parts))
        what = 'add or remove it' if self._multilabel else 'choose it'
        key = f' (key {self._key})' if self._key else ''
        self.setToolTip(plain_tip(f'{", ".join(parts)}. Click to {what}{key}'))
        self.update()

    def set_theme(self, theme: str) -> None:
        """Repaint in another of napari's themes."""
        self._theme = theme
        self.update()

    def sizeHint(self) -> QSize:
        """Return the size at which the whole name fits."""
        metrics = QFontMetricsF(self._bold())
        width = sum(
            metrics.horizontalAdvance(text) for text in (_short(self._key), self.label, '100 %')
        )
        return QSize(round(width) + 2 * _PADDING + 2 * _SPACING + 2, _HEIGHT)

    def minimumSizeHint(self) -> QSize:
        """Return the minimum width; long names are elided."""
        return QSize(110, _HEIGHT)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the button: filled if the class is chosen, framed if it is predicted."""
        text, ground, hover, accent = (
            theme_color(self._theme, role) for role in ('text', 'foreground', 'primary', 'current')
        )
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if not self.isEnabled():
            painter.setOpacity(0.45)
        on = self.isChecked()
        fill = accent if on else hover if self.underMouse() and self.isEnabled() else ground
        if on:  # white on a dark accent, black on a light one
            text = QColor('#ffffff' if accent.lightnessF() < 0.6 else '#101010')
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(fill.darker(112) if self.isDown() else fill)
        frame = QRectF(1, 1, self.width() - 2, self.height() - 2)
        painter.drawRoundedRect(frame, 4, 4)
        quiet = QColor(text)
        quiet.setAlphaF(0.62)
        line = QRectF(_PADDING, 0, self.width() - 2 * _PADDING, self.height() - 6)
        vertical = Qt.AlignmentFlag.AlignVCenter
        if self._key:
            painter.setPen(quiet)
            key = _short(self._key)
            painter.drawText(line, Qt.AlignmentFlag.AlignLeft | vertical, key)
            line.setLeft(
                line.left() + QFontMetricsF(self.font()).horizontalAdvance(key) + _SPACING
            )
        painter.setFont(self._bold() if self._predicted or on else self.font())
        metrics = QFontMetricsF(painter.font())
        number = '' if self._probability is None else f'{100 * self._probability:.0f} %'
        available = line.width() - metrics.horizontalAdvance(number) - _SPACING
        # If they do not both fit, the bar shows the probability.
        if number and metrics.horizontalAdvance(self.label) <= available:
            painter.setPen(text if self._predicted else quiet)
            painter.drawText(line, Qt.AlignmentFlag.AlignRight | vertical, number)
            line.setWidth(available)
        painter.setPen(text)
        name = metrics.elidedText(self.label, Qt.TextElideMode.ElideRight, line.width())
        painter.drawText(line, Qt.AlignmentFlag.AlignLeft | vertical, name)
        self._draw_bar(painter, text if on else accent)
        if self._predicted or self.hasFocus():
            pen = QPen(text if self.hasFocus() else accent, 2 if self._predicted else 1)
            if self.hasFocus():
                pen.setStyle(Qt.PenStyle.DotLine)
            painter.setPen(pen)
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(frame, 4, 4)
        painter.end()

    def _draw_bar(self, painter: QPainter, color: QColor) -> None:
        if self._probability is None:
            return
        track = QRectF(_PADDING, self.height() - 8, self.width() - 2 * _PADDING, 3)
        empty = QColor(color)
        empty.setAlphaF(0.22)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(empty)
        painter.drawRoundedRect(track, 1.5, 1.5)
        track.setWidth(max(3.0, track.width() * self._probability))
        painter.setBrush(color)
        painter.drawRoundedRect(track, 1.5, 1.5)

    def _bold(self) -> QFont:
        font = self.font()
        font.setBold(True)
        return font


def _short(key: str) -> str:
    """Return the label of a key."""
    return key.replace('Shift+', '⇧')
