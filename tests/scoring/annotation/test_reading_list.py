"""What a person said is never lost, and can be taken back as often as it was said."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
import threading
from dataclasses import replace

import pytest

from napari_cxr.scoring import ScoreRow, ScoringError
from napari_cxr.scoring.annotation import Annotation, AnnotationCounts, model_annotation
from napari_cxr.scoring.annotation.readers import labels_path_of
from napari_cxr.scoring.annotation.reading_list import ReadingList

LABELS = ('covid19', 'normal', 'pneumonia')


@pytest.fixture
def table(tmp_path):
    return tmp_path / 'ward.csv'


def said(reading):
    """All that is said, without the times."""
    return {path: (e.labels, e.note, e.answer, e.agreed) for path, e in reading}


def reopened(table):
    reading = ReadingList.open(table, LABELS)
    found = said(reading)
    reading.close()
    return found


def test_labels_and_notes_are_there_again(table):
    reading = ReadingList.open(table, LABELS)
    reading.set('a.png', ('normal',), agreed=True)
    reading.note('a.png', '  a rib?\0 ')
    reading.unsure('b.png')
    reading.note('ü\udcff.png', 'nur ein Wort')
    assert reading.get('a.png').when.endswith('+00:00')
    assert reading.get('a.png').read and not reading.get('ü\udcff.png').read
    assert reading.get('c.png') is None
    assert reading.counts() == AnnotationCounts(read=2, agreed=1, unsure=1, noted=2)
    assert reading.counts({'b.png', 'c.png'}) == AnnotationCounts(read=1, unsure=1)
    reading.close()
    assert reopened(table) == {
        'a.png': (('normal',), 'a rib?', 'labels', True),
        'b.png': ((), '', 'unsure', False),
        'ü\udcff.png': ((), 'nur ein Wort', '', False),
    }


def test_labels_are_those_of_the_table_in_its_order(table):
    reading = ReadingList.open(table, LABELS)
    reading.set('a.png', ('pneumonia', 'covid19'))
    assert reading.get('a.png').labels == ('covid19', 'pneumonia')
    reading.set('a.png', ())  # none of several findings is an answer
    assert reading.get('a.png').read
    with pytest.raises(ValueError, match='no class fracture'):
        reading.set('a.png', ('fracture',))
    reading.close()


def test_everything_can_be_undone_and_done_again_also_another_day(table):
    reading = ReadingList.open(table, LABELS)
    states = [said(reading)]
    for change in (
        lambda: reading.set('a.png', ('normal',)),
        lambda: reading.set('b.png', ('covid19',)),
        lambda: reading.note('a.png', 'old scar'),
        lambda: reading.set('a.png', ('pneumonia',)),
        lambda: reading.clear('b.png'),
    ):
        change()
        states.append(said(reading))
    assert 'b.png' not in states[-1]  # nothing is said of it any more
    reading.close()
    reading = ReadingList.open(table, LABELS)
    for state in states[-2::-1]:
        assert reading.undo() is not None
        assert said(reading) == state
    assert reading.undo() is None and reading.undoable is None
    reading.close()
    reading = ReadingList.open(table, LABELS)
    paths = [reading.redo() for _ in range(5)]
    assert paths == ['a.png', 'b.png', 'a.png', 'a.png', 'b.png']
    assert said(reading) == states[-1] and reading.redo() is None
    reading.undo()
    reading.set('c.png', ('normal',))  # a new change takes what was undone away
    assert reading.redoable is None
    assert reading.undo() == 'c.png' and said(reading) == states[-2]
    reading.close()


def test_what_is_said_again_is_no_change(table):
    reading = ReadingList.open(table, LABELS)
    reading.set('a.png', ('normal',))
    size = reading.path.stat().st_size
    reading.set('a.png', ('normal',))
    reading.note('a.png', '')
    reading.clear('never.png')
    assert reading.path.stat().st_size == size
    assert reading.undo() == 'a.png' and reading.undo() is None
    reading.close()


def test_wherever_it_is_cut_off_whole_changes_stay(table):
    reading = ReadingList.open(table, LABELS)
    path = reading.path
    ends, states = [path.stat().st_size], [{}]
    for i in range(3):
        reading.set(f'{i}.png', ('normal',))
        ends.append(path.stat().st_size)
        states.append(said(reading))
    reading.close()
    whole = path.read_bytes()
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        done = sum(end <= cut for end in ends[1:])
        assert reopened(table) == states[done], cut


def test_a_kill_takes_nothing_away(table):
    script = textwrap.dedent(
        f"""
        import os, signal
        from napari_cxr.scoring.annotation.reading_list import ReadingList
        reading = ReadingList.open({str(table)!r}, {LABELS!r})
        for i in range(20):
            reading.set(f'{{i}}.png', ('normal',))
        os.kill(os.getpid(), {int(signal.SIGTERM if sys.platform == 'win32' else signal.SIGKILL)})
        """
    )
    ended = subprocess.run([sys.executable, '-c', script], capture_output=True, timeout=60)
    assert ended.returncode and not ended.stderr
    assert len(reopened(table)) == 20


def test_a_damaged_line_is_told_and_the_others_stay(table):
    reading = ReadingList.open(table, LABELS)
    for name in ('a.png', 'b.png', 'c.png'):
        reading.set(name, ('normal',))
    reading.close()
    path = labels_path_of(table)
    path.write_bytes(path.read_bytes().replace(b'b.png', b'B.png'))
    reading = ReadingList.open(table, LABELS)
    assert reading.damaged == 1 and set(dict(reading)) == {'a.png', 'c.png'}
    reading.close()


def test_two_processes_do_not_label_one_table(table):
    first = ReadingList.open(table, LABELS)
    with pytest.raises(ScoringError, match='another window or process'):
        ReadingList.open(table, LABELS)
    first.close()
    ReadingList.open(table, LABELS).close()


def test_a_list_in_which_nothing_was_said_leaves_no_file(table):
    reading = ReadingList.open(table, LABELS)
    assert reading.path.exists()
    reading.close()
    assert not labels_path_of(table).exists()
    reading = ReadingList.open(table, LABELS)
    reading.set('a.png', ('normal',))
    reading.undo()  # can be done again
    reading.close()
    assert labels_path_of(table).exists()


@pytest.mark.parametrize('text', ['a diary\nof mine\n', 'a diary'])
def test_what_is_no_list_of_labels_is_left_alone(table, text):
    labels_path_of(table).write_text(text)
    with pytest.raises(ScoringError, match='no list of labels'):
        ReadingList.open(table, LABELS)
    assert labels_path_of(table).read_text() == text


def test_labels_of_other_classes_are_not_gone_on_with(table):
    reading = ReadingList.open(table, ('fracture', 'none'))
    reading.set('a.png', ('none',))
    reading.close()
    before = labels_path_of(table).read_bytes()
    with pytest.raises(ScoringError, match=r'other classes \(fracture, none\)'):
        ReadingList.open(table, LABELS)
    assert labels_path_of(table).read_bytes() == before


def test_a_folder_that_cannot_be_written(tmp_path):
    with pytest.raises(ScoringError, match='Copy the table to a folder'):
        ReadingList.open(tmp_path / 'gone' / 'ward.csv', LABELS)


def full_disk(*_):
    raise OSError(errno.ENOSPC, 'No space left on device')


@pytest.mark.parametrize('function', ['write', 'fsync'])
def test_with_a_full_disk_a_label_is_not_taken_as_said(table, monkeypatch, function):
    reading = ReadingList.open(table, LABELS)
    reading.set('a.png', ('normal',))
    before = reading.path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, function, full_disk)
        with pytest.raises(ScoringError, match=r'No space left.*not saved.*set it again'):
            reading.set('b.png', ('normal',))
        with pytest.raises(ScoringError, match='No space left'):
            reading.undo()
    assert reading.path.read_bytes() == before
    assert set(dict(reading)) == {'a.png'} and reading.undoable == 'a.png'
    reading.set('b.png', ('normal',))
    reading.close()
    assert set(reopened(table)) == {'a.png', 'b.png'}


class Told:
    """Hears of the saving, and waits for it."""

    def __init__(self):
        self.condition = threading.Condition()
        self.threads = set()

    def __call__(self):
        with self.condition:
            self.threads.add(threading.current_thread())
            self.condition.notify_all()

    def until(self, true):
        with self.condition:
            assert self.condition.wait_for(true, timeout=20)

    def ended(self):
        for thread in list(self.threads):
            thread.join(20)


def test_a_thread_saves_in_order_and_nobody_waits_for_it(table, monkeypatch):
    told, gate = Told(), threading.Event()
    real = os.fsync

    def slow(file):
        gate.wait(20)
        real(file)

    reading = ReadingList.open(table, LABELS, later=told)
    monkeypatch.setattr(os, 'fsync', slow)
    for i in range(30):
        reading.set(f'{i}.png', ('normal',))
    reading.undo()
    assert reading.unsaved == 31 and len(dict(reading)) == 29
    gate.set()
    told.until(lambda: reading.unsaved == 0)
    assert threading.current_thread() not in told.threads
    before = said(reading)
    reading.close()
    told.ended()
    assert reopened(table) == before


def test_what_could_not_be_saved_waits_until_it_can(table, monkeypatch):
    told = Told()
    reading = ReadingList.open(table, LABELS, later=told)
    with monkeypatch.context() as patch:
        patch.setattr(os, 'write', full_disk)
        reading.set('a.png', ('normal',))
        told.until(lambda: reading.problem)
        assert reading.unsaved == 1 and 'No space' in reading.problem
        told.ended()
    reading.set('b.png', ('normal',))  # takes the other along
    told.until(lambda: reading.unsaved == 0)
    assert not reading.problem
    reading.close()
    told.ended()
    assert set(reopened(table)) == {'a.png', 'b.png'}


def test_what_is_not_saved_is_tried_again_after_closing(table, monkeypatch):
    told = Told()
    reading = ReadingList.open(table, LABELS, later=told)
    with monkeypatch.context() as patch:
        patch.setattr(os, 'write', full_disk)
        reading.set('a.png', ('normal',))
        told.until(lambda: reading.problem)
        reading.close()
        with pytest.raises(ScoringError, match='another window'):
            ReadingList.open(table, LABELS)
        assert reading.unsaved == 1 and not reading.closed
    reading.retry()  # at once, rather than in a second
    told.until(lambda: reading.unsaved == 0)
    told.ended()
    assert reading.closed
    assert set(reopened(table)) == {'a.png'}


def test_to_close_it_is_to_save_first(table, monkeypatch):
    told, gate = Told(), threading.Event()
    reading = ReadingList.open(table, LABELS, later=told)
    real = os.fsync
    monkeypatch.setattr(os, 'fsync', lambda file: (gate.wait(20), real(file)))
    reading.set('a.png', ('normal',))
    reading.close()
    with pytest.raises(ScoringError, match='another window'):
        ReadingList.open(table, LABELS)
    gate.set()
    told.until(lambda: reading.unsaved == 0)
    told.ended()
    assert set(reopened(table)) == {'a.png'}


ROW = ScoreRow(
    0, 'a', 'scored', label='covid19', probabilities=(0.6, 0.3, 0.5), called=('normal',)
)


@pytest.mark.parametrize(
    ('row', 'options', 'expected'),
    [
        (ROW, {'multilabel': False}, ('covid19',)),
        (ROW, {'multilabel': False, 'decision': True}, ('covid19',)),
        (ROW, {'multilabel': True}, ('covid19', 'pneumonia')),
        (ROW, {'multilabel': True, 'decision': True}, ('normal',)),
        (ScoreRow(0, 'a', 'error', 'Why.'), {'multilabel': False}, ()),
        # What reaches its threshold, in the order of the classes; not what is probable.
        (
            replace(ROW, answer='pneumonia', above=('pneumonia', 'normal'), called=()),
            {'multilabel': True},
            ('normal', 'pneumonia'),
        ),
        (replace(ROW, answer='No finding', above=()), {'multilabel': True}, ()),
    ],
)
def test_what_the_model_says(row, options, expected):
    assert model_annotation(row, LABELS, **options) == expected


def test_an_entry_goes_through_json():
    entry = Annotation(('normal',), 'a note', 'labels', True, '2026-01-01T00:00:00+00:00')
    assert Annotation.from_dict(entry.to_dict()) == entry


def test_a_file_that_is_removed_while_it_is_opened_is_not_labelled_into_nothing(
    table, monkeypatch
):
    from napari_cxr.scoring.append_log import AppendLog

    real, taken = AppendLog._lock, []

    def lock(self):
        if not taken:  # another process closes its empty list just now
            taken.append(os.unlink(self.path))
        real(self)

    monkeypatch.setattr(AppendLog, '_lock', lock)
    reading = ReadingList.open(table, LABELS)
    reading.set('a.png', ('normal',))
    reading.close()
    assert taken and set(reopened(table)) == {'a.png'}


def test_behind_a_spoilt_first_line_all_labels_are_there(table):
    reading = ReadingList.open(table, LABELS)
    reading.set('a.png', ('normal',))
    reading.note('b.png', 'a rib?')
    before = said(reading)
    reading.close()
    path = labels_path_of(table)
    whole = path.read_bytes()
    for place in range(whole.index(b'\n')):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        reading = ReadingList.open(table, LABELS)
        assert reading.damaged >= 1 and said(reading) == before, place
        reading.set('c.png', ('covid19',))
        reading.close()
        assert set(reopened(table)) == {'a.png', 'b.png', 'c.png'}
    path.write_bytes(whole.replace(b'{"form"', b'{"farm"'))
    with pytest.raises(ScoringError, match=r'other classes \(fracture, normal\)'):
        ReadingList.open(table, ('fracture',))


def test_a_pipe_in_the_place_of_the_labels_is_refused_at_once(table):
    pytest.importorskip('fcntl')
    os.mkfifo(labels_path_of(table))
    with pytest.raises(ScoringError, match='not a file'):
        ReadingList.open(table, LABELS)


def test_a_line_that_is_nested_without_end_is_one_damaged_line(table):
    from napari_cxr.scoring.append_log import encode_line

    reading = ReadingList.open(table, LABELS)
    reading.set('a.png', ('normal',), agreed=True)
    reading.close()
    with labels_path_of(table).open('ab') as file:
        file.write(encode_line('[' * 10**5))
    reading = ReadingList.open(table, LABELS)
    assert said(reading).keys() == {'a.png'} and reading.damaged == 1
    reading.close()
