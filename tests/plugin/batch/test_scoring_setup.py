"""The setup of the Batch dock: it chooses what is plain, and says in place what is wrong."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from qtpy.QtCore import Qt

from napari_cxr.plugin.batch.scoring_request import (
    ImageCount,
    ScoreRequest,
    count_images,
    load_request,
    save_request,
)
from napari_cxr.plugin.batch.scoring_setup import ScoreSetup
from napari_cxr.plugin.preferences import preferences, save_preferences
from napari_cxr.scoring.journal import journal_of
from napari_cxr.scoring.scoring_checks import summarise_inputs


@pytest.fixture
def folder(tmp_path):
    """Sub-folders called as two of the tiny model's classes, and one that is not."""
    for name in ('Normal', 'pneumonia', 'other'):
        (tmp_path / 'chests' / name).mkdir(parents=True)
        (tmp_path / 'chests' / name / 'a.png').write_bytes(b'')
    return tmp_path / 'chests'


@pytest.fixture
def setup(qtbot, own_plugin, models, tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_DATA_HOME', str(tmp_path / 'data'))
    save_preferences(
        'batch', model='tiny', device='cpu', folder=str(tmp_path), images='', table=''
    )
    setup = ScoreSetup()
    qtbot.addWidget(setup)
    setup.scan_wanted.connect(lambda: look(setup))
    setup.show()
    return setup


def look(setup):
    setup.show_scan(summarise_inputs(setup.images.paths, setup.target.path))


def test_without_images_there_is_nothing_to_score(setup):
    assert setup.request() is None and 'Choose the images' in setup.reason


@pytest.mark.parametrize('how', ['column', 'folders'])
def test_one_split_can_be_chosen_where_splits_are_known(setup, folder, tmp_path, how):
    options = setup.options
    setup.set_images(str(folder))
    assert options.split.isHidden() and setup.request().split == ''
    if how == 'folders':
        images = tmp_path / 'split'
        for name in ('train', 'Test'):
            shutil.copytree(folder, images / name)
    else:
        images = tmp_path / 'list.csv'
        images.write_text('path,label,split\nchests/Normal/a.png,Normal,test\n')
    setup.set_images(str(images))
    assert not options.split.isHidden() and setup.request().split == ''
    options.split.setCurrentIndex(options.split.findData('test'))
    options.split.activated.emit(options.split.currentIndex())
    request = setup.request()
    assert request.split == request.arguments()['split'] == 'test'
    assert 'test images' in options.summary.text()
    assert ScoreRequest.from_json(request.to_json()) == request
    setup.set_images(str(folder))  # of which no split is known
    assert setup.request().split == '' and options.split.isHidden()
    setup.show_request(request)
    assert setup.request().split == 'test'


def test_a_folder_with_class_folders_is_measured_by_them(setup, folder, tmp_path):
    setup.set_images(str(folder))
    request = setup.request()
    assert request.labels == 'folders' and request.model == 'tiny' and request.device == 'cpu'
    assert request.out == str(tmp_path / 'chests-1.csv')
    assert 'Normal and pneumonia' in setup.labels.hint.text()
    assert 'no class other' in setup.labels.hint.text()


def test_folders_of_one_finding_are_the_finding_and_the_word_for_none(
    setup, tmp_path, models, findings_file
):
    for name in ('Opacity', 'no_opacity'):
        (tmp_path / 'one' / name).mkdir(parents=True)
    shutil.copy(findings_file(['opacity'], [0.4]), models / 'opacity.safetensors')
    setup.model.choose('opacity')
    setup.set_images(str(tmp_path / 'one'))
    assert setup.request().labels == 'folders'
    assert 'Opacity and no_opacity are classes of the model' in setup.labels.hint.text()


def test_what_a_person_chose_stays_and_goes_with_the_images(qtbot, setup, folder, tmp_path):
    setup.set_images(str(folder))
    setup.labels.kind.setCurrentIndex(0)
    setup.labels.kind.activated.emit(0)
    look(setup)
    assert setup.request().labels == ''
    (tmp_path / 'flat').mkdir()
    setup.images.line.clear()
    qtbot.keyClicks(setup.images.line, str(tmp_path / 'flat'))
    qtbot.keyClick(setup.images.line, Qt.Key.Key_Return)
    assert setup.request().out == str(tmp_path / 'flat-1.csv')
    setup.set_images(str(folder))
    assert setup.request().labels == 'folders'


def test_a_table_with_labels_says_so_and_another_in_the_folder_is_offered(setup, folder):
    table = folder / 'list.csv'
    table.write_text('path,label\nNormal/a.png,normal\n')
    setup.set_images(str(table))
    assert setup.labels.kind.itemText(0) == 'From the table'
    assert 'The table has labels' in setup.labels.hint.text() and setup.request().labels == ''
    setup.set_images(str(folder))
    assert 'list.csv in this folder has labels too' in setup.labels.hint.text()
    setup.labels.kind.setCurrentIndex(2)
    setup.labels.kind.activated.emit(2)
    assert setup.request().labels == str(table)


@pytest.mark.parametrize(
    ('path', 'words'),
    [
        ('chests.txt', 'ends in .csv|is called .csv'),
        ('chests', 'This is a folder'),
        ('there.csv', 'This table exists already'),
        ('there.csv/inside/scores.csv', 'is no folder; choose another'),
        ('new/scores.txt', 'is called .csv'),
    ],
)
def test_a_table_that_cannot_be_written_is_told_below_its_field(
    qtbot, setup, folder, tmp_path, path, words
):
    (tmp_path / 'there.csv').write_text('path\n')
    setup.set_images(str(folder))
    setup.target.line.clear()
    qtbot.keyClicks(setup.target.line, str(tmp_path / path))
    qtbot.keyClick(setup.target.line, Qt.Key.Key_Return)
    assert setup.request() is None
    assert any(word in setup.target.problem.text() for word in words.split('|'))
    assert setup.target.problem.isVisible() and setup.reason == setup.target.problem.text()


def test_a_place_where_nothing_can_be_written_is_told_below_its_field(
    setup, folder, tmp_path, monkeypatch
):
    setup.set_images(str(folder))
    target = setup.target
    target.show_path(str(tmp_path / 'new' / 'deep' / 'scores.csv'))
    look(setup)
    assert setup.request() is not None
    assert target.hint.text() == f'This folder will be created: {tmp_path / "new" / "deep"}'
    monkeypatch.setattr('os.access', lambda path, mode: False)
    look(setup)
    assert setup.request() is None
    assert f'Nothing can be written to {tmp_path};' in target.problem.text()


def test_how_many_images_there_are_is_told(setup, folder):
    setup.set_images(str(folder))
    images, path = setup.images, str(folder)
    assert setup.needs_count and not images.hint.text() and setup.request() is not None
    setup.show_count(ImageCount(path, 1200, whole=False))
    assert images.hint.text() == 'more than 1,200 images' and setup.needs_count
    setup.show_count(ImageCount(str(folder / 'other'), 1, whole=True))  # of another folder
    assert images.hint.text() == 'more than 1,200 images'
    setup.show_count(ImageCount(path, 1234, whole=True))
    assert images.hint.text() == '1,234 images' and not setup.needs_count
    setup.set_images(str(folder / 'other'))
    assert not images.hint.text() and setup.needs_count
    setup.show_count(ImageCount(str(folder / 'other'), 0, whole=True))
    assert 'There are no images in other' in images.problem.text() == setup.reason
    assert setup.needs_count  # some may be put there


def test_a_count_is_given_up_after_a_while(tmp_path, monkeypatch):
    for name in ('a.png', 'b.dcm', 'c.txt', 'd/e.jpg'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b'')
    path = str(tmp_path)
    assert list(count_images(path)) == [ImageCount(path, 3, whole=True)]
    monkeypatch.setattr('napari_cxr.plugin.batch.scoring_request._PAUSE', -1.0)
    told = [each.images for each in count_images(path)]
    assert len(told) == 5 and told == sorted(told) and told[-1] == 3
    monkeypatch.setattr('napari_cxr.plugin.batch.scoring_request._PATIENCE', -1.0)
    assert list(count_images(path)) == []


def test_a_path_that_is_typed_counts_as_soon_as_it_is_there(qtbot, setup, folder):
    images = setup.images
    qtbot.keyClicks(images.line, str(folder)[:-1])
    with qtbot.waitSignal(images._pause.timeout):
        pass
    assert not images.problem.text()  # there is no such thing yet, and nobody says so
    with qtbot.waitSignal(images.chosen):
        qtbot.keyClicks(images.line, str(folder)[-1])
    assert setup.request().paths == (str(folder),) and images.line.text() == str(folder)


def test_images_that_are_gone_are_told_below_their_field(setup, folder):
    setup.set_images(str(folder / 'nothing'))
    assert setup.request() is None and 'nothing does not exist' in setup.images.problem.text()
    setup.set_images(str(folder))
    assert not setup.images.problem.isVisible() and setup.request() is not None


def test_a_table_that_was_begun_is_resumed(setup, folder, tmp_path):
    setup.set_images(str(folder))
    assert not setup.will_resume
    journal_of(tmp_path / 'chests-1.csv').write_text('')
    look(setup)
    assert setup.will_resume and 'started earlier' in setup.target.hint.text()
    setup.propose_table()
    assert setup.target.path == str(tmp_path / 'chests-2.csv') and not setup.will_resume


def test_labels_that_are_missing_are_told(setup, folder):
    setup.set_images(str(folder / 'other'))
    setup.labels.show_value('folders')
    look(setup)
    assert 'no sub-folders' in setup.labels.problem.text() and setup.request() is None
    setup.labels.show_value(str(folder / 'none.csv'))
    assert 'does not exist' in setup.labels.problem.text() and setup.request() is None


def test_naming_patients_warns_and_is_never_remembered(setup, folder):
    options = setup.options
    options.set_open(True)
    setup.set_images(str(folder))
    assert not options.warning.isVisible()
    options.identify.click()
    assert options.warning.isVisible() and setup.request().identify
    setup.remember()
    assert not hasattr(preferences('batch'), 'identify')
    again = ScoreSetup()
    assert not again.options.identify.isChecked()
    assert again.images.paths == (str(folder),)
    again.deleteLater()


def test_pictures_go_beside_the_table_unless_a_person_says_where(setup, folder, tmp_path):
    setup.set_images(str(folder))
    setup.options.pictures.click()
    assert setup.request().heatmaps == str(tmp_path / 'chests-1-heatmaps')
    assert not setup.options.shares.isEnabled()
    setup.options.pictures.click()
    assert setup.request().heatmaps == ''


def test_several_files_are_counted_in_the_line(setup, folder, tmp_path):
    files = [str(folder / name / 'a.png') for name in ('Normal', 'other')]
    setup.set_images(*files)
    assert setup.images.line.text() == f'2 files in {folder / "Normal"}'
    assert setup.request().paths == tuple(files)


def test_a_request_is_kept_under_its_table_and_shown_again(setup, folder, tmp_path):
    setup.set_images(str(folder))
    request = ScoreRequest(
        paths=(str(folder),),
        out=str(tmp_path / 'mine.jsonl'),
        model='tiny',
        labels='folders',
        device='cpu',
        shares=False,
        batch=3,
        precision='float32',
    )
    save_request(request)
    assert load_request(request.out) == request
    assert load_request(str(tmp_path / 'another.csv')) is None
    setup.show_request(request)
    assert setup.request() == request
    (kept,) = Path(tmp_path / 'data').rglob('*.json')
    kept.write_text('{"paths": 3}')
    assert load_request(request.out) is None


def test_thresholds_are_those_of_the_model(setup):
    decision = setup.options.decision
    assert not decision.isEnabled() and decision.count() == 1
    setup.model.choose('cxr3-lung-texture')
    names = [decision.itemText(i) for i in range(decision.count())]
    assert setup.current_card.operating_points and len(names) > 1 and decision.isEnabled()


def test_a_prevalence_is_stated_where_the_card_has_one(setup, folder):
    options = setup.options
    setup.set_images(str(folder))
    assert not options.prior.isEnabled() and setup.request().prior == ''
    prevalence = {'covid19': 0.2, 'normal': 0.3, 'pneumonia': 0.5}
    options.offer_prevalence(replace(setup.current_card, prevalence=prevalence))
    assert options.prior.isEnabled() and 'normal=0.3' in options.prior.placeholderText()
    options.prior.setText('normal=1.5')
    assert setup.request() is None and 'CLASS=FRACTION' in options.prior_field.problem.text()
    options.prior.setText('other=0.5')
    assert 'no class' in setup.reason
    options.prior.setText('normal=0.9, pneumonia=0.05')
    request = setup.request()
    assert request.arguments()['settings']['prior'] == {'normal': 0.9, 'pneumonia': 0.05}
    assert ScoreRequest.from_json(request.to_json()) == request
    options.prior.clear()
    setup.options.show_request(request)
    assert setup.request() == request
