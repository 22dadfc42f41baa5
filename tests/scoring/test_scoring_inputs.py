"""What is scored, in which order, and what is known of it."""

import hashlib
import os
import sys

import pytest
from pydicom.config import IGNORE
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from napari_cxr.checkpoint.model_images import ModelImages
from napari_cxr.scoring import Item, ListingError, list_items
from napari_cxr.scoring.scoring_checks import summarise_inputs
from napari_cxr.scoring.scoring_inputs import listing_fingerprint, select_split


def names(items):
    return [os.path.basename(item.path) for item in items]


def test_a_folder_is_sorted_and_keeps_what_is_only_called_an_image(folder):
    (folder / 'notes.txt').write_text('no image')
    (folder / '.hidden.png').write_bytes((folder / 'normal' / '1.png').read_bytes())
    items = list_items([folder])
    assert names(items) == [
        '1.png',
        '2b.png',
        '3.png',
        '5.png',
        '0.png',
        '2.png',
        '4.png',
        '6.png',
    ]
    assert all(item.path.startswith(str(folder)) and not item.truth for item in items)


def test_each_path_comes_once_where_it_came_first(folder, monkeypatch):
    monkeypatch.chdir(folder)
    items = list_items(['normal/3.png', folder / 'normal', './normal/1.png'])
    assert names(items) == ['3.png', '1.png', '2b.png', '5.png']
    assert items[0].path == 'normal/3.png', 'as given'


def test_a_path_that_is_not_there_is_a_row_in_a_list_and_refused_elsewhere(folder):
    (folder / 'list.txt').write_text('normal/none.png\n')
    assert names(list_items([folder / 'list.txt'])) == ['none.png']
    with pytest.raises(ListingError, match='no file or folder'):
        list_items([folder / 'normal', folder / 'normal' / 'none.png'])


def test_links_to_one_file_are_paths_of_their_own(folder):
    (folder / 'normal' / 'again.png').symlink_to(folder / 'normal' / '1.png')
    assert {'1.png', 'again.png'} <= set(names(list_items([folder])))


def test_class_folders_give_labels(folder):
    truths = {os.path.basename(item.path): item.truth for item in list_items([folder], 'folders')}
    assert truths['1.png'] == 'normal' and truths['2.png'] == 'pneumonia'
    with pytest.raises(ListingError, match='folder for each class'):
        list_items([folder / 'normal'], 'folders')


def test_below_parts_of_a_data_set_the_second_level_is_the_classes(folder, tmp_path):
    both = tmp_path / 'both'
    for part in ('train', 'Test'):
        (both / part).mkdir(parents=True)
        for name in ('normal', 'pneumonia'):
            (both / part / name).symlink_to(folder / name) if part == 'train' else None
    (both / 'Test' / 'normal').mkdir()
    (both / 'Test' / 'normal' / 'x.png').touch()
    items = list_items([both], 'folders')
    assert {(os.path.basename(item.path), item.truth) for item in items} >= {
        ('x.png', 'normal'),
        ('1.png', 'normal'),
        ('0.png', 'pneumonia'),
    }


def test_of_class_folders_in_folders_nothing_is_guessed(tmp_path):
    for place in ('one/normal', 'two/normal', 'two/pneumonia'):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / 'x.png').touch()
    with pytest.raises(ListingError, match=r"'normal'.*not clear.*each by itself"):
        list_items([tmp_path], 'folders')
    assert len(list_items([tmp_path])) == 3
    items = list_items([tmp_path / 'one', tmp_path / 'two'], 'folders')
    assert [item.truth for item in items] == ['normal', 'normal', 'pneumonia']
    (tmp_path / 'two' / 'y.png').touch()  # then the first level is the classes'
    assert {item.truth for item in list_items([tmp_path], 'folders')} == {'one', 'two'}


def test_a_list_of_paths(folder):
    (folder / 'list.txt').write_text(
        'normal/3.png\n\n  pneumonia/0.png \nnormal/3.png\nnone.png\n'
    )
    items = list_items([folder / 'list.txt'])
    assert [item.path for item in items] == [
        str(folder / name) for name in ('normal/3.png', 'pneumonia/0.png', 'none.png')
    ]
    with pytest.raises(ListingError, match='cannot be opened'):
        list_items([folder / 'none.txt'])
    (folder / 'raw.txt').write_bytes(b'\xff\xfe\x00')
    with pytest.raises(ListingError, match='UTF-8'):
        list_items([folder / 'raw.txt'])


