"""What was read can be trained on as it is: as a table, and as folders of links."""

import csv
import os
import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from napari_cxr.scoring import ScoreRow, ScoringError
from napari_cxr.scoring.annotation import Annotation, folder_export
from napari_cxr.scoring.annotation.csv_export import PatientNumbers, export_csv
from napari_cxr.scoring.annotation.folder_export import PATIENT_PATTERN, export_folders
from napari_cxr.scoring.score_row import ScoringRun
from napari_cxr.training import index
from napari_cxr.training.dataset import DatasetError
from napari_cxr.training.recipe.data_sections import DataRecipe

RUN = ScoringRun('tiny', 'abc', ('covid19', 'normal', 'pneumonia'), {}, '1.0', truth=True)
SEVERAL = replace(RUN, multilabel=True, truth=False)
WHEN = '2026-01-01T00:00:00+00:00'


def entry(*labels, **more):
    return Annotation(labels, **{'answer': 'labels', 'when': WHEN, **more})


def run_to_end(saving):
    """The result, with the shares that were told on the way."""
    shares = []
    while True:
        try:
            shares.append(next(saving))
        except StopIteration as end:
            assert shares == sorted(shares) and shares[0] >= 0 and shares[-1] < 1
            return end.value


@pytest.fixture
def ward(tmp_path):
    """Six images in two folders, of three patients; two have the same name."""
    folder = tmp_path / 'ward'
    names = ['a/1.png', 'a/2.png', 'b/1.png', 'b/3.png', 'b/.4.png', 'b/5']
    rows = []
    for i, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 256, (8, 8), np.uint8)
        iio.imwrite(folder / name, pixels, extension='.png')
        rows.append(
            ScoreRow(
                i, str(folder / name), 'scored', label='normal', probabilities=(0.1, 0.8, 0.1),
                truth='normal', source='Ulm' if i < 3 else 'Bonn', patient=f'Miller {i // 2}',
                view='PA',
            )
        )  # fmt: skip
    return rows


@pytest.fixture
def entries(ward):
    labels = ['normal', 'pneumonia', 'normal', 'covid19', 'normal', 'pneumonia']
    found = {
        row.path: entry(label, agreed=label == 'normal')
        for row, label in zip(ward, labels, strict=True)
    }
    found[ward[1].path] = entry('pneumonia', note='left, "basal";\nold?')
    return found


def lines_of(path):
    with open(path, newline='', encoding='utf-8') as file:
        return list(csv.DictReader(file))


def test_a_csv_says_what_was_said(tmp_path, ward, entries):
    out = tmp_path / 'labels.csv'
    saved = run_to_end(export_csv(out, ward, entries, RUN, tmp_path / 't.csv'))
    assert (saved.path, saved.images, saved.remarks) == (str(out), 6, ())
    lines = lines_of(out)
    assert lines[1] == {
        'path': 'ward/a/2.png', 'label': 'pneumonia', 'note': 'left, "basal";\nold?',
        'answer': 'labels', 'agreed': 'no', 'model_label': 'normal', 'model': 'tiny',
        'model_hash': 'abc', 'read_at': WHEN, 'view': 'PA', 'truth': 'normal', 'source': 'Ulm',
        'patient': 'patient 1',
    }  # fmt: skip
    assert lines[0]['agreed'] == 'yes'
    assert [line['patient'][-1] for line in lines] == list('112233')
    assert 'Miller' not in out.read_text(encoding='utf-8')


def test_a_csv_can_be_trained_on(tmp_path, ward, entries):
    out = tmp_path / 'labels.csv'
    run_to_end(export_csv(out, ward, entries, RUN, tmp_path / 't.csv'))
    data = index(out)
    assert [str(s.path) for s in data.samples] == [row.path for row in ward]
    assert [s.label for s in data.samples] == [entries[row.path].labels[0] for row in ward]
    assert data.grouped and not data.multilabel
    assert len({s.group for s in data.samples}) == 3
    assert [s.source for s in data.samples] == ['Ulm'] * 3 + ['Bonn'] * 3
    # From elsewhere, its paths are whole.
    away = tmp_path / 'away'
    away.mkdir()
    run_to_end(export_csv(away / 'x.csv', ward, entries, RUN, tmp_path / 't.csv'))
    assert [s.path for s in index(away / 'x.csv').samples] == [s.path for s in data.samples]


