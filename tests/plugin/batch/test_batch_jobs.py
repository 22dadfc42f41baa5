"""Copies of a table."""

import pytest

from napari_cxr.plugin.batch import batch_jobs
from napari_cxr.scoring import ScoreRow, ScoringError, table_reader, table_writer
from napari_cxr.scoring.annotation.reading_list import ReadingList
from napari_cxr.scoring.score_row import ScoringRun


@pytest.fixture
def table(tmp_path):
    run = ScoringRun('tiny', 'abc', ('covid19', 'normal'), {'height': 97}, '1.0')
    row = ScoreRow(0, 'a.png', 'scored', label='normal', probabilities=(0.25, 0.75))
    table_writer.write_table(tmp_path / 't.csv', [row], run)
    return tmp_path / 't.csv'


def saved(table, path):
    return batch_jobs.save_table_as(str(table), str(path))


def label(table, name):
    reading = ReadingList.open(table, ('covid19', 'normal'))
    reading.set(name, ('normal',))
    reading.close()


def test_not_beside_labels_of_another_table_but_beside_its_own(tmp_path, table):
    other = tmp_path / 'other.jsonl'
    assert saved(table, other) == batch_jobs.TableSaved(str(other), 1)
    assert [row.path for row in table_reader.read_rows(other)[1]] == ['a.png']
    label(other, 'a.png')
    before = other.read_bytes()
    with pytest.raises(ScoringError, match='in another table of this name'):
        saved(table, other)
    assert other.read_bytes() == before
    label(table, 'a.png')
    assert saved(table, table) == batch_jobs.TableSaved(str(table), 1)