def test_lines_of_a_list_that_begin_with_a_hash_are_comments(folder):
    (folder / '# 7.png').write_bytes((folder / 'normal' / '1.png').read_bytes())
    (folder / 'list.txt').write_text('# chosen in May\n  #normal/1.png\n# 7.png\nnormal/3.png\n')
    assert names(list_items([folder / 'list.txt'])) == ['# 7.png', '3.png']


def test_a_folder_in_a_list_is_listed_like_one_that_is_given(folder):
    (folder / 'list.txt').write_text('pneumonia/2.png\n.\n')
    listed = list_items([folder / 'list.txt'], 'folders')
    assert {item.path for item in listed} == {item.path for item in list_items([folder])}
    assert names(listed)[0] == '2.png' and listed[0].truth == 'pneumonia'
    assert {item.truth for item in listed} == {'normal', 'pneumonia'}


def test_a_name_without_its_ending_is_an_image_and_no_list(folder):
    (folder / 'a.csv').write_text('path\n3\na\n')
    (folder / 'a.txt').touch()
    found = [item.path for item in list_items([folder / 'a.csv'])]
    assert found == [str(folder / 'normal' / '3.png'), str(folder / 'a')]


def test_a_table_of_paths(folder):
    table = folder / 'table.csv'
    table.write_text(
        'Image Index;Finding Labels;Patient ID;site\n'
        'normal/3.png;normal;A;one\n'
        'pneumonia/0.png;pneumonia|covid19;B;two\n'
        'normal/1.png;;B;\n'
    )
    assert list_items([table]) == [
        Item(str(folder / 'normal/3.png'), 'normal', 'one', '1'),
        Item(str(folder / 'pneumonia/0.png'), 'covid19|pneumonia', 'two', '2'),
        Item(str(folder / 'normal/1.png'), '', '', '2'),
    ]
    table.write_text('name,label\nx,y\n')
    with pytest.raises(ListingError, match="no column 'path'"):
        list_items([table])
    table.write_text('path,label\n,y\n')
    with pytest.raises(ListingError, match='Line 2'):
        list_items([table])


def test_a_path_with_two_labels_is_no_list(folder):
    table = folder / 'table.csv'
    table.write_text('path,label\nnormal/1.png,normal\nnormal/1.png,covid19\n')
    with pytest.raises(ListingError, match=r"1\.png is listed twice.*'normal' and 'covid19'"):
        list_items([table])
    table.write_text('path,label\nnormal/1.png,normal\nnormal/1.png,normal\nnormal/1.png,\n')
    assert [item.truth for item in list_items([table, folder / 'normal' / '1.png'])] == ['normal']


def test_a_table_of_labels_goes_by_path_and_then_by_name(folder, tmp_path):
    (folder / 'pneumonia' / 'twice.png').touch()
    (folder / 'normal' / 'twice.png').touch()
    labels = tmp_path / 'labels.csv'
    labels.write_text(
        'path,label\nimages/normal/1.png,normal\n3.png,covid19\ntwice.png,normal\nnone.png,x\n'
    )
    truths = {item.path: item.truth for item in list_items([folder], labels)}
    assert truths.pop(str(folder / 'normal/1.png')) == 'normal'
    assert truths.pop(str(folder / 'normal/3.png')) == 'covid19'
    assert not any(truths.values()), 'a name that two files have says nothing'
    labels.write_text('path,label\nx.png,normal\n')
    with pytest.raises(ListingError, match='none of the files'):
        list_items([folder], labels)
    labels.write_text('path,label\nx.png,normal\nx.png,covid19\n')
    with pytest.raises(ListingError, match='two labels'):
        list_items([folder], labels)


def test_nothing_to_score(tmp_path):
    with pytest.raises(ListingError, match='no image'):
        list_items([tmp_path])