def test_nothing_is_said_of_patients_and_sources_that_nobody_knows(tmp_path, ward, entries):
    bare = [replace(row, patient='', source='') for row in ward]
    run_to_end(export_csv(tmp_path / 'x.csv', bare, entries, RUN, tmp_path / 't.csv'))
    assert not {'patient', 'source'} & set(lines_of(tmp_path / 'x.csv')[0])
    assert not index(tmp_path / 'x.csv').grouped
    named = [replace(row, patient='', identity={'patient_id': 'M 1'}) for row in ward]
    run_to_end(export_csv(tmp_path / 'y.csv', named, entries, RUN, tmp_path / 't.csv'))
    assert {line['patient'] for line in lines_of(tmp_path / 'y.csv')} == {'patient 1'}


def test_several_labels_and_none(tmp_path, ward):
    said = {
        ward[0].path: entry('covid19', 'pneumonia'),
        ward[1].path: entry('pneumonia'),
        ward[2].path: entry(),
    }
    saved = run_to_end(export_csv(tmp_path / 'x.csv', ward, said, SEVERAL, tmp_path / 't.csv'))
    assert saved.images == 3 and "have the label 'No finding'" in saved.remarks[0]
    data = index(tmp_path / 'x.csv')
    assert data.multilabel
    assert [s.labels for s in data.samples] == [
        ('covid19', 'pneumonia'), ('pneumonia',), ('No finding',),
    ]  # fmt: skip
    own = replace(SEVERAL, labels=('covid19', 'No Finding', 'pneumonia'))
    run_to_end(export_csv(tmp_path / 'y.csv', ward, said, own, tmp_path / 't.csv'))
    assert lines_of(tmp_path / 'y.csv')[2]['label'] == 'No Finding'
    with pytest.raises(ScoringError, match='in one folder only: export a CSV'):
        run_to_end(export_folders(tmp_path / 'x', ward, said, SEVERAL, tmp_path / 't.csv'))


OPACITY = replace(
    SEVERAL, labels=('opacity',),
    rule={'thresholds': {'opacity': 0.4}, 'negative': 'no opacity', 'undecided': {}},
)  # fmt: skip


def test_one_finding_and_the_word_for_none_are_two_classes_to_train_on(tmp_path, ward):
    rows = [
        replace(row, probabilities=(0.1,), label='no opacity', answer='no opacity', above=())
        for row in ward
    ]
    said = {rows[0].path: entry('opacity'), rows[1].path: entry(), rows[2].path: entry()}
    saved = run_to_end(export_csv(tmp_path / 'x.csv', rows, said, OPACITY, tmp_path / 't.csv'))
    assert "have the label 'no opacity'" in saved.remarks[0]
    lines = lines_of(tmp_path / 'x.csv')
    assert [line['label'] for line in lines] == ['opacity', 'no opacity', 'no opacity']
    assert {line['model_label'] for line in lines} == {'no opacity'}
    data = index(tmp_path / 'x.csv')
    assert data.labels == ('no opacity', 'opacity') and not data.multilabel
    saved = run_to_end(export_folders(tmp_path / 'y', rows, said, OPACITY, tmp_path / 't.csv'))
    folders = {p.name: len(list(p.iterdir())) for p in (tmp_path / 'y').iterdir() if p.is_dir()}
    assert saved.images == 3 and folders == {'opacity': 1, 'no opacity': 2}


def test_what_is_unsure_unread_or_gone_is_left_out_and_told(tmp_path, ward, entries):
    del entries[ward[0].path]
    entries[ward[1].path] = Annotation((), '', 'unsure')
    entries[ward[2].path] = Annotation((), 'a note only')
    os.remove(ward[3].path)
    os.symlink(ward[4].path, tmp_path / 'again.png')
    rows = [*ward, replace(ward[4], number=6, path=str(tmp_path / 'again.png'))]
    entries[rows[-1].path] = entries[ward[4].path]
    saved = run_to_end(export_csv(tmp_path / 'x.csv', rows, entries, RUN, tmp_path / 't.csv'))
    assert [line['path'] for line in lines_of(tmp_path / 'x.csv')] == ['ward/b/.4.png', 'ward/b/5']
    assert saved.remarks == (
        'Left out: 1 image whose file is not there.',
        'Left out: 1 link to a file that is there.',
        'Left out: 1 image that you are unsure of.',
    )
    # All that was said, to look through.
    saved = run_to_end(
        export_csv(tmp_path / 'all.csv', rows, entries, RUN, tmp_path / 't.csv', everything=True)
    )
    lines = lines_of(tmp_path / 'all.csv')
    assert saved.images == len(lines) == 6 and not saved.remarks
    assert [(line['answer'], line['label'], line['agreed']) for line in lines[:3]] == [
        ('unsure', '', ''), ('', '', ''), ('labels', 'covid19', 'no'),
    ]  # fmt: skip
    assert lines[1]['note'] == 'a note only'


