"""Tables as CSV, JSON lines and Parquet."""

import csv
import json
import re
from dataclasses import replace

import pytest

from napari_cxr.inference import ImageWarning
from napari_cxr.scoring import ScoreRow, ScoringError
from napari_cxr.scoring.score_row import ScoringRun
from napari_cxr.scoring.scoring_checks import check_table_name
from napari_cxr.scoring.table_layout import TableLayout, run_of_columns, table_columns
from napari_cxr.scoring.table_reader import read_rows
from napari_cxr.scoring.table_writer import write_table

RUN = ScoringRun('tiny', 'abc', ('covid19', 'normal'), {'height': 97}, '1.0', tidy=True)

ROWS = [
    ScoreRow(
        0, 'a,"b".png', 'scored', label='normal', probabilities=(0.25, 0.123456789),
        called=('covid19', 'normal'), view='PA', truth='normal', source='Ulm',
        warnings=(ImageWarning('view', 'A lateral view.'), ImageWarning('lossy', 'Lossy.')),
        device='cpu', precision='float32', identity={'patient_id': 'X'}, patient='4',
    ),
    ScoreRow(1, 'b.png', 'error', 'No such file.'),
]  # fmt: skip


def test_columns_begin_as_they_are_promised():
    assert list(table_columns(RUN))[:6] == [
        'path',
        'status',
        'error',
        'label',
        'p_covid19',
        'p_normal',
    ]
    optional = {'truth', 'positive_a', 'heatmap', 'heatmap_lung_share', 'patient', 'patient_id'}
    assert not optional & set(table_columns(RUN))
    everything = ScoringRun(
        'm',
        'h',
        ('a',),
        {},
        '1',
        tidy=True,
        decision=True,
        heatmaps=True,
        shares=True,
        identify=True,
        truth=True,
        patients=True,
    )
    assert optional <= set(table_columns(everything))


def test_csv(tmp_path):
    write_table(tmp_path / 't.csv', ROWS, RUN)
    with (tmp_path / 't.csv').open(newline='') as file:
        one, two = csv.DictReader(file)
    assert one['path'] == 'a,"b".png' and one['p_normal'] == '0.1234568'
    assert one['doubtful'] == '1' and one['warning_view'] == 'A lateral view.'
    assert one['warning_lossy'] == 'Lossy.' and one['warning_note'] == two['doubtful'] == ''
    assert two['error'] == 'No such file.' and two['p_normal'] == two['label'] == ''
    assert two['model'] == 'tiny' and two['model_hash'] == 'abc' and two['version'] == '1.0'


def test_json_lines(tmp_path):
    write_table(tmp_path / 't.jsonl', ROWS, RUN)
    one, two = (json.loads(line) for line in (tmp_path / 't.jsonl').read_text().splitlines())
    assert list(one) == list(table_columns(RUN))
    assert one['doubtful'] == 1 and two['doubtful'] is None and two['warning_view'] == ''
    assert one['p_covid19'] == 0.25 and two['p_covid19'] is None


def test_parquet(tmp_path):
    parquet = pytest.importorskip('pyarrow.parquet')
    odd = ScoreRow(2, 'na\udcffme.png', 'error', 'x')
    write_table(tmp_path / 't.parquet', [*ROWS, odd], RUN)
    found = parquet.read_table(tmp_path / 't.parquet').to_pylist()
    assert list(found[0]) == list(table_columns(RUN))
    assert found[0]['p_normal'] == 0.1234568 and found[1]['p_normal'] is None
    assert found[0]['warning_view'] == 'A lateral view.' and found[0]['doubtful'] == 1
    assert found[2]['path'] == 'na\\udcffme.png'


def test_parquet_without_its_library(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, 'pyarrow', None)
    with pytest.raises(ScoringError, match=r'napari-cxr\[parquet\]'):
        check_table_name(tmp_path / 't.parquet')


def test_a_path_that_is_no_text_comes_out_as_it_is(tmp_path):
    write_table(tmp_path / 't.csv', [ScoreRow(0, 'na\udcffme.png', 'error', 'x')], RUN)
    assert b'na\xffme.png' in (tmp_path / 't.csv').read_bytes()


