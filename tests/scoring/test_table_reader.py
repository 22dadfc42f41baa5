"""A table read back is the table that was written."""

import csv
import json
from dataclasses import replace

import pytest

from napari_cxr.inference import ImageWarning
from napari_cxr.inference.prediction import WARNING_CODES
from napari_cxr.scoring import ScoreRow, ScoringError
from napari_cxr.scoring.journal import Journal
from napari_cxr.scoring.score_row import IDENTITY, ScoringRun
from napari_cxr.scoring.table_reader import image_path_of, read_rows
from napari_cxr.scoring.table_writer import write_table

FORMS = ['csv', 'jsonl', 'parquet']
OLD = ScoringRun('tiny', 'abc', ('covid19', 'normal'), {'height': 97, 'range': 'type'}, '1.0')
PLAIN = replace(OLD, tidy=True, preprocessing={})
FULL = replace(
    PLAIN, decision=True, heatmaps=True, shares=True, identify=True, truth=True, patients=True,
    multilabel=True,
    rule={'thresholds': {'covid19': 0.5, 'normal': 0.25}, 'negative': 'none', 'undecided': {}},
)  # fmt: skip
OLD_FULL = replace(FULL, tidy=False, preprocessing=OLD.preprocessing, rule={})
ROWS = [
    ScoreRow(
        0, 'a,"b" | c.png', 'scored', label='normal', probabilities=(0.25, 0.9375),
        above=('normal',), answer='normal',
        called=('covid19', 'normal'), view='PA', truth='covid19|normal', source='Ulm', patient='2',
        warnings=(ImageWarning('view', 'A lateral view.'), ImageWarning('note', 'Lossy.')),
        heatmap='maps/0.png', lung_share=0.5, lung_share_if_even=0.25, frame_share=0.0,
        lung_field='network', device='cpu', precision='bfloat16',
        identity={name: f'{name} 1' for name in IDENTITY},
    ),
    ScoreRow(1, 'b\n.png', 'error', 'No such file: "b".', truth='normal'),
    ScoreRow(
        2, 'ünï.png', 'scored', label='normal', probabilities=(0.75, 0.875), device='cpu',
        precision='float32', identity={'patient_id': 'X'}, above=('normal', 'covid19'),
        answer='normal',
    ),
]  # fmt: skip


def plain(row):
    """The row as a run with the fewest columns keeps it."""
    return replace(
        row, above=(), answer='', called=(), truth='', patient='', heatmap='', lung_share=None,
        lung_share_if_even=None, frame_share=None, lung_field='', identity={},
    )  # fmt: skip


def table(path, rows=ROWS, run=FULL):
    if path.suffix == '.parquet':
        pytest.importorskip('pyarrow')
    write_table(path, rows, run)
    return path


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('run', [PLAIN, FULL, OLD, OLD_FULL])
def test_run_and_rows_come_back(tmp_path, form, run):
    path = table(tmp_path / f't.{form}', run=run)
    found, rows = read_rows(path)
    rows = list(rows)
    # Without thresholds, that an image can have several labels shows in old tables in what
    # probabilities add up to.
    assert found == replace(run, multilabel=run is not PLAIN)
    if run is FULL:
        assert rows == ROWS
    elif run is OLD_FULL:
        assert rows == [replace(row, above=(), answer='') for row in ROWS]
    else:
        assert rows == [plain(row) for row in ROWS]
    again = table(tmp_path / f'again.{form}', rows, found)
    assert again.read_bytes() == path.read_bytes()


OPACITY = replace(
    PLAIN, labels=('opacity',), multilabel=True, truth=True,
    rule={
        'thresholds': {'opacity': 0.3},
        'negative': 'no opacity',
        'undecided': {'opacity': [0.2, 0.6]},
    },
)  # fmt: skip
OF_OPACITY = [
    ScoreRow(
        0, 'a.png', 'scored', label='opacity', probabilities=(0.9,), above=('opacity',),
        answer='opacity', truth='opacity', device='cpu', precision='float32',
    ),
    ScoreRow(
        1, 'b.png', 'scored', label='no opacity', probabilities=(0.25,), answer='cannot say',
        truth='no opacity', device='cpu', precision='float32',
    ),
]  # fmt: skip


