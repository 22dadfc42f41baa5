"""Text from outside is harmless where it leaves, and comes back from tables as it was."""

import csv
import io
import logging

import pytest

from napari_cxr.output_text import (
    from_csv_cell,
    get_logger,
    html_text,
    terminal_line,
    terminal_text,
    to_csv_cell,
)


@pytest.mark.parametrize(
    ('text', 'shown'),
    [
        ('plain, ümläut, 胸, \u200d', 'plain, ümläut, 胸, \u200d'),
        ('\x1b]0;owned\x07\x1b[2J', r'\x1b]0;owned\x07\x1b[2J'),
        ('\x9b31m red', r'\x9b31m red'),
        ('over\rwritten\b\b', r'over\rwritten\x08\x08'),
        ('gnp\u202e.exe\u2066', r'gnp\u202e.exe\u2066'),
        ('a\u2028b\ufeff', r'a\u2028b\ufeff'),
        ('tag\U000e0041', r'tag\U000e0041'),
        ('not text \udcff', r'not text \udcff'),
        ('two\nlines\tand a tab', 'two\nlines\tand a tab'),
    ],
)
def test_a_terminal_is_not_steered(text, shown):
    assert terminal_text(text) == shown
    assert terminal_line(text) == shown.replace('\n', r'\n')
    assert terminal_text(terminal_text(text)) == shown
    terminal_line(text).encode()  # can be printed


@pytest.mark.parametrize('text', ['a', '', 'a=b', "it's", "'quoted'", ' =1', 'p_-x', '№', 'a-b'])
def test_ordinary_cells_stay_as_they_are(text):
    assert to_csv_cell(text) == text == from_csv_cell(text)


@pytest.mark.parametrize('number', ['-1', '+1.5', '-0.25', '-1e-07', '+.5', -1.5, 3, None, True])
def test_numbers_stay_numbers(number):
    assert to_csv_cell(number) is number
    if isinstance(number, str):
        assert from_csv_cell(number) == number


@pytest.mark.parametrize(
    'text',
    [
        *('=cmd|" /C calc"!A0', '+1+1', '-2+3', '@SUM(A1)', '\t=1', '\r=1', '\n=1', '=', '-'),
        *('-dash.png', "'=1", "''=1", "'-1", '＝1+1', '=HYPERLINK("http://a","b")', '=1;=2'),
    ],
)
def test_no_cell_begins_like_a_formula_and_each_comes_back(text):
    cell = to_csv_cell(text)
    assert cell == f"'{text}"
    assert from_csv_cell(cell) == text
    written = io.StringIO(newline='')
    csv.writer(written).writerow([cell])
    assert from_csv_cell(next(csv.reader(io.StringIO(written.getvalue(), newline='')))[0]) == text


def test_rich_text_draws_no_tags():
    assert html_text('<img src="x">\n&') == '&lt;img src=&quot;x&quot;&gt;<br>&amp;'


def test_a_log_is_not_forged(caplog):
    log = get_logger('napari_cxr.of_this_test')
    assert get_logger('napari_cxr.of_this_test') is log and len(log.filters) == 1
    with caplog.at_level(logging.INFO):
        log.info('%s is damaged', 'a\nERROR:root:forged\x1b[2J.png')
    assert caplog.messages == [r'a\nERROR:root:forged\x1b[2J.png is damaged']


def test_modules_log_in_no_other_way():
    """Only pydicom's own logger is asked for by its name, to quieten it."""
    from pathlib import Path

    import napari_cxr

    source = Path(napari_cxr.__file__).parent
    others = {p.name for p in source.rglob('*.py') if 'logging.getLogger(' in p.read_text('utf-8')}
    assert others == {'headers.py', 'output_text.py'}
