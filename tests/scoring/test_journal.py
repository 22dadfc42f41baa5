"""No row is lost, torn or doubled."""

import errno
import json
import os
import time
import zlib
from pathlib import Path

import pytest

from napari_cxr.inference import ImageWarning
from napari_cxr.scoring import ScoreRow, ScoringError
from napari_cxr.scoring.append_log import AppendLog, LogInUse, decode_line, encode_line
from napari_cxr.scoring.journal import (
    Journal,
    MissingRows,
    journal_of,
    read_header,
    read_journal,
)
from napari_cxr.scoring.score_row import ScoringRun

HEADER = {'form': 1, 'model': 'a', 'listing': 'x', 'device': 'cuda'}


def row(number, **more):
    return ScoreRow(number=number, path=f'{number}.png', status='scored', **more)


FULL = row(
    2,
    label='normal',
    probabilities=(0.1, 0.7, 0.2),
    called=('normal',),
    truth='covid19',
    source='hospital',
    patient='A',
    view='PA',
    warnings=(ImageWarning('view', 'Ein schräges Bild.'),),
    heatmap='maps/x.png',
    lung_share=0.0,
    lung_share_if_even=0.25,
    device='cpu',
    precision='float32',
    identity={'patient_id': 'X'},
)


def test_a_row_comes_back_as_it_was():
    assert ScoreRow.from_json(FULL.to_json()) == FULL
    bad = ScoreRow(0, 'na\udcffme.png', 'error', 'Why.')
    assert ScoreRow.from_json(bad.to_json()) == bad
    assert '\n' not in FULL.to_json() and FULL.to_json().isascii()


def test_rows_come_in_the_order_of_the_listing_and_once(tmp_path):
    path = tmp_path / 'x.journal'
    journal = Journal(path, HEADER, 4)
    journal.add([FULL, row(0)])
    journal.add([ScoreRow(1, '1.png', 'error', 'Why.'), row(0, label='again')])
    assert [r.number for r in journal.rows()] == [0, 1, 2]
    assert (journal.done, journal.failed) == (3, 1)
    assert 1 in journal and 3 not in journal
    journal.close()
    again = Journal(path, HEADER, 4)
    assert list(again.rows()) == [row(0), ScoreRow(1, '1.png', 'error', 'Why.'), FULL]
    assert (again.done, again.failed) == (3, 1)
    again.remove()
    assert not path.exists()


def test_wherever_it_is_cut_off_whole_rows_stay(tmp_path):
    path = tmp_path / 'x.journal'
    journal = Journal(path, HEADER, 3)
    header = path.stat().st_size
    ends = []
    for one in (row(0), row(1), FULL):
        journal.add([one])
        ends.append(path.stat().st_size)
    journal.close()
    whole = path.read_bytes()
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        journal = Journal(path, HEADER, 3)
        assert journal.done == sum(end <= cut for end in ends), cut
        journal.add([r for r in (row(0), row(1), FULL) if r.number not in journal])
        journal.close()
        assert path.read_bytes() == whole, cut
        if cut < header:
            assert read_header(path) == HEADER


def test_a_damaged_line_is_no_row_and_the_others_are(tmp_path):
    path = tmp_path / 'x.journal'
    journal = Journal(path, HEADER, 3)
    journal.add([row(0, label='normal'), row(1), row(2)])
    journal.close()
    path.write_bytes(path.read_bytes().replace(b'normal', b'NORMAL'))
    journal = Journal(path, HEADER, 3)
    assert [r.number for r in journal.rows()] == [1, 2]
    journal.close()


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        ({'model': 'b'}, r'another model \(a instead of b\)'),
        ({'listing': 'y'}, 'another list of files'),
        ({'device': 'cpu'}, r'another kind of device \(cuda instead of cpu\)'),
        ({'form': 2}, 'another form'),
        (
            {'model': 'b', 'model_hash': 'c', 'labels': ['d'], 'preprocessing': {}},
            r'begun with another model \(a instead of b\):',
        ),
        ({'model_hash': 'c', 'labels': ['d'], 'several': True}, 'begun with another model file:'),
        ({'version': '2', 'lung_field': 'd'}, r'of napari-cxr \(none instead of 2\):'),
        ({'listing': 'y', 'total': 8}, r'files or labels \(none files instead of 8\)'),
        ({'listing': 'y', 'truth': True}, 'with another list of files or labels:'),
    ],
)
def test_another_run_is_not_gone_on_with(tmp_path, change, said):
    path = tmp_path / 'x.journal'
    Journal(path, HEADER, 3).close()
    before = path.read_bytes()
    with pytest.raises(ScoringError, match=said):
        Journal(path, HEADER | change, 3)
    assert path.read_bytes() == before