@pytest.mark.parametrize('form', FORMS)
def test_what_decides_labels_comes_back(tmp_path, form):
    path = table(tmp_path / f't.{form}', OF_OPACITY, OPACITY)
    found, rows = read_rows(path)
    rows = list(rows)
    assert found == OPACITY and rows == OF_OPACITY
    rule = found.label_rule
    assert [rule.answer(row.probabilities) for row in rows] == ['opacity', 'cannot say']
    assert table(tmp_path / f'again.{form}', rows, found).read_bytes() == path.read_bytes()
    if form == 'csv':
        names = path.read_text().splitlines()[0].split(',')
        assert names == [
            'path', 'status', 'error', 'label', 'p_opacity', 'answer', 'predicted_opacity',
            'truth', 'view', 'source', 'doubtful', 'warning_view', 'warning_polarity',
            'warning_not_a_chest', 'warning_upside_down', 'warning_mirrored',
            'warning_lung_field', 'warning_enlarged', 'warning_lossy', 'warning_memory',
            'warning_note', 'model', 'model_hash', 'threshold_opacity', 'undecided_from_opacity',
            'undecided_to_opacity', 'negative_label', 'version', 'device', 'precision',
        ]  # fmt: skip
        cells = list(csv.DictReader(path.read_text().splitlines()))
        assert [row['predicted_opacity'] for row in cells] == ['1', '0']
        assert {row['threshold_opacity'] for row in cells} == {'0.3'}


OF_CLASSES = replace(PLAIN, shares=True, peaks=True, rule={'least_margin': 0.1})
NEAR_TIE = [
    ScoreRow(
        0, 'a.png', 'scored', label='normal', probabilities=(0.46, 0.54),
        answer='no class stands out', peak_in_lung=False, peak_region='beside the left lung',
        half_peak_lung_fraction=0.25, lung_share=0.81, lung_share_if_even=0.3, frame_share=0.2,
        lung_field='network', device='cpu', precision='float32',
    ),
    ScoreRow(
        1, 'b.png', 'scored', label='normal', probabilities=(0.1, 0.9), answer='normal',
        peak_in_lung=True, peak_region='right lung', half_peak_lung_fraction=1.0, lung_share=0.5,
        lung_share_if_even=0.3, frame_share=0.0, lung_field='network', device='cpu',
        precision='float32',
    ),
    # A heatmap that is the same everywhere has no peak.
    ScoreRow(
        2, 'c.png', 'scored', label='normal', probabilities=(0.1, 0.9), answer='normal',
        lung_share=0.3, lung_share_if_even=0.3, frame_share=0.3, lung_field='network',
        device='cpu', precision='float32',
    ),
]  # fmt: skip


@pytest.mark.parametrize('form', FORMS)
def test_peaks_and_near_ties_come_back(tmp_path, form):
    path = table(tmp_path / f't.{form}', NEAR_TIE, OF_CLASSES)
    found, rows = read_rows(path)
    rows = list(rows)
    assert found == OF_CLASSES and rows == NEAR_TIE
    answers = [found.label_rule.answer(row.probabilities) for row in rows]
    assert answers == [row.answer for row in NEAR_TIE]
    if form == 'csv':
        first, *lines = csv.reader(path.read_text().splitlines())
        assert 'predicted_normal' not in first and 'least_margin' in first
        columns = [first.index(name) for name in ('heatmap_peak_in_lung', 'heatmap_peak_region')]
        cells = [[line[column] for column in columns] for line in lines]
        assert cells == [['0', 'beside the left lung'], ['1', 'right lung'], ['', '']]


