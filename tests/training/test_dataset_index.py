"""Folders and tables become rows, or say what is wrong with them."""

import pytest
from labelled_images import write_image, write_table

from napari_cxr.training import DatasetError, index
from napari_cxr.training.recipe import DataRecipe, RecipeError


def touch(root, *paths):
    """Make files that are called images; finding them needs no more."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


def rows_of(dataset):
    return [
        (dataset.name_of(i), s.label, s.source, s.split) for i, s in enumerate(dataset.samples)
    ]


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
    refused("'empty' contains no images")
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
        ({'label': 'LEFT'}, "'LEFT' and 'left' differ only in case"),
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
    rows[1]['path'] = str(tmp_path / 'gone too.png')
    write_table(tmp_path / 'here' / 'manifest.csv', rows)
    with pytest.raises(DatasetError, match=r'2 of 2 files .* The first is .*gone\.png: There is'):
        index(tmp_path / 'here')


def test_a_missing_file_of_a_table_is_left_out_and_says_why(tmp_path):
    """Most often a few of many are missing; a run lists them, as other files it cannot use."""
    for name in ('1.png', '2.png', 'north/3.png', 'south/3.png', '4.png'):
        write_image(tmp_path / name, 'left', len(name))
    rows = [{'path': f'{i}.png', 'label': 'ab'[i % 2]} for i in range(1, 6)]
    write_table(tmp_path / 'manifest.csv', rows)
    problems = {sample.path.name: sample.problem for sample in index(tmp_path).samples}
    assert problems == {
        '1.png': '',
        '2.png': '',
        '3.png': '3.png exists twice, in north and south: write the path with its folder into the '
        'table.',
        '4.png': '',
        '5.png': 'There is no such file.',
    }


def test_a_table_with_names_of_its_own_and_semicolons(tmp_path):
    for i in range(2):
        write_image(tmp_path / f'{i}.png', 'left', i)
    table = tmp_path / 'list.tsv'
    lines = ['"Bild, Datei";Befund;Haus;Person;Teil', '0.png;a;x;p1;train', '1.png;b;y;p2;Test']
    table.write_text('\n'.join(lines), encoding='utf-8')
    with pytest.raises(DatasetError, match=r"no column 'path'.*--path-column"):
        index(table)
    named = {
        'path': 'Bild, Datei', 'label': 'befund', 'source': 'Haus', 'patient': 'Person',
        'split': 'Teil',
    }  # fmt: skip
    first, second = index(table, DataRecipe(columns=named)).samples
    assert (first.path.name, first.label, first.source) == ('0.png', 'a', 'x')
    assert (second.group, second.split, second.known) == ('p2', 'test', True)
    with pytest.raises(DatasetError, match=r"list\.tsv has no column 'Haut' for the source"):
        index(table, DataRecipe(columns={**named, 'source': 'Haut'}))
    with pytest.raises(RecipeError, match=r'data\.columns must be names of columns'):
        DataRecipe(columns={'paths': 'x'})


def test_what_a_model_said_is_no_label(tmp_path):
    table = tmp_path / 'scores.csv'
    table.write_text('path,status,error,label,p_a,model_hash\n1.png,scored,,a,0.9,0123\n')
    with pytest.raises(DatasetError, match=r'a table of scores.*Export the labels'):
        index(table)


def test_a_table_without_a_label_or_in_another_coding(tmp_path):
    table = tmp_path / 'manifest.csv'
    table.write_text('path,diag\nx,y\n')
    with pytest.raises(DatasetError, match=r"no column 'label'\. Its columns are: path, diag"):
        index(tmp_path)
    for coding in ('cp1252', 'utf-16-le'):
        table.write_bytes('path,label\nx,grün\n'.encode(coding))
        with pytest.raises(DatasetError, match='save it as "CSV UTF-8"'):
            index(tmp_path)
    table.write_text('')
    with pytest.raises(DatasetError, match='is empty; its first line must name'):
        index(tmp_path)
    table.write_text('path,label,label\nx,a,b\n')
    with pytest.raises(DatasetError, match="two columns 'label'"):
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


@pytest.mark.parametrize('layout', ['auto', 'split/class'])
def test_folders_called_train_val_and_test_are_splits(tmp_path, layout):
    touch(tmp_path, 'train/NORMAL/1.jpeg', 'train/SICK/2.jpeg', 'val/SICK/3.jpeg')
    touch(tmp_path, 'Test/NORMAL/4.jpeg', '__MACOSX/train/5.jpeg')
    (tmp_path / 'val' / 'NORMAL').mkdir()
    dataset = index(tmp_path, DataRecipe(layout=layout))
    assert dataset.has_splits
    assert rows_of(dataset) == [
        ('Test/NORMAL/4.jpeg', 'NORMAL', '', 'test'),
        ('train/NORMAL/1.jpeg', 'NORMAL', '', 'train'),
        ('train/SICK/2.jpeg', 'SICK', '', 'train'),
        ('val/SICK/3.jpeg', 'SICK', '', 'val'),
    ]
    touch(tmp_path, 'train/6.jpeg')
    with pytest.raises(DatasetError, match="'train' holds images beside its class folders"):
        index(tmp_path, DataRecipe(layout='split/class'))


def test_classes_and_sources_in_either_order(tmp_path):
    touch(tmp_path, 'a/x/1.png', 'a/y/2.png', 'b/x/3.png', 'b/y/deep/4.png')
    with pytest.raises(DatasetError, match=r"\('x', 'y'\).*'source/class'.*'class/source'"):
        index(tmp_path)
    by_class = index(tmp_path, DataRecipe(layout='class/source'))
    assert {(s.label, s.source) for s in by_class.samples} == {
        (label, source) for label in 'ab' for source in 'xy'
    }
    by_source = index(tmp_path, DataRecipe(layout='source/class'))
    assert [(s.label, s.source) for s in by_source.samples] == [
        (s.source, s.label) for s in by_class.samples
    ]
    plain = index(tmp_path, DataRecipe(layout='class'))
    assert [(s.label, s.source) for s in plain.samples] == [(n, '') for n in 'aabb']
    with pytest.raises(DatasetError, match="'a' must be called train, val or test"):
        index(tmp_path, DataRecipe(layout='split/class'))


def test_sources_that_figures_could_not_tell_apart_are_refused(tmp_path):
    by_source = DataRecipe(layout='source/class')
    touch(tmp_path, *(f'all/{label}/1.png' for label in 'ab'))
    assert index(tmp_path, by_source).samples[0].source == 'all'  # the only one
    touch(tmp_path, 'x/a/1.png')
    with pytest.raises(DatasetError, match=r"source is named 'all', .*; rename it"):
        index(tmp_path, by_source)


def test_a_source_that_is_called_as_none_is_refused(tmp_path):
    touch(tmp_path, '1.png', '2.png')
    rows = [
        {'path': '1.png', 'label': 'a', 'source': ''},
        {'path': '2.png', 'label': 'b', 'source': 'no source'},
    ]
    write_table(tmp_path / 'manifest.csv', rows)
    with pytest.raises(DatasetError, match="source is named 'no source'"):
        index(tmp_path)


def test_what_is_called_an_image_is_listed_readable_or_not(tmp_path):
    touch(tmp_path, 'a/1.png', 'a/IM0001', 'a/1.2.840.113', 'a/Thumbs.db', 'a/notes.txt')
    touch(tmp_path, 'b/2.DCM', 'b/.hidden.png', 'b/DICOMDIR')
    write_image(tmp_path / 'b' / 'odd.png', 'left', 0)
    (tmp_path / 'b' / 'odd.png').rename(tmp_path / 'b' / 'odd.image')
    assert [name for name, *_ in rows_of(index(tmp_path))] == [
        'a/1.2.840.113',
        'a/1.png',
        'a/IM0001',
        'b/2.DCM',
        'b/odd.image',
    ]


def test_an_image_without_a_class_is_not_passed_over(tmp_path):
    touch(tmp_path, 'a/1.png', 'b/1.png', 'lost.png')
    with pytest.raises(DatasetError, match=r'lie directly in .* have no class'):
        index(tmp_path)


def test_labels_become_classes(tmp_path):
    touch(tmp_path, *(f'{label}/{i}.png' for label in ('covid', 'flu', 'normal') for i in '12'))
    merged = index(tmp_path, DataRecipe(classes={'covid': ('covid',), 'rest': ('flu', 'normal')}))
    assert merged.labels == ('covid', 'rest')
    assert sum(s.label == 'rest' for s in merged.samples) == 4
    fewer = index(tmp_path, DataRecipe(classes={'covid': ('covid',), 'flu': ('flu',)}))
    assert len(fewer.samples) == 4
    with pytest.raises(DatasetError, match="'Flu', which no image has; the labels are 'covid'"):
        index(tmp_path, DataRecipe(classes={'a': ('covid',), 'b': ('Flu',)}))


def test_labels_in_two_spellings_are_merged_only_when_both_are_named(tmp_path):
    rows = []
    for i, label in enumerate(('Normal', 'normal', 'sick', 'sick')):
        write_image(tmp_path / f'{i}.png', 'left', i)
        rows.append({'path': f'{i}.png', 'label': label})
    write_table(tmp_path / 'manifest.csv', rows)
    with pytest.raises(DatasetError, match="'Normal' and 'normal' differ only in case"):
        index(tmp_path)
    with pytest.raises(DatasetError, match="there is 'Normal' as well"):
        index(tmp_path, DataRecipe(classes={'n': ('normal',), 's': ('sick',)}))
    both = DataRecipe(classes={'n': ('normal', 'Normal'), 's': ('sick',)})
    assert [s.label for s in index(tmp_path, both).samples] == ['n', 'n', 's', 's']


def test_the_patient_stands_in_the_name_or_in_the_folders(tmp_path):
    touch(tmp_path, 'a/p1_1.png', 'a/p1_2.png', 'b/p2_1.png', 'b/p3/x.png', 'b/x.png')
    pattern = DataRecipe(patient=r'p(\d+)')
    dataset = index(tmp_path, pattern)
    assert [s.group for s in dataset.samples] == ['1', '1', '2', 'b/x.png', '3']
    assert not dataset.grouped, 'of one the patient is not known'
    (tmp_path / 'b' / 'x.png').unlink()
    assert index(tmp_path, pattern).grouped
    assert index(tmp_path, DataRecipe(patient=r'p\d')).samples[0].group == 'p1'
    with pytest.raises(DatasetError, match=r"'q.', matches no file name"):
        index(tmp_path, DataRecipe(patient='q.'))


def test_a_table_as_of_nih(tmp_path):
    touch(tmp_path, 'images_001/images/1.png', 'images_002/images/2.png', '3.png')
    table = tmp_path / 'Data_Entry_2017.csv'
    table.write_text(
        'Image Index,Finding Labels,Patient ID,View Position\n'
        '1.png,Effusion|Cardiomegaly,7,PA\n2.png,No Finding,7,AP\n3.png,Mass;Effusion,8,LL\n'
    )
    dataset = index(table)
    assert dataset.multilabel and dataset.grouped
    assert dataset.labels == ('Cardiomegaly', 'Effusion', 'Mass', 'No Finding')
    assert [s.label for s in dataset.samples] == [
        'Cardiomegaly|Effusion',
        'No Finding',
        'Effusion|Mass',
    ]
    assert [s.path for s in dataset.samples] == [
        tmp_path / 'images_001' / 'images' / '1.png',
        tmp_path / 'images_002' / 'images' / '2.png',
        tmp_path / '3.png',
    ]
    assert [s.is_lateral for s in dataset.samples] == [False, False, True]
    merged = DataRecipe(
        classes={'sick': ('Effusion', 'Mass', 'Cardiomegaly'), 'well': ('No Finding',)}
    )
    assert [s.label for s in index(table, merged).samples] == ['sick', 'well', 'sick']
    assert not index(table, merged).multilabel


def test_a_table_as_of_chexpert(tmp_path):
    root = tmp_path / 'CheXpert-v1.0'
    touch(root, *(f'train/patient0000{i}/study1/view1_frontal.jpg' for i in range(4)))
    lines = [
        'Path,Sex,Age,Frontal/Lateral,AP/PA,Cardiomegaly,Edema,Fracture',
        *(
            f'CheXpert-v1.0/train/patient0000{i}/study1/view1_frontal.jpg,F,6{i},Frontal,AP,{flags}'
            for i, flags in enumerate(('1.0,1.0,', '0.0,1.0,-1.0', ',,', '1,-1,0'))
        ),
    ]
    (root / 'train.csv').write_text('\n'.join(lines))
    dataset = index(root / 'train.csv', DataRecipe(patient=r'patient\d+'))
    assert [s.label for s in dataset.samples] == [
        'Cardiomegaly|Edema',
        'Edema',
        '',
        'Cardiomegaly',
    ]
    assert dataset.samples[2].labels == ()
    # Fracture is on no image for sure, so it is no label; blank and -1 are not known.
    assert [s.unknown for s in dataset.samples] == [
        (),
        (),
        ('Cardiomegaly', 'Edema'),
        ('Edema',),
    ]
    assert dataset.multilabel and dataset.grouped
    assert dataset.labels == ('Cardiomegaly', 'Edema')
    assert dataset.samples[1].group == 'patient00001'


def test_one_column_of_flags_is_two_classes(tmp_path):
    touch(tmp_path, '1.png', '2.png')
    (tmp_path / 'manifest.csv').write_text('path,age,covid\n1.png,50,1\n2.png,60,0\n')
    dataset = index(tmp_path)
    assert dataset.labels == ('covid', 'no covid') and not dataset.multilabel


@pytest.mark.parametrize(
    ('separator', 'coding', 'hint'),
    [(';', 'utf-8-sig', ''), ('\t', 'utf-16', ''), (';', 'utf-8', 'sep=;\r\n')],
)
def test_tables_as_spreadsheets_write_them(tmp_path, separator, coding, hint):
    touch(tmp_path, 'ä 1.png', '2.png')
    lines = ['Path;Label;Patient-ID', 'ä 1.png;a;1', '2.png;"b|c";2', ';;']
    text = hint + '\r\n'.join(lines).replace(';', separator) + '\r\n'
    (tmp_path / 'manifest.csv').write_bytes(text.encode(coding))
    dataset = index(tmp_path)
    assert [(s.path.name, s.label, s.group) for s in dataset.samples] == [
        ('ä 1.png', 'a', '1'),
        ('2.png', 'b|c', '2'),
    ]


def test_patients_count_as_known_only_where_all_are(tmp_path):
    touch(tmp_path, '1.png', '2.png')
    (tmp_path / 'manifest.csv').write_text('path,label,patient\n1.png,a,7\n2.png,b,\n')
    dataset = index(tmp_path)
    assert not dataset.grouped
    assert [s.known for s in dataset.samples] == [True, False]


def test_links_bring_no_image_into_a_second_class(tmp_path):
    touch(tmp_path, 'a/1.png', 'b/2.png')
    (tmp_path / 'b' / 'all').symlink_to('..')  # the whole folder, below one of its classes
    (tmp_path / 'b' / 'itself.png').symlink_to('itself.png')
    assert [row[:2] for row in rows_of(index(tmp_path))] == [
        ('a/1.png', 'a'),
        ('b/2.png', 'b'),
        ('b/itself.png', 'b'),
    ]
    (tmp_path / 'b' / '3.png').symlink_to('../a/1.png')
    with pytest.raises(DatasetError, match=r'a/1.png and b/3.png are the same file'):
        index(tmp_path)


def test_the_folder_that_one_stands_in_has_a_name(tmp_path, monkeypatch):
    (tmp_path / 'radiographs').mkdir()
    monkeypatch.chdir(tmp_path / 'radiographs')
    with pytest.raises(DatasetError, match=r'^radiographs has no sub-folders'):
        index('.')


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('path,label\n\0,a\n', 'UTF-8'),
        ('path,label\n"1.png,a\n', 'a quote that is not closed'),
        (f'path,label\n{"y" * 5000},a\n{"x" * 5000},b\n', r'The first is y{200}: There is'),
        ('path,Sex,Age\n1.png,M,1\n2.png,F,1\n', "no column 'label'"),
    ],
)
def test_a_spoilt_table_is_a_sentence(tmp_path, text, message):
    touch(tmp_path, '1.png', '2.png')
    (tmp_path / 'manifest.csv').write_text(text)
    with pytest.raises(DatasetError, match=message):
        index(tmp_path)


def test_a_table_written_on_windows(tmp_path):
    touch(tmp_path, 'a/1.png', 'b/2.png')
    (tmp_path / 'manifest.csv').write_text('path,label\na\\1.png,a\nb\\2.png,b\n')
    assert [row[0] for row in rows_of(index(tmp_path))] == ['a/1.png', 'b/2.png']


def test_a_wrong_cell_of_a_label_is_named(tmp_path):
    touch(tmp_path, *(f'{i}.png' for i in range(40)))
    lines = [f'{i}.png,{i % 2},{i // 2 % 2}' for i in range(40)]
    lines[6] = '6.png,0,yes'
    (tmp_path / 'labels.csv').write_text('\n'.join(['path,edema,mass', *lines]))
    with pytest.raises(DatasetError, match=r"Line 8 has 'yes' in the column 'mass'.*Write 1"):
        index(tmp_path / 'labels.csv')
    lines[6] = '6.png,0,uncertain'
    (tmp_path / 'labels.csv').write_text('\n'.join(['path,edema,mass', *lines]))
    merged = {'fluid': ('edema',), 'nodule': ('mass',)}
    dataset = index(tmp_path / 'labels.csv', DataRecipe(classes=merged))
    assert {s.unknown for s in dataset.samples} <= {(), ('nodule',)}