def write_dicomdir(path, ids):
    records = []
    for kind, file_id in [('PATIENT', None), *(('IMAGE', one) for one in ids)]:
        record = Dataset()
        record.DirectoryRecordType = kind
        if file_id:
            # Not checked, since some are what no writer should write.
            record.add(DataElement('ReferencedFileID', 'CS', file_id, validation_mode=IGNORE))
        records.append(record)
    dataset = Dataset()
    dataset.DirectoryRecordSequence = records
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = '1.2.840.10008.1.3.10'
    dataset.file_meta.MediaStorageSOPInstanceUID = '1.2.3'
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.save_as(path, enforce_file_format=True)


def test_a_dicomdir_lists_its_images(tmp_path):
    (tmp_path / 'dicom').mkdir()
    (tmp_path / 'dicom' / 'im2').touch()
    ids = [['DICOM', 'IM2'], ['DICOM', 'IM1'], ['DICOM', 'IM2'], 'IM3']
    write_dicomdir(tmp_path / 'DICOMDIR', ids)
    items = list_items([tmp_path / 'DICOMDIR'])
    assert [item.path for item in items] == [
        str(tmp_path / name) for name in ('dicom/im2', 'DICOM/IM1', 'IM3')
    ]


@pytest.mark.parametrize(
    ('ids', 'said'),
    [([], 'lists no image'), ([['..', 'SECRET']], 'outside'), (['/etc/passwd'], 'outside')],
)
def test_a_dicomdir_that_cannot_be_used(tmp_path, ids, said):
    write_dicomdir(tmp_path / 'DICOMDIR', ids)
    with pytest.raises(ListingError, match=said):
        list_items([tmp_path / 'DICOMDIR'])


def test_the_fingerprint_sees_order_and_labels():
    a, b = Item('a'), Item('b')
    found = {listing_fingerprint(x) for x in ([a, b], [b, a], [a], [Item('a', 'x'), b])}
    assert len(found) == 4 and listing_fingerprint([a, b]) == listing_fingerprint(iter([a, b]))


def test_columns_of_flags_tell_none_of_them_from_not_known(tmp_path):
    table = tmp_path / 'flags.csv'
    lines = ['a.png,1,0', 'b.png,1,1', 'c.png,0,', 'd.png,,', 'e.png,0,-1']
    table.write_text('\n'.join(['path,edema,mass', *lines]))
    truths = [item.truth for item in list_items([table])]
    assert truths == ['edema', 'edema|mass', 'mass?', '', 'mass?']
    table.write_text('path,edema,No Finding\na.png,1,0\nb.png,0,1\nc.png,0,0\n')
    assert [item.truth for item in list_items([table])] == ['edema', 'No Finding', '']


def test_what_a_model_said_in_a_table_of_scores_is_no_label(tmp_path):
    table = tmp_path / 'scores.csv'
    names, cells = ['path', 'status', 'error', 'label', 'p_a', 'p_b'], 'scored,,a,1,0'
    table.write_text(f'{",".join(names)},model_hash\nx.png,{cells},1\ny.png,{cells},0\n')
    (item, _) = list_items([table])
    assert item == Item(str(tmp_path / 'x.png')), 'nor are probabilities of 0 and 1'
    assert not summarise_inputs([str(table)], '').labelled
    assert summarise_inputs([str(tmp_path)], '').labels_in == ''
    table.write_text(
        f'{",".join(names)},truth,patient,model_hash\nx.png,{cells},b,7,1\ny.png,{cells},,8,1\n'
    )
    assert [(item.truth, item.patient) for item in list_items([table])] == [('b', '1'), ('', '2')]
    assert summarise_inputs([str(table)], '').labelled
    (tmp_path / 'x.png').touch()
    assert list_items([tmp_path / 'x.png'], table)[0].truth == 'b'
    names.remove('error')  # no table of ours
    table.write_text(f'{",".join(names)},model_hash\nx.png,scored,a,1,0,1\n')
    assert list_items([table])[0].truth == 'a'


def test_lists_of_other_systems_and_of_odd_names(tmp_path):
    odd = [' lead.png', 'trail .png', 'sep\u2028arated.png', 'car\rriage.png', 'x.png']
    for name in odd:
        (tmp_path / name).touch()
    (tmp_path / 'find.txt').write_text('\n'.join([*odd, 'none.png ']), newline='')
    assert names(list_items([tmp_path / 'find.txt'])) == [*odd, 'none.png']
    for text in ('x.png\r\n\r\n x.png \r\nü.png\r\n', 'x.png\rü.png\r'):  # Windows, old Macs
        for encoding in ('utf-8', 'utf-8-sig', 'utf-16'):
            (tmp_path / 'list.txt').write_bytes(text.encode(encoding))
            assert names(list_items([tmp_path / 'list.txt'])) == ['x.png', 'ü.png']