@pytest.mark.parametrize('diary', ['a diary\nof mine\n', 'a diary of mine'])
def test_what_is_no_journal_is_left_alone(tmp_path, diary):
    path = tmp_path / 'x.journal'
    path.write_text(diary)
    with pytest.raises(ScoringError, match='not a journal'):
        Journal(path, HEADER, 3)
    assert path.read_text() == diary


def test_the_torn_first_line_of_another_run_is_begun_anew(tmp_path):
    path = tmp_path / 'x.journal'
    Journal(path, HEADER, 3).close()
    path.write_bytes(path.read_bytes()[:-3])
    Journal(path, HEADER | {'model': 'b'}, 3).close()
    assert read_header(path)['model'] == 'b'


def test_it_is_removed_while_nobody_else_can_have_it(tmp_path, monkeypatch):
    path = tmp_path / 'x.journal'
    journal, unlink = Journal(path, HEADER, 3), Path.unlink

    def remove(gone, **options):
        with pytest.raises(ScoringError, match='Another process'):
            Journal(path, HEADER, 3)
        unlink(gone, **options)

    monkeypatch.setattr(Path, 'unlink', remove)
    journal.remove()
    assert not path.exists()


def test_two_processes_do_not_write_one_table(tmp_path):
    first = Journal(tmp_path / 'x.journal', HEADER, 3)
    with pytest.raises(ScoringError, match='Another process'):
        Journal(tmp_path / 'x.journal', HEADER, 3)
    first.close()
    Journal(tmp_path / 'x.journal', HEADER, 3).close()


def test_a_full_disk_takes_no_row_away(tmp_path, monkeypatch):
    path = tmp_path / 'x.journal'
    journal = Journal(path, HEADER, 3)
    journal.add([row(0)])
    before = path.read_bytes()
    write = os.write
    calls = []

    def full(file, content):
        calls.append(len(content))
        if len(calls) == 1:
            return write(file, bytes(content[:7]))  # the last bytes that had room
        raise OSError(errno.ENOSPC, 'No space left on device')

    with monkeypatch.context() as patch:
        patch.setattr(os, 'write', full)
        with pytest.raises(ScoringError, match=r'No space left.*The row that is done.*resume'):
            journal.add([row(1)])
    assert path.read_bytes() == before and 1 not in journal
    with monkeypatch.context() as patch, pytest.raises(ScoringError, match=r'No row is done yet'):
        patch.setattr(os, 'write', full)
        Journal(tmp_path / 'y.journal', HEADER, 3)
    journal.add([row(1)])
    assert [r.number for r in journal.rows()] == [0, 1]
    journal.close()


@pytest.fixture
def disk(monkeypatch):
    """What was asked of the disk, and a clock that the test sets."""

    class Disk:
        seconds = 0.0
        syncs = 0

    def fsync(file):
        Disk.syncs += 1

    monkeypatch.setattr(os, 'fsync', fsync)
    monkeypatch.setattr(time, 'monotonic', lambda: Disk.seconds)
    return Disk