def test_one_file_with_two_answers_is_refused(tmp_path, ward, entries):
    os.symlink(ward[0].path, tmp_path / 'again.png')
    rows = [*ward, replace(ward[0], number=6, path=str(tmp_path / 'again.png'))]
    entries[rows[-1].path] = entry('covid19')
    for export, out in ((export_csv, 'x.csv'), (export_folders, 'x')):
        with pytest.raises(ScoringError, match='one and the same file'):
            run_to_end(export(tmp_path / out, rows, entries, RUN, tmp_path / 't.csv'))
        assert not (tmp_path / out).exists()


def test_paths_are_found_from_here_and_from_the_table(tmp_path, ward, entries, monkeypatch):
    rows = [replace(row, path=os.path.relpath(row.path, tmp_path)) for row in ward]
    said = {os.path.relpath(path, tmp_path): one for path, one in entries.items()}
    (tmp_path / 'out').mkdir()
    for here, table in ((tmp_path, tmp_path / 'out' / 't.csv'), ('/', tmp_path / 't.csv')):
        monkeypatch.chdir(here)
        out = tmp_path / 'out' / 'x.csv'
        assert run_to_end(export_csv(out, rows, said, RUN, table)).images == 6
        assert len(index(out).samples) == 6


def test_labels_that_cannot_stand_in_a_csv(tmp_path, ward):
    run = replace(RUN, labels=('a|b', 'c'))
    said = {ward[0].path: entry('a|b'), ward[1].path: entry('c')}
    with pytest.raises(ScoringError, match='export folders instead'):
        run_to_end(export_csv(tmp_path / 'x.csv', ward, said, run, tmp_path / 't.csv'))


def test_a_name_that_is_no_text_is_left_out(tmp_path, ward, entries):
    odd = ward[0].path.replace('1.png', 'na\udcffme.png')
    try:
        os.rename(ward[0].path, odd)
    except (OSError, UnicodeError):
        pytest.skip('this file system takes text only')
    rows = [replace(ward[0], path=odd), *ward[1:]]
    entries[odd] = entries[ward[0].path]
    saved = run_to_end(export_csv(tmp_path / 'x.csv', rows, entries, RUN, tmp_path / 't.csv'))
    assert saved.images == 5 == len(lines_of(tmp_path / 'x.csv'))
    assert saved.remarks == ('Left out: 1 image whose name cannot stand in a CSV.',)


@pytest.mark.parametrize(('export', 'out'), [(export_csv, 'x.csv'), (export_folders, 'x')])
def test_nothing_to_export(tmp_path, ward, export, out):
    with pytest.raises(ScoringError, match=r'no image with a label yet.*unsure'):
        run_to_end(
            export(
                tmp_path / out,
                ward,
                {ward[0].path: Annotation((), '', 'unsure')},
                RUN,
                tmp_path / 't',
            )
        )


@pytest.mark.parametrize(('export', 'out'), [(export_csv, 'x.csv'), (export_folders, 'x')])
def test_whoever_cancels_leaves_nothing_behind(tmp_path, ward, entries, export, out, monkeypatch):
    monkeypatch.setattr('napari_cxr.scoring.annotation.csv_export._PACE', 1)
    monkeypatch.setattr('napari_cxr.scoring.annotation.folder_export._PACE', 1)
    before = set(os.listdir(tmp_path))
    steps = 1 + sum(1 for _ in export(tmp_path / out, ward, entries, RUN, tmp_path / 't'))
    for step in range(steps):
        if (tmp_path / out).is_dir():
            shutil.rmtree(tmp_path / out)
        else:
            (tmp_path / out).unlink(missing_ok=True)
        with closing(export(tmp_path / out, ward, entries, RUN, tmp_path / 't')) as saving:
            for _ in range(step):
                next(saving)
        assert set(os.listdir(tmp_path)) == before, step