def test_a_rule_that_was_changed_is_told(tmp_path):
    path = table(tmp_path / 't.csv', OF_OPACITY, OPACITY)
    whole = path.read_text()
    for before, after in (('0.3,0.2,0.6', ',0.2,0.6'), ('0.3,0.2,0.6', '0.3,low,0.6')):
        assert before in whole
        path.write_text(whole.replace(before, after))
        with pytest.raises(ScoringError, match='damaged at row 1'):
            read_rows(path)
    path.write_text('0.4'.join(whole.rsplit('0.3', 1)))  # in the last row only
    with pytest.raises(ScoringError, match='row 2 is the first of another'):
        list(read_rows(path)[1])
    path.write_text(whole.replace(',opacity,1,', ',opacity,2,'))
    with pytest.raises(ScoringError, match='damaged at row 1'):
        list(read_rows(path)[1])
    old = table(tmp_path / 'old.csv', OF_OPACITY, replace(OPACITY, tidy=False))
    old.write_text(old.read_text().replace('""thresholds""', '""limits""'))
    with pytest.raises(ScoringError, match='damaged at row 1'):
        read_rows(old)


def test_a_journal_knows_what_decides_labels(tmp_path):
    path = tmp_path / 't.csv'
    journal = Journal(tmp_path / 't.csv.journal', header(OPACITY), 3)
    journal.add(OF_OPACITY)
    journal.close()
    found, rows = read_rows(path)
    assert found == OPACITY and list(rows) == OF_OPACITY


def test_one_class_of_several(tmp_path):
    run = replace(PLAIN, labels=('a', 'b', 'c'))
    thirds = (0.3333333, 0.3333333, 0.3333333)  # as a table has them
    rows = [
        ScoreRow(0, 'x', 'error', 'Why.'),
        ScoreRow(
            1, 'y', 'scored', label='a', probabilities=thirds, device='cpu', precision='float32'
        ),
    ]
    found, back = read_rows(table(tmp_path / 't.csv', rows, run))
    assert not found.multilabel and list(back) == rows


def test_nothing_but_errors(tmp_path):
    rows = [ScoreRow(i, f'{i}', 'error', 'Why.') for i in range(3)]
    found, back = read_rows(table(tmp_path / 't.jsonl', rows, PLAIN))
    assert found == PLAIN and list(back) == rows


def test_a_name_that_is_no_text(tmp_path):
    row = replace(ROWS[1], path='na\udcffme.png', number=0, truth='')
    for form in ('csv', 'jsonl'):
        _, back = read_rows(table(tmp_path / f't.{form}', [row], PLAIN))
        assert list(back) == [row]


def test_cautions_keep_what_they_doubt(tmp_path):
    cautions = (
        ImageWarning('polarity', 'One.'),
        ImageWarning('view', 'Two.'),
        ImageWarning('lossy', 'Three.'),
    )
    row = replace(ROWS[2], number=0, warnings=cautions, identity={})
    _, back = read_rows(table(tmp_path / 't.csv', [row], OLD))
    (found,) = back
    assert found.warnings == (*cautions[:2], ImageWarning('note', 'Three.'))
    assert found.doubts == row.doubts == ('polarity', 'view')


@pytest.mark.parametrize('form', FORMS)
def test_each_kind_of_warning_has_a_column(tmp_path, form):
    warnings = tuple(ImageWarning(code, f'It is {code}.') for code in WARNING_CODES)
    more = (*warnings, ImageWarning('note', 'And more.'))
    rows = [
        replace(plain(ROWS[2]), number=0, warnings=more),
        replace(plain(ROWS[2]), number=1, warnings=(ImageWarning('lossy', 'Lossy.'),)),
    ]
    path = table(tmp_path / f't.{form}', rows, PLAIN)
    first, second = read_rows(path)[1]
    assert first.warnings == (*warnings[:-1], ImageWarning('note', 'It is note. And more.'))
    assert second == rows[1]
    again = table(tmp_path / f'again.{form}', [first, second], PLAIN)
    assert again.read_bytes() == path.read_bytes()
    if form == 'jsonl':
        cells = [json.loads(line) for line in path.read_text().splitlines()]
        assert [row['doubtful'] for row in cells] == [1, 0]
        assert cells[1]['warning_lossy'] == 'Lossy.' and cells[1]['warning_view'] == ''
        assert not any(isinstance(cell, list | dict) for row in cells for cell in row.values())