def test_a_power_cut_takes_the_rows_of_a_second_at_most(tmp_path, disk):
    journal = Journal(tmp_path / 'x.journal', HEADER, 9)
    begun = disk.syncs
    assert begun >= 1  # what the run is, and the name of the file
    for number, seconds in enumerate((0.1, 0.5, 1.0)):
        disk.seconds = seconds
        journal.add([row(number)])
    assert disk.syncs == begun  # no image waits for the disk
    disk.seconds = 1.01
    journal.add([row(3)])
    assert disk.syncs == begun + 1
    disk.seconds = 2.0
    journal.add([row(4)])
    assert disk.syncs == begun + 1  # counted from the last time
    disk.seconds = 2.02
    journal.sync_if_due()  # while no row comes
    assert disk.syncs == begun + 2
    journal.add([row(5)])
    journal.sync()
    assert disk.syncs == begun + 3
    journal.add([row(6)])
    journal.close()
    assert disk.syncs == begun + 4


def test_a_disk_that_cannot_sync_is_said_and_closes_all_the_same(tmp_path, monkeypatch):
    path = tmp_path / 'x.journal'
    journal = Journal(path, HEADER, 3)
    journal.add([row(0)])

    def fsync(file):
        raise OSError(errno.EIO, 'Input/output error')

    with monkeypatch.context() as patch:
        patch.setattr(os, 'fsync', fsync)
        with pytest.raises(ScoringError, match=r'Input/output error\. The row that is done'):
            journal.sync()
        journal.close()
    journal = Journal(path, HEADER, 3)  # nobody has it open
    assert [r.number for r in journal.rows()] == [0]
    journal.close()


def test_rows_that_do_not_count_and_such_as_there_cannot_be_are_done_again(tmp_path):
    path = tmp_path / 'x.journal'
    journal = Journal(path, HEADER, 4)
    journal.add([row(0), ScoreRow(1, '1.png', 'error', 'Why.'), row(2), row(3)])
    journal.close()
    again = Journal(path, HEADER, 3, lambda one: one.status == 'scored')
    assert [r.number for r in again.rows()] == [0, 2]  # and none beyond the listing's end
    assert (again.done, again.failed) == (2, 0)
    again.add([ScoreRow(1, '1.png', 'error', 'Still.')])
    assert (again.done, again.failed) == (3, 1)
    assert list(again.rows())[1].error == 'Still.'
    again.close()
    journal = Journal(tmp_path / 'y.journal', HEADER, 4)
    journal.add([ScoreRow(n, f'{n}.png', 'error', 'Why.') for n in (0, 2)] + [row(1)])
    assert (journal.done, journal.failed) == (3, 2)
    journal.close()


def test_a_folder_that_is_not_there_is_said(tmp_path):
    path = tmp_path / 'none' / 'x.journal'
    with pytest.raises(ScoringError) as error:
        Journal(path, HEADER, 3)
    assert str(error.value) == f'{path} cannot be written: No such file or directory.'


def test_a_file_that_another_run_left_is_closed_again(tmp_path):
    path = tmp_path / 'x.journal'
    Journal(path, HEADER, 3).close()
    for _ in range(2):  # the first has not kept it locked
        with pytest.raises(ScoringError, match='another model'):
            Journal(path, HEADER | {'model': 'b'}, 3)
    Journal(path, HEADER, 3).close()


def test_a_row_that_is_damaged_in_use_is_said(tmp_path):
    path = tmp_path / 'x.journal'
    journal = Journal(path, HEADER, 3)
    journal.add([row(0, label='normal'), row(2)])
    path.write_bytes(path.read_bytes().replace(b'normal', b'NORMAL'))
    with pytest.raises(ScoringError) as error:
        list(journal.rows())
    assert str(error.value) == f'{path} has been damaged while it was in use.'
    journal.close()


@pytest.mark.parametrize(
    'content', [None, b'', b'{"form":1}\n', encode_line('[1]'), encode_line('7')]
)
def test_what_is_no_header_says_nothing(tmp_path, content):
    path = tmp_path / 'x.journal'
    if content is not None:
        path.write_bytes(content)
    assert read_header(path) == {}