@pytest.mark.skipif(sys.platform in ('win32', 'darwin'), reason='names are Unicode there')
def test_a_list_of_names_that_are_no_text_names_files_that_are_there(tmp_path):
    (tmp_path / 'caf\udce9.png').touch()
    (tmp_path / 'list.txt').write_bytes(b'caf\xe9.png\n')
    assert names(list_items([tmp_path / 'list.txt'])) == ['caf\udce9.png']
    (tmp_path / 'list.txt').write_bytes(b'M\xfcnchen.png\n')  # in Latin-1
    with pytest.raises(ListingError, match='save it as UTF-8'):
        list_items([tmp_path / 'list.txt'])


def test_a_label_counts_wherever_it_is_given(folder):
    table = folder / 'table.csv'
    table.write_text('path,label,site,patient\nnormal/1.png,covid19,Ulm,Miller\n')
    for paths in ([folder, table], [table, folder]):
        told = [item for item in list_items(paths) if item.truth]
        assert [(i.truth, i.source, i.patient) for i in told] == [('covid19', 'Ulm', '1')]
        assert len(list_items(paths)) == 8


def test_a_table_of_labels_may_name_a_file_twice(folder, tmp_path):
    labels = tmp_path / 'labels.csv'
    labels.write_text('path,label\n3.png,covid19\n./3.png,covid19\n')
    told = [item for item in list_items([folder], labels) if item.truth]
    assert names(told) == ['3.png'], 'found by its name'


def test_a_link_to_a_folder_and_back_is_another_path(tmp_path):
    (tmp_path / 'far' / 'inner').mkdir(parents=True)
    (tmp_path / 'link').symlink_to(tmp_path / 'far' / 'inner')
    for place in (tmp_path / 'x.png', tmp_path / 'far' / 'x.png'):
        place.touch()
    items = list_items([tmp_path / 'x.png', f'{tmp_path}/link/../x.png'])
    assert len(items) == 2, 'the second is far/x.png'
    assert len(list_items([tmp_path / 'x.png', f'{tmp_path}/far/../x.png'])) == 1


@pytest.mark.skipif(sys.platform == 'win32', reason='paths may be long there')
def test_a_path_that_cannot_be_is_refused(tmp_path):
    with pytest.raises(ListingError, match='cannot be opened: File name too long'):
        list_items([tmp_path / ('x' * 300)])
    (tmp_path / 'list.txt').write_text('x' * 300)
    assert len(list_items([tmp_path / 'list.txt'])) == 1, 'a row says so'


@pytest.mark.skipif(not hasattr(os, 'mkfifo'), reason='no pipes')
@pytest.mark.timeout(20)
def test_a_pipe_keeps_nobody_waiting(tmp_path):
    os.mkfifo(tmp_path / 'pipe.dcm')
    assert names(list_items([tmp_path / 'pipe.dcm'])) == ['pipe.dcm']
    assert names(list_items([tmp_path])) == ['pipe.dcm']


def test_of_many_places_without_an_image_a_few_are_named(tmp_path):
    places = [tmp_path / str(i) for i in range(9)]
    for place in places:
        place.mkdir()
    with pytest.raises(ListingError, match=r'no image in .*0, .*1, .*2 and 6 more\.$'):
        list_items(places)


def test_paths_of_a_table_of_scores_began_above_it(folder, tmp_path):
    table = tmp_path / 'results' / '2026' / 'scores.csv'
    table.parent.mkdir(parents=True)
    row = 'images/normal/1.png,scored,,a,1,0,1'
    table.write_text(f'path,status,error,label,p_a,p_b,model_hash\n{row}\n')
    assert list_items([table])[0].path == str(folder / 'normal' / '1.png')


@pytest.mark.parametrize('name', ['list.txt', 'list.csv', 'list.tsv'])
def test_a_pipe_is_no_list(tmp_path, name):
    pytest.importorskip('fcntl')
    os.mkfifo(tmp_path / name)
    with pytest.raises(ListingError, match=r'cannot be opened \(it is a named pipe, not a file\)'):
        list_items([tmp_path / name])