@pytest.mark.parametrize(('export', 'out'), [(export_csv, 'x.csv'), (export_folders, 'x')])
def test_where_nothing_can_be_written(tmp_path, ward, entries, export, out):
    with pytest.raises(ScoringError, match=r'cannot be written|no folder'):
        run_to_end(export(tmp_path / 'gone' / out, ward, entries, RUN, tmp_path / 't'))


# -- folders ------------------------------------------------------------------------------


def test_folders_can_be_trained_on(tmp_path, ward, entries):
    out = tmp_path / 'tree'
    saved = run_to_end(export_folders(out, ward, entries, RUN, tmp_path / 't.csv'))
    assert saved.images == 6 and PATIENT_PATTERN in saved.remarks[0]
    assert saved.patient == PATIENT_PATTERN
    found = {p.relative_to(out).as_posix(): Path(os.readlink(p)) for p in out.glob('*/*')}
    assert found == {
        'normal/p00001-1.png': Path(ward[0].path),
        'pneumonia/p00001-2.png': Path(ward[1].path),
        'normal/p00002-1.png': Path(ward[2].path),
        'covid19/p00002-3.png': Path(ward[3].path),
        'normal/p00003-4.png': Path(ward[4].path),
        'pneumonia/p00003-5': Path(ward[5].path),
    }
    data = index(out)
    assert data.labels == RUN.labels and len(data.samples) == 6 and not data.grouped
    data = index(out, DataRecipe(patient=PATIENT_PATTERN))
    assert data.grouped and len({s.group for s in data.samples}) == 3
    readme = (out / 'README.txt').read_text(encoding='utf-8')
    assert '6 radiographs' in readme and 'normal: 3' in readme and 'clinical' in readme
    assert 'Miller' not in readme and str(tmp_path) not in readme


def test_images_that_lie_in_no_one_folder_are_left_out(tmp_path, ward, entries):
    entries[ward[0].path] = entry()
    entries[ward[1].path] = entry('covid19', 'pneumonia')
    out = tmp_path / 'tree'
    saved = run_to_end(export_folders(out, ward, entries, RUN, tmp_path / 't.csv'))
    assert saved.images == 4 and len(list(out.glob('*/*'))) == 4
    assert 'Left out: 2 images with no class, or with several.' in saved.remarks
    only = {path: one for path, one in entries.items() if len(one.labels) != 1}
    with pytest.raises(ScoringError, match='no image with one class'):
        run_to_end(export_folders(tmp_path / 'x', ward, only, RUN, tmp_path / 't.csv'))


def test_a_number_of_a_table_is_not_what_a_header_calls_a_patient():
    patients = PatientNumbers()
    first = ScoreRow(0, 'a.png', 'scored', patient='1')
    other = ScoreRow(1, 'b.dcm', 'scored', identity={'patient_id': '1'})
    again = ScoreRow(2, 'c.dcm', 'scored', patient='1', identity={'patient_id': 'DOE'})
    nobody = ScoreRow(3, 'd.png', 'scored')
    assert [patients.number(row) for row in (first, other, again, nobody)] == [1, 2, 1, 0]
    assert len(patients) == 2


def test_names_are_unique_whatever_their_case(tmp_path, ward, entries):
    rows = [replace(row, patient='') for row in ward]
    saved = run_to_end(export_folders(tmp_path / 'tree', rows, entries, RUN, tmp_path / 't.csv'))
    assert sorted(os.listdir(tmp_path / 'tree' / 'normal')) == ['1-2.png', '1.png', '4.png']
    assert saved.remarks == ('Folders cannot say which images are of one patient.',)
    assert len(index(tmp_path / 'tree').samples) == 6