def test_a_journal_lies_beside_its_table(tmp_path):
    assert journal_of(tmp_path / 'scores.csv') == tmp_path / 'scores.csv.journal'


def test_a_first_line_that_is_torn_and_no_journals_is_left_alone(tmp_path):
    path = tmp_path / 'x.journal'
    Journal(path, HEADER, 3).close()
    whole = path.read_bytes()
    for torn in (b'x' + whole[:-1], whole[:8] + b'-' + whole[9:-1], whole.upper()[:-1]):
        path.write_bytes(torn)
        with pytest.raises(ScoringError) as error:
            Journal(path, HEADER, 3)
        assert str(error.value) == f'{path} is not a journal of scoring; move it away.'
        assert path.read_bytes() == torn


@pytest.mark.parametrize(
    ('ours', 'said'),
    [
        (
            {'batch': 4, 'device': 'cpu'},
            'another kind of device and another batch size (none instead of 4)',
        ),
        ({'total': 1}, 'another list of files or labels (none files instead of 1)'),
        ({'folder': '/x'}, 'another folder in which relative paths begin (none instead of /x)'),
        (
            {'decision': ['youden', 0.3], 'rule': [0.3]},
            'another decision (none instead of youden)',
        ),
        ({'rule': [0.3]}, 'another rule of labels or another prevalence'),
        ({'precision': 'half'}, 'another choice of precision (none instead of half)'),
        (
            {'preprocessing': {}, 'heatmaps': True},
            'another preprocessing and another choice of heatmaps',
        ),
        ({'shares': True}, 'another choice of what is said of heatmaps'),
        ({'identify': ['patient_id']}, 'another choice of what identifies'),
        ({'patients': 'y', 'truth': 'z', 'listing': 'w'}, 'another list of files or labels'),
        ({'form': 2, 'unheard': 3}, 'another form of the journal'),
        (
            {'version': '2', 'frontal_check': 'd', 'way': 'onnx'},
            'another version of napari-cxr and another backend (none instead of 2)',
        ),
    ],
)
def test_in_what_another_run_differs(tmp_path, ours, said):
    path = tmp_path / 'x.journal'
    Journal(path, HEADER, 3).close()
    with pytest.raises(ScoringError) as error:
        Journal(path, HEADER | ours, 3)
    assert str(error.value) == (
        f'{path} was begun with {said}: resume with what it was begun with, or choose another '
        'name for the table.'
    )


def test_a_run_that_said_more_is_another(tmp_path):
    path = tmp_path / 'x.journal'
    Journal(path, HEADER | {'total': 1}, 3).close()
    with pytest.raises(ScoringError, match='begun with another form of the journal:'):
        Journal(path, HEADER, 3)
    with pytest.raises(ScoringError, match=r'\(1 file instead of 2\)'):
        Journal(path, HEADER | {'total': 2}, 3)


def test_lines_go_on_where_they_are_told_to(tmp_path):
    path = tmp_path / 'x.lines'
    path.write_bytes(b'one\ntwo\nhal')
    lines = AppendLog(path)
    lines.go_on_at(4)
    assert (path.read_bytes(), lines.end) == (b'one\n', 4)
    lines.append(b'three\n')
    lines.append(b'four\n')
    assert (path.read_bytes(), lines.end) == (b'one\nthree\nfour\n', 15)
    lines.close()
    lines.close()


def test_a_disk_that_takes_little_at_a_time_gets_all(tmp_path, monkeypatch):
    lines, write = AppendLog(tmp_path / 'x.lines'), os.write
    monkeypatch.setattr(os, 'write', lambda file, content: write(file, bytes(content[:3])))
    lines.append(b'one and two\n')
    assert lines.path.read_bytes() == b'one and two\n'
    lines.close()


