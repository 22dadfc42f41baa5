"""A copy of a table takes no name beside which somebody else's rows or labels lie."""

import pytest

from napari_cxr.scoring import ScoringError, journal_of
from napari_cxr.scoring.reading.reading_list import ReadingList, labels_of
from napari_cxr.scoring.saving import check_save_as


def test_labels_of_another_table_are_not_taken_for_those_of_a_copy(tmp_path):
    other = tmp_path / 'other.csv'
    check_save_as(other)
    other.touch()
    check_save_as(other)
    reading = ReadingList.open(other, ('normal',))
    reading.set('a.png', ('normal',))
    reading.close()
    with pytest.raises(ScoringError, match=r'another table of this name.*other\.csv\.labels away'):
        check_save_as(other)
    labels_of(other).rename(tmp_path / 'mine')
    check_save_as(other)


def test_rows_of_a_stopped_run_are_not_taken_for_those_of_a_copy(tmp_path):
    journal_of(tmp_path / 't.csv').touch()
    with pytest.raises(ScoringError, match='begun by scoring and is not finished'):
        check_save_as(tmp_path / 't.csv')


def test_a_copy_is_called_as_a_table(tmp_path):
    with pytest.raises(ScoringError, match=r'called \.csv'):
        check_save_as(tmp_path / 't.xls')