@pytest.mark.parametrize('form', FORMS)
def test_rows_are_made_as_they_are_asked_for(tmp_path, form):
    rows = [replace(plain(ROWS[2]), number=i, path=f'{i}.png') for i in range(9000)]
    path = table(tmp_path / f't.{form}', rows, PLAIN)
    _, back = read_rows(path)
    assert [next(back) for _ in range(3)] == rows[:3]
    assert sum(1 for _ in back) == len(rows) - 3


# -- journals -----------------------------------------------------------------------------


def header(run, **more):
    return {'form': 1, **run.to_dict(), 'listing': 'x', 'batch': 8, **more}


def test_a_table_that_is_not_finished_is_its_journal(tmp_path):
    path = tmp_path / 't.csv'
    rows = [*ROWS[:2], replace(ROWS[2], warnings=(ImageWarning('lossy', 'Lossy.'),))]
    told = header(FULL, decision=['youden', {'normal': 0.5}], heatmaps='maps')
    journal = Journal(tmp_path / 't.csv.journal', told, 5)
    journal.add([rows[2], rows[0]])
    journal.add([rows[1], rows[2]])
    table(path, rows[:1])  # what was written when it was stopped
    # It is open, and locked: whoever scores is not disturbed.
    found, back = read_rows(path)
    journal.add([replace(rows[1], number=4)])
    assert found == FULL and list(back) == rows
    assert len(list(read_rows(path)[1])) == 4
    journal.remove()
    assert list(read_rows(path)[1]) == ROWS[:1]


def test_a_journal_of_a_run_without_choices(tmp_path):
    journal = Journal(tmp_path / 't.csv.journal', header(PLAIN, decision=None, heatmaps=None), 5)
    found, back = read_rows(tmp_path / 't.csv')
    assert found == PLAIN and not list(back)
    journal.close()


def test_torn_and_damaged_lines_of_a_journal_are_no_rows(tmp_path):
    path = tmp_path / 't.csv.journal'
    journal = Journal(path, header(FULL), 5)
    journal.add(ROWS)
    journal.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:-3].replace(b'Ulm', b'ULM'))
    found, back = read_rows(tmp_path / 't.csv')
    assert found == FULL and list(back) == [ROWS[1]]


def test_a_journal_without_a_whole_first_line_says_nothing(tmp_path):
    (tmp_path / 't.csv.journal').write_text('diary')
    with pytest.raises(ScoringError, match='not a journal'):
        read_rows(tmp_path / 't.csv')
    table(tmp_path / 't.csv')
    assert len(list(read_rows(tmp_path / 't.csv')[1])) == 3


def test_a_journal_of_another_version(tmp_path):
    told = header(FULL)
    del told['preprocessing']
    Journal(tmp_path / 't.csv.journal', told, 5).close()
    with pytest.raises(ScoringError, match='another version'):
        read_rows(tmp_path / 't.csv')


# -- what is none of ours -----------------------------------------------------------------


@pytest.mark.parametrize(
    ('name', 'content', 'said'),
    [
        ('t.csv', b'', 'is empty'),
        ('t.csv', b'path,label\na.png,normal\n', 'choose it as a list'),
        ('t.csv', b'\xff\xfep\0a\0t\0h\0\n\0', 'no table of scores'),
        ('t.csv', b'path,label', 'its end is lost'),
        ('t.csv', b'path,status,"error\n', 'damaged in the names'),
        ('t.jsonl', b'{"path": "a"}\n', 'no table of scores'),
        ('t.jsonl', b'17\n', 'no table of scores'),
        ('t.jsonl', b'{"path"\n', 'no table of scores'),
        ('t.parquet', b'PAR1 it is not', 'no Parquet file'),
        ('t.xlsx', b'PK', r'end in \.csv'),
    ],
)
def test_what_is_no_table_of_ours(tmp_path, name, content, said):
    if name.endswith('parquet'):
        pytest.importorskip('pyarrow')
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ScoringError, match=said):
        read_rows(tmp_path / name)


