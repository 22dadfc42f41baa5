"""Labels follow the image, not the name of its file."""

import pytest

from napari_cxr.checkpoint.model_images import image_digest
from napari_cxr.scoring.annotation import ReadingCircumstances
from napari_cxr.scoring.annotation.followed_labels import follow_labels
from napari_cxr.scoring.annotation.readers import UNNAMED, Reader
from napari_cxr.scoring.annotation.reading_list import ReadingList

LABELS = ('normal', 'pneumonia')


@pytest.fixture
def folder(tmp_path):
    for name, content in (('a', b'one'), ('b', b'two'), ('c', b'three'), ('d', b'fou')):
        (tmp_path / f'{name}.png').write_bytes(content)
    return tmp_path


def label(folder, table, names, reader=UNNAMED, *, known=True):
    reading = ReadingList.open(folder / table, LABELS, reader=reader)
    for name in names:
        path = folder / f'{name}.png'
        how = ReadingCircumstances(image_digest(path), path.stat().st_size) if known else None
        reading.set(str(path), ['pneumonia'], how=how)
    entries = dict(reading)
    reading.close()
    return entries


def followed(folder, table, names, own, reader=UNNAMED):
    paths = [str(folder / f'{name}.png') for name in names]
    looking = follow_labels(folder / table, LABELS, paths, own, reader)
    while True:
        try:
            next(looking)
        except StopIteration as end:
            return end.value


def stems(paths):
    return {path.rsplit('/', 1)[-1][:-4] for path in paths}


def test_a_renamed_image_keeps_its_label_and_a_replaced_one_does_not(folder):
    own = label(folder, 'new.csv', 'abc')
    (folder / 'a.png').rename(folder / 'moved.png')
    (folder / 'b.png').write_bytes(b'owt')  # of the same size
    found = followed(folder, 'new.csv', ['moved', 'b', 'c', 'd'], own)
    assert stems(found.moved) == {'moved'} and stems(found.changed) == {'b'}
    assert found.moved[str(folder / 'moved.png')].labels == ('pneumonia',)
    assert not found.entries
    # Two that changed places keep their own.
    (folder / 'c.png').rename(folder / 'x')
    (folder / 'd.png').rename(folder / 'c.png')
    (folder / 'x').rename(folder / 'd.png')
    found = followed(folder, 'new.csv', ['moved', 'b', 'c', 'd'], own)
    assert stems(found.moved) == {'moved', 'd'} and stems(found.changed) == {'b', 'c'}


def test_a_folder_that_is_scored_again_finds_labels_by_image_or_of_old_by_path(folder):
    label(folder, 'old.csv', 'ab')
    label(folder, 'older.csv', 'c', known=False)
    label(folder, 'old.csv', 'd', Reader('Anna'))
    (folder / 'a.png').rename(folder / 'moved.png')
    (folder / 'b.png').write_bytes(b'owt')
    names = ['moved', 'b', 'c', 'd']
    found = followed(folder, 'new.csv', names, {})
    assert {stem: found.tables[str(folder / f'{stem}.png')] for stem in stems(found.entries)} == {
        'moved': 'old.csv',
        'c': 'older.csv',
    }
    found = followed(folder, 'new.csv', names, {}, Reader('anna'))
    assert stems(found.entries) == {'d'} and set(found.tables.values()) == {'old.csv'}


def test_labels_of_other_classes_and_damaged_ones_are_left_out(tmp_path):
    for name, labels in (('a.csv', LABELS), ('b.csv', ('opacity',)), ('c.csv', LABELS)):
        reading = ReadingList.open(tmp_path / name, labels)
        reading.set(str(tmp_path / 'e.png'), labels[:1])
        reading.close()
    (tmp_path / 'c.csv.labels').write_bytes(b'no list')
    (tmp_path / 'd.csv.labels').mkdir()
    found = followed(tmp_path, 'new.csv', ['e'], {})
    assert [entry.labels for entry in found.entries.values()] == [('normal',)]
    assert set(found.tables.values()) == {'a.csv'}
