"""Where files are and tables and heatmaps go: what does not fit together is said first."""

import shutil
import sys

import pytest

from napari_cxr.inference.preprocessing import Preprocessing
from napari_cxr.radiograph import UnreadableImage
from napari_cxr.scoring import (
    RowScored,
    ScoringError,
    ScoringFinished,
    ScoringSettings,
    check_heatmaps,
    journal_of,
    list_items,
    score,
)
from napari_cxr.scoring.annotation.readers import labels_path_of
from napari_cxr.scoring.annotation.reading_list import ReadingList
from napari_cxr.scoring.image_preparation import PrepareOptions, prepare_here, prepare_image
from napari_cxr.scoring.scoring_checks import check_save_as

FOUR = ScoringSettings(batch=4)


def test_heatmaps_do_not_go_where_they_are_taken_for_radiographs(folder, tmp_path):
    out = tmp_path / 't.csv'
    for inside in (folder, folder / 'maps', folder / 'normal' / 'x' / 'y'):
        with pytest.raises(ScoringError, match='taken for radiographs when you resume'):
            check_heatmaps(inside, out, [tmp_path / 'list.txt', folder])
    check_heatmaps(tmp_path / 'maps', out, [folder])
    check_heatmaps(folder / 'maps', out, [folder / 'normal', folder / 'normal' / '1.png'])
    (tmp_path / 'maps').touch()
    for taken in (tmp_path / 'maps', tmp_path / 'maps' / 'x'):
        with pytest.raises(ScoringError, match=r'is no folder|cannot be made in'):
            check_heatmaps(taken, out, [folder])
    assert not (folder / 'maps').exists(), 'looking makes nothing'


def test_relative_paths_of_another_folder_are_not_gone_on_with(
    folder, classifier, tmp_path, monkeypatch
):
    monkeypatch.chdir(folder)
    events = score(list_items(['normal']), classifier, tmp_path / 'x.csv', prepare_here, FOUR)
    while not isinstance(next(events), RowScored):
        pass
    events.close()
    shutil.copytree(folder, tmp_path / 'other')
    monkeypatch.chdir(tmp_path / 'other')  # where the same names are other files
    again = [list_items(['normal']), classifier, tmp_path / 'x.csv', prepare_here, FOUR]
    with pytest.raises(ScoringError, match='another folder in which relative paths begin'):
        list(score(*again, resume=True))
    monkeypatch.chdir(folder)
    assert isinstance(list(score(*again, resume=True))[-1], ScoringFinished)


@pytest.mark.skipif(sys.platform == 'win32', reason='paths may be long there')
def test_what_cannot_even_be_looked_at_says_why(tmp_path):
    with pytest.raises(UnreadableImage, match='cannot be opened: File name too long'):
        prepare_image(tmp_path / ('x' * 300), PrepareOptions(Preprocessing(97, 97)))


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
    labels_path_of(other).rename(tmp_path / 'mine')
    check_save_as(other)


def test_rows_of_a_stopped_run_are_not_taken_for_those_of_a_copy(tmp_path):
    journal_of(tmp_path / 't.csv').touch()
    with pytest.raises(ScoringError, match='begun by scoring and is not finished'):
        check_save_as(tmp_path / 't.csv')


def test_a_copy_is_called_as_a_table(tmp_path):
    with pytest.raises(ScoringError, match=r'called \.csv'):
        check_save_as(tmp_path / 't.xls')
