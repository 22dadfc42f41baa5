"""Folders and tables become rows, or say what is wrong with them."""

import pytest
from labelled_images import write_image, write_table

from napari_cxr.training import DatasetError, index


def test_a_manifest_in_any_case_of_letters(folder):
    dataset = index(folder)
    assert dataset.labels == ('left', 'right')
    assert len(dataset.samples) == 24
    assert dataset.grouped
    assert dataset.has_splits
    first = dataset.samples[0]
    assert first.path == folder / 'left' / '0.png'
    assert (first.group, first.split, first.source, first.view) == (
        'DOE^JOHN0left',
        'train',
        'a',
        'PA',
    )
    assert dataset.samples[-1].split == 'test'
    assert sum((s.split, s.label) == ('val', 'left') for s in dataset.samples) == 2
    assert index(folder / 'manifest.csv') == dataset


def test_one_folder_a_class_with_others_nested(tmp_path):
    write_image(tmp_path / 'b' / 'deep' / '1.png', 'left', 0)
    write_image(tmp_path / 'a' / '1.png', 'left', 0)
    (tmp_path / '.hidden').mkdir()
    dataset = index(tmp_path)
    assert [(s.label, s.group) for s in dataset.samples] == [
        ('a', 'a/1.png'),
        ('b', 'b/deep/1.png'),
    ]
    assert not dataset.grouped
    assert not dataset.has_splits


def test_the_group_goes_before_the_patient_and_who_has_none_is_alone(tmp_path):
    for i in range(3):
        write_image(tmp_path / f'{i}.png', 'left', i)
    rows = [
        {'path': '0.png', 'label': 'a', 'patient_id': 'p', 'split_group': '7'},
        {'path': '1.png', 'label': 'b', 'patient_id': 'p', 'split_group': ''},
        {'path': '2.png', 'label': 'b', 'patient_id': 'p', 'split_group': ''},
    ]
    write_table(tmp_path / 'manifest.csv', rows)
    groups = [sample.group for sample in index(tmp_path).samples]
    assert groups[0] == '7'
    assert len(set(groups)) == 3


def test_what_is_wrong_is_said(tmp_path):
    def refused(message):
        with pytest.raises(DatasetError, match=message):
            index(tmp_path)

    refused('no sub-folders')
    (tmp_path / 'empty').mkdir()
    refused("'empty' holds no image")
    (tmp_path / 'empty').rmdir()
    write_image(tmp_path / 'normal' / '1.png', 'left', 0)
    refused('at least two classes')
    write_image(tmp_path / 'NORMAL2' / '1.png', 'left', 0)
    assert index(tmp_path).labels == ('NORMAL2', 'normal')
    with pytest.raises(DatasetError, match='neither a folder'):
        index(tmp_path / 'nowhere')


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'path': ''}, 'Line 3 of manifest.csv has no path'),
        ({'label': ' '}, 'Line 3 of manifest.csv has no path or no label'),
        ({'split': 'tset'}, "split 'tset'; it must be"),
        ({'path': 'gone.png'}, '1 of 4 files .* are missing, the first of them gone.png'),
        ({'label': 'LEFT'}, "'LEFT' and 'left' differ in case only"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, change, message):
    rows = []
    for i in range(4):
        write_image(tmp_path / f'{i}.png', 'left', i)
        rows.append({'path': f'{i}.png', 'label': 'left', 'split': 'train'})
    rows[1].update(change)
    write_table(tmp_path / 'manifest.csv', rows)
    with pytest.raises(DatasetError, match=message):
        index(tmp_path)


def test_a_table_may_name_files_elsewhere(tmp_path):
    for i in range(2):
        write_image(tmp_path / 'elsewhere' / f'{i}.png', 'left', i)
    rows = [{'path': str(tmp_path / 'elsewhere' / f'{i}.png'), 'label': 'ab'[i]} for i in range(2)]
    (tmp_path / 'here').mkdir()
    write_table(tmp_path / 'here' / 'manifest.csv', rows)
    dataset = index(tmp_path / 'here')
    assert dataset.name_of(0) == str(tmp_path / 'elsewhere' / '0.png')
    rows[0]['path'] = str(tmp_path / 'gone.png')
    write_table(tmp_path / 'here' / 'manifest.csv', rows)
    with pytest.raises(DatasetError, match=r'1 of 2 files .* first of them .*gone\.png'):
        index(tmp_path / 'here')


def test_a_table_without_a_label_or_in_another_coding(tmp_path):
    table = tmp_path / 'manifest.csv'
    table.write_text('path,diag\nx,y\n')
    with pytest.raises(
        DatasetError, match="no column 'label'; its columns, separated by commas, are: path, diag"
    ):
        index(tmp_path)
    table.write_bytes('path,label\nx,grün\n'.encode('utf-16'))
    with pytest.raises(DatasetError, match='UTF-8'):
        index(tmp_path)
    table.write_text('path,label\n')
    with pytest.raises(DatasetError, match='No labelled image'):
        index(tmp_path)


def test_a_file_named_twice_is_refused(tmp_path):
    (tmp_path / 'a.png').touch()
    (tmp_path / 'b.png').touch()
    table = tmp_path / 'manifest.csv'
    table.write_text('path,label\na.png,x\nb.png,y\n./a.png,y\n')
    with pytest.raises(DatasetError, match=r'a\.png more than once'):
        index(tmp_path)