def test_only_what_was_written_since_is_synced(tmp_path, disk):
    lines = AppendLog(tmp_path / 'x.lines')
    lines.sync()
    assert disk.syncs == 0
    lines.append(b'one\n')
    lines.sync()
    lines.sync()
    assert disk.syncs == 1
    lines.append(b'two\n')
    lines.close()
    lines = AppendLog(tmp_path / 'x.lines')
    lines.sync()
    assert disk.syncs == 1
    lines.sync_folder()
    assert disk.syncs == 2
    lines.close()


def test_a_file_that_was_taken_away_before_it_was_locked_is_made_anew(tmp_path, monkeypatch):
    path = tmp_path / 'x.lines'
    fcntl = pytest.importorskip('fcntl')
    flock, calls = fcntl.flock, []

    def slow(file, how):
        calls.append(how)
        if len(calls) == 1:
            path.unlink()  # by who had it before
        flock(file, how)

    monkeypatch.setattr(fcntl, 'flock', slow)
    lines = AppendLog(path)
    assert len(calls) == 2
    lines.append(b'one\n')
    assert path.read_bytes() == b'one\n'
    with pytest.raises(LogInUse, match=r'x\.lines is in use'):
        AppendLog(path)
    lines.remove()
    assert not path.exists()
    lines.remove()  # nothing to do


def test_a_file_system_without_locks_will_do(tmp_path, monkeypatch):
    fcntl = pytest.importorskip('fcntl')

    def flock(file, how):
        raise OSError(errno.ENOLCK, 'No locks available')

    monkeypatch.setattr(fcntl, 'flock', flock)
    lines = AppendLog(tmp_path / 'x.lines')
    lines.append(b'one\n')
    lines.close()
    assert lines.path.read_bytes() == b'one\n'


def test_a_line_is_what_was_written_or_nothing():
    written = encode_line('{"a":1}')
    # CRC-32 of the seven bytes, as zlib and others count it.
    assert written == b'%08x {"a":1}\n' % zlib.crc32(b'{"a":1}')
    assert decode_line(written) == '{"a":1}'
    for place in range(len(written)):
        damaged = bytearray(written)
        damaged[place] ^= 1
        assert decode_line(bytes(damaged)) is None
    assert decode_line(written[:-1]) is None and decode_line(b'') is None
    assert decode_line(b'%08x %s\n' % (zlib.crc32(b'\xff'), b'\xff')) == '\ufffd'


@pytest.mark.skipif(os.name == 'nt', reason='Windows has no such modes')
def test_a_file_of_a_journal_can_be_read_by_its_owner_and_others(tmp_path):
    before = os.umask(0o022)
    try:
        AppendLog(tmp_path / 'x.lines').close()
    finally:
        os.umask(before)
    assert (tmp_path / 'x.lines').stat().st_mode & 0o777 == 0o644


#: What a header says of a run, beside what tells two runs apart; worked out by hand.
RUN = {
    'model': 'a',
    'model_hash': '0123456789ab',
    'labels': ['normal', 'pneumonia'],
    'preprocessing': {'size': 224},
    'version': '0.2',
    'several': True,
    'decision': ['sensitivity .90', 0.4],
    'heatmaps': False,
    'way': 'onnx',
}


def write_journal(table, *rows, header=RUN):
    journal = Journal(journal_of(table), header, 5)
    journal.add(list(rows))
    journal.close()
    return journal_of(table)


def test_a_journal_is_read_without_being_gone_on_with(tmp_path):
    table = tmp_path / 'scores.csv'
    path = write_journal(table, FULL, row(0), row(1), row(0, label='again'))
    before = path.read_bytes()
    run, rows = read_journal(table)
    assert run == ScoringRun(
        model='a',
        model_hash='0123456789ab',
        labels=('normal', 'pneumonia'),
        preprocessing={'size': 224},
        version='0.2',
        multilabel=True,
        decision=True,
    )
    assert run.decision is True and run.heatmaps is False
    assert list(rows) == [row(0), row(1), FULL]
    assert path.read_bytes() == before