def test_a_table_of_ours_names_files_that_begin_like_formulas(tmp_path, pixels_of_seven):
    import imageio.v3 as iio

    iio.imwrite(tmp_path / '-dash.png', pixels_of_seven[0])
    for cell in ("'-dash.png", '-dash.png'):
        (tmp_path / 'list.csv').write_text(f"path,label\n{cell},'=odd\n")
        (item,) = list_items([tmp_path / 'list.csv'])
        assert (os.path.basename(item.path), item.truth) == ('-dash.png', '=odd')


def test_a_name_that_exists_twice_says_where(tmp_path):
    for place in ('a/x.png', 'b/x.png', 'x.txt', 'c/y.png', 'c/y.jpg', 'z.png', 'd/z.png'):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).touch()
    (tmp_path / 'list.csv').write_text('path,label\nx,1\nx.png,1\ny,1\nz,1\nnone.png,1\n')
    end = 'write the path with its folder into the table.'
    here = tmp_path.name
    assert [item.problem for item in list_items([tmp_path / 'list.csv'])] == [
        f'x exists twice, in a and b: {end}',
        f'x.png exists twice, in a and b: {end}',
        f'y exists twice, in c/y.jpg and c/y.png: {end}',
        f'z exists twice, in d and {here}: {end}',
        '',  # its row says that there is no such file
    ]


def test_columns_can_be_named(tmp_path):
    (tmp_path / 'x.png').touch()
    table = tmp_path / 'list.csv'
    table.write_text('Datei;Befund;Haus;Teil\nx.png;opacity;north;Testing\n')
    with pytest.raises(ListingError, match=r"no column 'path'.*--path-column"):
        list_items([table])
    named = {'path': 'datei', 'label': 'Befund', 'source': 'Haus', 'split': 'Teil'}
    (item,) = list_items([table], columns=named)
    assert item == Item(str(tmp_path / 'x.png'), truth='opacity', source='north', split='test')
    with pytest.raises(ListingError, match=r"list\.csv has no column 'Name' for the patient"):
        list_items([table], columns={**named, 'patient': 'Name'})
    # With a table of labels the names are those of that table.
    (item,) = list_items([tmp_path / 'x.png'], table, columns=named)
    assert (item.truth, item.split) == ('opacity', 'test')
    (tmp_path / 'images.csv').write_text('datei\nx.png\n')
    (item,) = list_items([tmp_path / 'images.csv'], table, columns=named)
    assert item.truth == 'opacity'
    with pytest.raises(ListingError, match='no table is read'):
        list_items([tmp_path / 'x.png'], columns=named)


def test_one_split_by_the_table_the_folders_or_the_models_own_run(tmp_path):
    for i, place in enumerate(('train/a', 'train/b', 'test/a', 'val/b')):
        (tmp_path / 'images' / place).mkdir(parents=True)
        (tmp_path / 'images' / place / f'{i}.png').write_bytes(bytes([i]))
    items = list_items([tmp_path / 'images'])
    assert names(select_split(items, 'train', None)) == ['0.png', '1.png']
    assert names(select_split(items, 'validation', None)) == ['3.png']
    assert select_split(items, '', None) is items
    with pytest.raises(ListingError, match="no split 'tset': choose train, val or test"):
        select_split(items, 'tset', None)
    bare = list_items([tmp_path / 'images' / 'train', tmp_path / 'images' / 'test'])
    assert not any(item.split for item in bare)
    with pytest.raises(ListingError, match=r'split .test. is not known.*--split-column'):
        select_split(bare, 'test', None)
    second = hashlib.sha256(bytes([1])).hexdigest()
    known = ModelImages({second[:16]: 'test'})
    assert names(select_split(bare, 'test', known)) == ['1.png']
    with pytest.raises(ListingError, match="None of the 3 files is in the split 'val'"):
        select_split(bare, 'val', known)


def test_a_split_counts_in_the_fingerprint_of_a_listing_only_where_there_is_one():
    plain = [Item('a.png')]
    digest = hashlib.sha256(b'["a.png", "", "", ""]\n').hexdigest()  # as in older journals
    assert listing_fingerprint(plain) == digest
    assert listing_fingerprint([Item('a.png', split='test')]) != digest