@pytest.mark.skipif(os.name == 'nt', reason='paths are shorter there')
def test_a_long_name_has_room_for_the_number_of_its_patient(tmp_path, ward, entries):
    names = [f'{"ü" * 125}.png', f'{"ü" * 125}.PNG']
    for place, name in enumerate(names):
        old, new = Path(ward[place].path), tmp_path / name
        entries[str(new)] = entries.pop(str(old))
        ward[place] = replace(ward[place], path=str(old.rename(new)))
        entries[str(new)] = entry('normal')
    run_to_end(export_folders(tmp_path / 'out', ward, entries, RUN, tmp_path / 'ward.csv'))
    links = [p for p in (tmp_path / 'out' / 'normal').iterdir() if 'ü' in p.name]
    assert {link.resolve() for link in links} == {tmp_path / name for name in names}
    assert all(link.is_symlink() and link.name.startswith('p0000') for link in links)


def test_one_class_is_too_few_to_train_and_told(tmp_path, ward):
    said = {row.path: entry('normal') for row in ward}
    saved = run_to_end(export_folders(tmp_path / 'tree', ward, said, RUN, tmp_path / 't.csv'))
    assert 'a second class is needed' in saved.remarks[0]
    with pytest.raises(DatasetError, match='at least two'):
        index(tmp_path / 'tree')


def no_links(*_):
    raise OSError(1314, 'A required privilege is not held by the client')


@pytest.mark.parametrize('broken', [1, 2])
def test_without_links_they_are_hard_links_or_copies(tmp_path, ward, entries, monkeypatch, broken):
    ways = [(words, no_links if i < broken else way) for i, (words, way) in
            enumerate(folder_export._LINKS)]  # fmt: skip
    monkeypatch.setattr(folder_export, '_LINKS', tuple(ways))
    out = tmp_path / 'tree'
    saved = run_to_end(export_folders(out, ward, entries, RUN, tmp_path / 't.csv'))
    words = {1: 'hard links', 2: 'copies'}[broken]
    assert saved.remarks[0] == f'No links can be made here: some or all of these are {words}.'
    one = out / 'covid19' / 'p00002-3.png'
    assert not one.is_symlink() and one.read_bytes() == Path(ward[3].path).read_bytes()
    assert os.path.samefile(one, ward[3].path) == (broken == 1)
    assert len(index(out).samples) == 6


def test_a_full_disk_leaves_nothing_behind(tmp_path, ward, entries, monkeypatch):
    monkeypatch.setattr(folder_export, '_LINKS', (('copies', no_links),))
    with pytest.raises(ScoringError, match='Choose another place, or make room'):
        run_to_end(export_folders(tmp_path / 'tree', ward, entries, RUN, tmp_path / 't.csv'))
    assert os.listdir(tmp_path) == ['ward']


def test_a_folder_with_something_in_it_is_refused_and_an_empty_one_is_not(tmp_path, ward, entries):
    out = tmp_path / 'tree'
    out.mkdir()
    run_to_end(export_folders(out, ward, entries, RUN, tmp_path / 't.csv'))
    before = sorted(out.glob('**/*'))
    with pytest.raises(ScoringError, match='choose a new folder'):
        run_to_end(export_folders(out, ward, entries, RUN, tmp_path / 't.csv'))
    assert sorted(out.glob('**/*')) == before


@pytest.mark.parametrize('label', ['Nodule/Mass', '_none', '.x', 'why?', 'x '])
def test_classes_that_no_folder_can_be_called(tmp_path, ward, label):
    run = replace(RUN, labels=(label, 'normal'))
    with pytest.raises(ScoringError, match='export a CSV instead'):
        run_to_end(
            export_folders(
                tmp_path / 'x', ward, {ward[0].path: entry(label)}, run, tmp_path / 't.csv'
            )
        )
    assert not (tmp_path / 'x').exists()


def test_the_table_of_scores_is_not_overwritten(tmp_path, ward, entries):
    table = tmp_path / 'ward.csv'
    table.write_text('scores')
    with pytest.raises(ScoringError, match='the table of the scores itself'):
        run_to_end(export_csv(tmp_path / 'ward' / '..' / 'ward.csv', ward, entries, RUN, table))
    assert table.read_text() == 'scores'


def test_a_note_from_another_system_breaks_no_row(tmp_path, ward, entries):
    entries[ward[0].path] = entry('normal', note='left\rright')
    out = tmp_path / 'labels.csv'
    run_to_end(export_csv(out, ward, entries, RUN, tmp_path / 'ward.csv'))
    lines = lines_of(out)
    assert len(lines) == len(ward) and lines[0]['note'] == 'left\rright'
