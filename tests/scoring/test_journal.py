"""No row is lost, torn or doubled."""

import errno
import os
import time
from pathlib import Path

import pytest

from napari_cxr.inference import Caution
from napari_cxr.scoring import Row, ScoringError
from napari_cxr.scoring.journal import Journal, read_header

HEADER = {'form': 1, 'model': 'a', 'listing': 'x', 'device': 'cuda'}


def row(number, **more):
    return Row(number=number, path=f'{number}.png', status='scored', **more)


FULL = row(
    2,
    label='normal',
    probabilities=(0.1, 0.7, 0.2),
    called=('normal',),
    truth='covid19',
    source='hospital',
    patient='A',
    view='PA',
    cautions=(Caution('view', 'Ein schräges Bild.'),),
    heatmap='maps/x.png',
    lung_share=0.0,
    lung_share_if_even=0.25,
    device='cpu',
    precision='float32',
    identity={'patient_id': 'X'},
)


def test_a_row_comes_back_as_it_was():
    assert Row.from_json(FULL.to_json()) == FULL
    bad = Row(0, 'na\udcffme.png', 'error', 'Why.')
    assert Row.from_json(bad.to_json()) == bad
    assert '\n' not in FULL.to_json() and FULL.to_json().isascii()


def test_rows_come_in_the_order_of_the_listing_and_once(tmp_path):
    path = tmp_path / 'x.journal'
    journal = Journal(path, HEADER, 4)
    journal.add([FULL, row(0)])
    journal.add([Row(1, '1.png', 'error', 'Why.'), row(0, label='again')])
    assert [r.number for r in journal.rows()] == [0, 1, 2]
    assert (journal.done, journal.failed) == (3, 1)
    assert 1 in journal and 3 not in journal
    journal.close()
    again = Journal(path, HEADER, 4)
    assert list(again.rows()) == [row(0), Row(1, '1.png', 'error', 'Why.'), FULL]
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
    with pytest.raises(ScoringError, match='no journal'):
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
        with pytest.raises(ScoringError, match=r'No space left.*1 rows.*make room and resume'):
            journal.add([row(1)])
    assert path.read_bytes() == before and 1 not in journal
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
        with pytest.raises(ScoringError, match=r'Input/output error\. The 1 rows that are done'):
            journal.sync()
        journal.close()
    journal = Journal(path, HEADER, 3)  # nobody has it open
    assert [r.number for r in journal.rows()] == [0]
    journal.close()