def test_no_table_at_all(tmp_path):
    with pytest.raises(ScoringError, match='There is no table'):
        read_rows(tmp_path / 't.csv')


@pytest.mark.parametrize(
    ('before', 'after', 'said'),
    [
        ('warning_view,', '', 'lacks warning_view'),
        (',predicted_normal,', ',', 'lacks predicted_normal'),
        (',device,', ',device,site,', 'has site'),
        (',view,source,', ',source,view,', 'another order'),
    ],
)
def test_a_table_with_other_columns(tmp_path, before, after, said):
    path = table(tmp_path / 't.csv')
    text = path.read_text(encoding='utf-8')
    assert before in text
    path.write_text(text.replace(before, after, 1), encoding='utf-8')
    with pytest.raises(ScoringError, match=said):
        read_rows(path)


@pytest.mark.parametrize(
    ('before', 'after', 'said'),
    [
        ('0.9375', '0.9e', 'damaged at row 1'),
        ('0.9375', 'nan', 'damaged at row 1'),
        (',cpu,float32', ',cpu', 'damaged at row 3'),
        ('scored,,normal', 'scred,,normal', 'damaged at row 3'),
        (',0.75,0.875,', ',0.75,,', 'damaged at row 3'),
        ('tiny,abc', 'tiny,abd', 'several models'),
    ],
)
def test_a_table_that_was_damaged_on_its_way(tmp_path, before, after, said):
    path = table(tmp_path / 't.csv')
    head, found, tail = path.read_text(encoding='utf-8').rpartition(before)
    assert found
    path.write_text(head + after + tail, encoding='utf-8')
    with pytest.raises(ScoringError, match=said):
        list(read_rows(path)[1])


def test_a_damaged_line_of_json(tmp_path):
    path = table(tmp_path / 't.jsonl')
    lines = path.read_text().splitlines()
    less = json.loads(lines[2])
    del less['view']
    for line in (lines[2][:-9], json.dumps(less), '[]'):
        path.write_text('\n'.join([*lines[:2], line]) + '\n')
        with pytest.raises(ScoringError, match='damaged at row 3'):
            list(read_rows(path)[1])


def test_a_table_that_was_cut_off(tmp_path):
    for form in FORMS:
        path = table(tmp_path / f't.{form}')
        path.write_bytes(path.read_bytes()[:-7])
        with pytest.raises(ScoringError, match=r'its end is lost|damaged'):
            list(read_rows(path)[1])


def test_a_path_that_is_not_whole_is_found_by_the_table(tmp_path, monkeypatch):
    for folder in ('study/images', 'study/tables', 'elsewhere/images'):
        (tmp_path / folder).mkdir(parents=True)
    for folder in ('study', 'elsewhere'):
        (tmp_path / folder / 'images' / '1.png').touch()
    table = tmp_path / 'study' / 'tables' / 'scores.csv'
    monkeypatch.chdir(tmp_path / 'elsewhere')
    assert image_path_of('images/1.png', table) == str(tmp_path / 'study' / 'images' / '1.png')
    assert image_path_of('images/2.png', table) == str(tmp_path / 'elsewhere' / 'images' / '2.png')
    assert image_path_of(str(tmp_path / '3.png'), table) == str(tmp_path / '3.png')


def test_a_table_that_a_spreadsheet_has_saved(tmp_path):
    path = table(tmp_path / 't.csv')
    text = path.read_text().replace('b\n.png', 'b.png').replace('\n', '\r\n')
    path.write_bytes(text.encode('utf-8-sig'))
    run, rows = read_rows(path)
    assert run == FULL and [row.path for row in rows] == [*(ROWS[0].path, 'b.png', ROWS[2].path)]
