"""A result as one picture and as one page: the radiograph, what lies on it, the model's answer.

Both can be shown to somebody else, so nothing in them tells whose radiograph it is, and each
says that it is not for clinical use. They are made in a job: painting on a `QImage` needs no
window.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from qtpy.QtCore import QBuffer, QIODevice, QRectF, Qt
from qtpy.QtGui import QColor, QFont, QImage, QLinearGradient, QPainter

from napari_cxr.checkpoint.card import NOT_FOR_CLINICAL_USE
from napari_cxr.explain.heatmap import HEAT_COLOURS

__all__ = ['ResultSummary', 'ResultValue', 'draw_result', 'png_bytes', 'result_page']

#: Pixels of the picture's height, whatever the radiograph's: it is looked at on a screen.
_LEAST, _MOST = 800, 1600
_PANEL = 0.62  # width of what stands beside the radiograph, as a fraction of the height
_LINES = 48  # of text that fit into the height
_MOST_VALUES = 12
_PAPER, _INK, _QUIET = QColor('#16181c'), QColor('#f4f5f6'), QColor('#a9afb6')
_ACCENT, _TRACK = QColor('#4c9aff'), QColor('#34383f')


@dataclass(frozen=True)
class ResultValue:
    """One bar: its label, the probability as text, how much is filled, where its threshold is."""

    label: str
    probability: str
    length: float
    mark: float | None = None


@dataclass(frozen=True)
class ResultSummary:
    """What is written beside a radiograph.

    Parameters
    ----------
    radiograph : str
        What it is, without identity.
    answer : str
        The answer in words; may be empty.
    values : tuple of ResultValue
        In the order of the dock.
    heatmap : str
        Method and class of the map that is drawn; empty where none is.
    model : tuple of str
        What ran, where, and how well it does.
    warnings : tuple of str
        What makes it doubtful.
    evidence : str
        Where the map lies; may be empty.
    """

    radiograph: str
    answer: str
    values: tuple[ResultValue, ...]
    heatmap: str
    model: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    evidence: str = ''


def draw_result(picture: np.ndarray, summary: ResultSummary) -> QImage:
    """Return a picture with the result written beside it.

    Parameters
    ----------
    picture : ndarray of uint8, shape (rows, columns, 3)
        The radiograph with what lies on it.
    summary : ResultSummary
        What is written.

    Returns
    -------
    QImage
        From 800 to 1600 pixels high. "Not for clinical use" stands on the radiograph itself too,
        so that it stays when the picture is cropped.
    """
    rows, columns = picture.shape[:2]
    height = min(max(rows, _LEAST), _MOST)
    width = round(columns * height / rows)
    radiograph = QImage(
        np.ascontiguousarray(picture).tobytes(),
        columns,
        rows,
        3 * columns,
        QImage.Format.Format_RGB888,
    ).scaled(
        width,
        height,
        Qt.AspectRatioMode.IgnoreAspectRatio,
        Qt.TransformationMode.SmoothTransformation,
    )
    image = QImage(width + round(_PANEL * height), height, QImage.Format.Format_RGB888)
    image.fill(_PAPER)
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.drawImage(0, 0, radiograph)
    size = height / _LINES
    _burn_in(painter, width, height, size)
    page = _Panel(painter, width + 1.2 * size, image.width() - 1.2 * size, 1.2 * size, size)
    page.write(summary.answer or summary.radiograph, 1.5, _INK, bold=True)
    if summary.answer:
        page.write(summary.radiograph, 1.0, _QUIET)
    page.space(0.8)
    for value in summary.values[:_MOST_VALUES]:
        page.bar(value)
    if len(summary.values) > _MOST_VALUES:
        page.write(f'and {len(summary.values) - _MOST_VALUES} more', 0.9, _QUIET)
    if summary.heatmap:
        page.space(0.6)
        page.write(summary.heatmap, 1.0, _INK)
        page.colours()
        page.write(summary.evidence, 0.9, _QUIET)
    page.space(0.6)
    for text in summary.warnings:
        page.write(text, 0.9, QColor('#f5c26b'))
    for text in summary.model:
        page.write(text, 0.9, _QUIET)
    page.write(NOT_FOR_CLINICAL_USE, 1.0, _INK, bold=True)
    painter.end()
    return image


def _burn_in(painter: QPainter, width: int, height: int, size: float) -> None:
    band = QRectF(0, height - 2.2 * size, width, 2.2 * size)
    painter.fillRect(band, QColor(0, 0, 0, 150))
    painter.setPen(_INK)
    painter.setFont(_font(size))
    painter.drawText(band, Qt.AlignmentFlag.AlignCenter, NOT_FOR_CLINICAL_USE)


def _font(size: float, bold: bool = False) -> QFont:
    font = QFont('sans-serif')
    font.setPixelSize(max(8, round(size)))
    font.setBold(bold)
    return font


class _Panel:
    """Writes from the top of a column down."""

    def __init__(
        self, painter: QPainter, left: float, right: float, top: float, size: float
    ) -> None:
        self._painter, self._left, self._right = painter, left, right
        self._top, self._size = top, size

    def space(self, lines: float) -> None:
        """Leave some lines free."""
        self._top += lines * self._size

    def write(self, text: str, size: float, ink: QColor, bold: bool = False) -> None:
        """Write a text, in as many lines as it needs."""
        if not text:
            return
        painter = self._painter
        painter.setFont(_font(size * self._size, bold))
        painter.setPen(ink)
        flags = Qt.TextFlag.TextWordWrap
        place = QRectF(self._left, self._top, self._right - self._left, 1e4)
        taken = painter.boundingRect(place, flags.value, text)
        painter.drawText(place, flags.value, text)
        self._top += taken.height() + 0.35 * self._size

    def bar(self, value: ResultValue) -> None:
        """Write a label with its probability, and a bar below them."""
        painter, size = self._painter, self._size
        line = QRectF(self._left, self._top, self._right - self._left, 1.5 * size)
        painter.setFont(_font(size))
        painter.setPen(_INK)
        number = painter.fontMetrics().horizontalAdvance(value.probability) + size
        label = painter.fontMetrics().elidedText(
            value.label, Qt.TextElideMode.ElideRight, round(line.width() - number)
        )
        middle = Qt.AlignmentFlag.AlignVCenter
        painter.drawText(line, middle | Qt.AlignmentFlag.AlignLeft, label)
        painter.drawText(line, middle | Qt.AlignmentFlag.AlignRight, value.probability)
        track = QRectF(self._left, self._top + 1.55 * size, line.width(), 0.4 * size)
        painter.fillRect(track, _TRACK)
        filled = QRectF(track)
        filled.setWidth(track.width() * min(max(value.length, 0.0), 1.0))
        painter.fillRect(filled, _ACCENT)
        if value.mark is not None:
            at = track.left() + track.width() * value.mark
            painter.fillRect(QRectF(at - 1, track.top() - 3, 2, track.height() + 6), _INK)
        self._top += 2.5 * size

    def colours(self) -> None:
        """Draw what the colours of a heatmap mean."""
        painter, size = self._painter, self._size
        bar = QRectF(self._left, self._top, self._right - self._left, 0.7 * size)
        gradient = QLinearGradient(bar.topLeft(), bar.topRight())
        for number, colour in enumerate(HEAT_COLOURS):
            shown = QColor.fromRgbF(*(float(part) for part in colour))
            gradient.setColorAt(number / (len(HEAT_COLOURS) - 1), shown)
        painter.fillRect(bar, QColor('black'))
        painter.fillRect(bar, gradient)
        self._top += 0.9 * size
        line = QRectF(self._left, self._top, bar.width(), 1.3 * size)
        painter.setFont(_font(0.85 * size))
        painter.setPen(_QUIET)
        painter.drawText(line, Qt.AlignmentFlag.AlignLeft, 'no evidence')
        painter.drawText(line, Qt.AlignmentFlag.AlignRight, 'strongest evidence')
        self._top += 1.6 * size


def png_bytes(image: QImage) -> bytes:
    """Return a picture as a PNG file."""
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    image.save(buffer, 'PNG')
    return bytes(buffer.data().data())


def result_page(image: QImage, summary: ResultSummary, made: str) -> str:
    """Return a page of HTML that needs no other file.

    Parameters
    ----------
    image : QImage
        See `draw_result`.
    summary : ResultSummary
        What is written.
    made : str
        By which version, and when.
    """
    picture = base64.b64encode(png_bytes(image)).decode('ascii')
    title = escape(f'{summary.radiograph}: {summary.answer}' if summary.answer else 'Result')
    rows = '\n'.join(
        f'<tr><td>{escape(value.label)}</td><td>{escape(value.probability)}</td></tr>'
        for value in summary.values
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:;
 style-src 'unsafe-inline'">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto;
 padding: 0 1rem; color: #1d1f23; background: #fff; }}
img {{ max-width: 100%; height: auto; }}
table {{ border-collapse: collapse; }}
td, th {{ padding: .25rem 1.5rem .25rem 0; text-align: left; border-bottom: 1px solid #ddd; }}
.warning {{ border-left: 4px solid #e0a030; padding-left: .75rem; }}
</style>
</head>
<body>
<h1>{title}</h1>
<p><strong>{escape(NOT_FOR_CLINICAL_USE)}</strong></p>
{_paragraphs(summary.warnings, 'warning')}
<img src="data:image/png;base64,{picture}" alt="The radiograph with the result beside it">
<h2>Probabilities</h2>
<table><thead><tr><th>Label</th><th>Probability</th></tr></thead>
<tbody>
{rows}
</tbody></table>
{_paragraphs((summary.heatmap, summary.evidence))}
<h2>Model</h2>
{_paragraphs((*summary.model, made))}
</body>
</html>
"""


def _paragraphs(texts: Sequence[str], kind: str = '') -> str:
    start = f'<p class="{kind}">' if kind else '<p>'
    return '\n'.join(f'{start}{escape(text)}</p>' for text in texts if text)