@pytest.mark.parametrize(('name', 'said'), [('t.xls', 'called .csv'), ('no/t.csv', 'no folder')])
def test_names_that_cannot_be(tmp_path, name, said):
    with pytest.raises(ScoringError, match=said):
        check_table_name(tmp_path / name)


def test_a_table_is_written_whole_or_not_at_all(tmp_path):
    (tmp_path / 't.csv').write_text('before')

    def rows():
        yield ROWS[0]
        raise OSError(28, 'No space left on device')

    with pytest.raises(ScoringError, match='No space left'):
        write_table(tmp_path / 't.csv', rows(), RUN)
    assert (tmp_path / 't.csv').read_text() == 'before'
    assert [p.name for p in tmp_path.iterdir()] == ['t.csv']


def test_a_carriage_return_in_a_name_breaks_no_row(tmp_path):
    odd = replace(ROWS[0], path='a\r.png')
    write_table(tmp_path / 't.csv', [odd, ROWS[1]], RUN)
    with (tmp_path / 't.csv').open(newline='') as file:
        assert [row['path'] for row in csv.DictReader(file)] == ['a\r.png', 'b.png']
    assert [row.path for row in read_rows(tmp_path / 't.csv')[1]] == ['a\r.png', 'b.png']


def test_a_name_that_leaves_no_room_is_refused_before_anything_is_scored(tmp_path):
    check_table_name(tmp_path / f'{"x" * 200}.csv')
    with pytest.raises(ScoringError, match='cannot be the name of a table: File name too long'):
        check_table_name(tmp_path / f'{"x" * 245}.csv')


def test_no_cell_is_a_formula_and_all_come_back(tmp_path):
    names = ['=cmd|" /C calc"!A0', '-dash.png', "'=quoted", '+1.png', '@x', '\t=1', "it's.png"]
    rows = [
        ScoreRow(
            number, name, 'scored', label='normal', probabilities=(0.25, 0.75), view=name,
            source='-1.5', error=name if number > 3 else '',
            called=('normal',) if number % 2 else (), lung_share=-0.0,
            warnings=(ImageWarning('note', f'-{name}'),),
        )
        for number, name in enumerate(names)
    ]  # fmt: skip
    run = replace(RUN, decision=True, shares=True)
    write_table(tmp_path / 't.csv', rows, run)
    with (tmp_path / 't.csv').open(newline='') as file:
        for cells in csv.DictReader(file):
            for name, cell in cells.items():
                is_number = re.fullmatch(r'-?[\d.]+', cell)
                assert is_number or not cell.startswith(('=', '+', '-', '@', '\t', '\r')), name
            assert cells['source'] == '-1.5'  # a number is no formula
    _, back = read_rows(tmp_path / 't.csv')
    for one, other in zip(back, rows, strict=True):
        assert (one.path, one.view, one.source, one.error) == (
            other.path, other.view, other.source, other.error,
        )  # fmt: skip
        assert one.called == other.called
        assert one.warnings[0].text == other.warnings[0].text


def test_a_table_from_before_is_read_as_it_was(tmp_path):
    write_table(tmp_path / 't.csv', [replace(ROWS[1], path='-dash.png')], RUN)
    before = (tmp_path / 't.csv').read_text().replace("'-dash.png", '-dash.png')
    (tmp_path / 't.csv').write_text(before)
    assert next(read_rows(tmp_path / 't.csv')[1]).path == '-dash.png'


def test_what_cannot_be_excluded_comes_back():
    run = replace(RUN, tidy=True, possible=True)
    row = replace(ROWS[0], possible=('normal',))
    layout = TableLayout(run)
    entries = layout.values(row)
    assert (entries['possible_covid19'], entries['possible_normal']) == (0, 1)
    assert layout.row(row.number, entries).possible == ('normal',)
    assert run_of_columns(list(layout.columns)).possible
    assert not run_of_columns(list(table_columns(RUN))).possible
    assert ScoreRow.from_json(row.to_json()).possible == ('normal',)