def test_a_journal_is_read_while_its_table_is_there(tmp_path):
    """After a resumed run was stopped both are there."""
    table = tmp_path / 'scores.csv'
    write_journal(table, row(0))
    table.write_text('path\n')
    _, rows = read_journal(table)
    assert list(rows) == [row(0)]


def test_torn_and_damaged_lines_are_no_rows(tmp_path):
    table = tmp_path / 'scores.csv'
    path = write_journal(table, row(0), row(1), row(3))
    first, zero, one, three = path.read_bytes().splitlines(keepends=True)
    other = encode_line('{"number": 4}')
    path.write_bytes(first + zero + one.replace(b'1.png', b'7.png') + other + three + zero[:-1])
    _, rows = read_journal(table)
    assert [found.number for found in rows] == [0, 3]


def test_where_there_is_nothing_to_read(tmp_path):
    table = tmp_path / 'scores.csv'
    assert read_journal(table) is None
    journal_of(table).write_bytes(b'')
    assert read_journal(table) is None
    journal_of(table).write_bytes(b'no journal\n')
    with pytest.raises(ScoringError, match=r'scores\.csv\.journal is not a journal of scoring'):
        read_journal(table)
    table.write_text('path\n')
    assert read_journal(table) is None


@pytest.mark.parametrize(
    'header',
    [
        {name: value for name, value in RUN.items() if name != 'model_hash'},
        {name: value for name, value in RUN.items() if name != 'labels'},
        RUN | {'labels': 3},
        RUN | {'rule': {'kind': 'by throwing dice'}},
        [],
    ],
)
def test_a_journal_of_another_version_is_said(tmp_path, header):
    table = tmp_path / 'scores.csv'
    journal_of(table).write_bytes(encode_line(json.dumps(header)))
    with pytest.raises(ScoringError) as told:
        read_journal(table)
    assert str(told.value) == (
        f'{journal_of(table)} is of another version of napari-cxr: resume it with that one.'
    )


def test_a_journal_that_cannot_be_opened_is_said(tmp_path):
    journal_of(tmp_path / 'scores.csv').mkdir()
    with pytest.raises(
        ScoringError, match=r'journal cannot be opened: it is a folder, not a file\.$'
    ):
        read_journal(tmp_path / 'scores.csv')


def test_missing_rows_are_those_that_are_not_done(tmp_path):
    journal = Journal(tmp_path / 'x.journal', HEADER, 5)
    missing = MissingRows(journal, 5)
    assert list(missing) == [0, 1, 2, 3, 4] and len(missing) == 5
    journal.add([row(1), row(4)])
    assert list(missing) == [0, 2, 3] and len(missing) == 3
    assert 1 not in missing and 2 in missing
    journal.close()


def test_a_pipe_in_the_place_of_a_journal_is_refused_at_once(tmp_path):
    pytest.importorskip('fcntl')
    table = tmp_path / 'x.csv'
    os.mkfifo(journal_of(table))
    assert read_header(journal_of(table)) == {}
    with pytest.raises(ScoringError, match='named pipe'):
        read_journal(table)
    with pytest.raises(ScoringError, match='not a file'):
        Journal(journal_of(table), HEADER, 3)


def test_a_journal_whose_first_line_is_nested_without_end_is_none(tmp_path):
    table = tmp_path / 'x.csv'
    journal_of(table).write_bytes(encode_line('[' * 10**5) + encode_line('{}'))
    assert read_header(journal_of(table)) == {}
    with pytest.raises(ScoringError, match='another version'):
        read_journal(table)


def test_of_a_row_that_was_tried_again_the_last_is_read(tmp_path):
    table = tmp_path / 'scores.csv'
    failed = ScoreRow(0, '0.png', 'error', 'Memory ran out.')
    write_journal(table, failed, row(1), failed, row(0, label='again'), failed)
    _, rows = read_journal(table)
    assert list(rows) == [row(0, label='again'), row(1)]
