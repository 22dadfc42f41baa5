"""Text that came from outside, made harmless where it leaves: one function for each way out.

Names of files and folders, values of headers, titles of cards, labels and notes are kept as
they are inside. A terminal would obey the escapes in them, a spreadsheet would compute a cell
that begins with an equals sign, and a browser or Qt would draw tags; so what leaves goes
through the function for its way out, once, and nowhere else.
"""

from __future__ import annotations

import logging
import re
from html import escape

__all__ = [
    'from_csv_cell',
    'get_logger',
    'html_text',
    'terminal_line',
    'terminal_text',
    'to_csv_cell',
]

#: C0 and C1 controls, marks and overrides of direction, separators of lines, the byte-order
#: mark, invisible tags, and halves of surrogate pairs, which stand for bytes that are no text.
_CONTROL = re.compile(
    '[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff'
    '\ud800-\udfff\U000e0000-\U000e007f]'
)

_LINE_BREAK = re.compile(r'[\n\r]')


def terminal_text(text: str) -> str:
    r"""Return a text for a terminal or a log, in which line feeds and tabs are meant.

    Parameters
    ----------
    text : str
        Anything.

    Returns
    -------
    str
        The same text, where nothing in it could move the cursor, change colours or turn
        letters around; else with these characters written as Python does: ``\x1b``, ``\u202e``.
    """
    return _CONTROL.sub(_escaped, text)


def terminal_line(text: str) -> str:
    r"""Return a text as one line of a terminal or a log: as `terminal_text`, line feeds too.

    So a name with a line feed in it cannot pass for a line of ours.
    """
    return _LINE_BREAK.sub(_escaped, terminal_text(text))


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode('unicode_escape').decode('ascii')


#: What spreadsheets take for the beginning of a formula, or skip before one.
_FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")

_NUMBER = re.compile(r'[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?')


def to_csv_cell(value: object) -> object:
    """Return what is written into a cell, so that no spreadsheet computes it.

    A text that begins like a formula gets an apostrophe before it, as spreadsheets write it
    themselves. A text that begins with an apostrophe and then like a formula gets another, so
    that `from_csv_cell` always brings back what was there.

    Parameters
    ----------
    value : object
        A text; numbers, and texts that are numbers, stay as they are.
    """
    if isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def from_csv_cell(cell: str) -> str:
    """Return the text that `to_csv_cell` was given; cells of other tables stay as they are."""
    return cell[1:] if cell[:1] == "'" and _FORMULA.match(cell) else cell


def html_text(text: str) -> str:
    """Return a text for HTML or Qt's rich text: no tags, no quotes, and lines as lines."""
    return escape(text).replace('\n', '<br>')


class _OneLine(logging.Filter):
    """Makes what is logged harmless, before any handler sees it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Put the message together, as one line."""
        record.msg, record.args = terminal_line(record.getMessage()), ()
        return True


def get_logger(name: str) -> logging.Logger:
    """Return the logger of a module; what it logs cannot forge lines or move the cursor."""
    logger = logging.getLogger(name)
    if not any(isinstance(one, _OneLine) for one in logger.filters):
        logger.addFilter(_OneLine())
    return logger
