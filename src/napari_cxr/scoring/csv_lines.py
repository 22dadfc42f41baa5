"""Lines of CSV that every reader takes for one row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Any

__all__ = ['csv_line']


def csv_line(cells: Iterable[Any]) -> str:
    """Return a row as a line that ends with a line feed, with quotes where they are needed.

    Before Python 3.13, `csv.writer` puts quotes around a carriage return only if lines end
    with one; without them a name or a note that holds one breaks its row in two.
    """
    text = io.StringIO()
    csv.writer(text, lineterminator='\r\n').writerow(cells)
    return text.getvalue()[:-2] + '\n'
