"""Each reader of a table has a file of their own."""

import threading

import pytest

from napari_cxr.scoring.annotation.readers import (
    CONSENSUS,
    UNNAMED,
    Reader,
    labels_files_of,
    labels_path_of,
    reader_from_dict,
    reading_position,
)
from napari_cxr.scoring.annotation.reading_list import ReadingList, read_entries

LABELS = ('normal', 'pneumonia')


def test_names_are_one_persons_whatever_their_case():
    assert Reader('  Anna   Berg ').name == 'Anna Berg'
    assert Reader('ANNA berg').key == Reader('Anna Berg').key != Reader('Anna Berg', 2).key
    assert Reader('consensus').is_consensus and not Reader('Anna').is_consensus
    for wrong in ('x' * 41, 'a\x1bb'):
        with pytest.raises(ValueError, match='not a valid name'):
            Reader(wrong)


@pytest.mark.parametrize(
    'name', ['Anna', 'Dr. Ü. O’Neill', '../../etc/passwd', 'CON', '_', 'a/b\\c:d*', '放射科' * 13]
)
def test_any_name_is_a_file_beside_the_table(tmp_path, name):
    table = tmp_path / 'scores.csv'
    paths = {labels_path_of(table, reader) for reader in (UNNAMED, Reader(name), Reader(name, 2))}
    assert len(paths) == 3
    for path in paths:
        assert path.parent == tmp_path and len(path.name) < 200
        path.touch()
    assert set(labels_files_of(table)) == paths


def test_files_of_other_tables_are_not_taken_for_readers(tmp_path):
    for name in ('a.csv.labels', 'a.csv.anna.labels', 'a.csv.b.csv.labels', 'ab.csv.labels'):
        (tmp_path / name).touch()
    assert [path.name for path in labels_files_of(tmp_path / 'a.csv')] == [
        'a.csv.anna.labels',
        'a.csv.labels',
    ]
    assert labels_files_of(tmp_path / 'missing' / 'a.csv') == []


def test_two_readers_at_once_lose_nothing(tmp_path):
    table = tmp_path / 'scores.csv'
    readers = [Reader('Anna'), Reader('Ben'), Reader('Anna', 2), CONSENSUS, UNNAMED]

    def read(reader):
        opened = ReadingList.open(table, LABELS, reader=reader)
        for number in range(40):
            opened.set(f'{number}.png', (LABELS[number % 2],))
        opened.close()

    threads = [threading.Thread(target=read, args=(reader,)) for reader in readers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for reader in readers:
        header, entries = read_entries(labels_path_of(table, reader))
        assert reader_from_dict(header) == reader and len(entries) == 40


def test_files_without_a_reader_are_as_they_were(tmp_path):
    opened = ReadingList.open(tmp_path / 'a.csv', LABELS)
    opened.set('1.png', ('normal',))
    opened.close()
    lines = labels_path_of(tmp_path / 'a.csv').read_bytes().splitlines()
    assert lines[0].endswith(b'{"form":1,"labels":["normal","pneumonia"]}')
    assert b'"agreed":false,"when":"' in lines[1] and b'blinded' not in lines[1]


def test_a_list_is_read_while_another_has_it_open(tmp_path):
    opened = ReadingList.open(tmp_path / 'a.csv', LABELS, reader=Reader('Anna'))
    opened.unusable('1.png', 'motion blur')
    path = labels_path_of(tmp_path / 'a.csv', Reader('anna'))
    with path.open('ab') as file:
        file.write(b'00000000 {"half')  # as a disk may show what is being written
    header, entries = read_entries(path)
    assert header['reader'] == 'Anna' and entries['1.png'].reason == 'motion blur'
    opened.close()


def test_order_is_random_and_the_same_again():
    paths = [f'/study/{number}.png' for number in range(200)]

    def order(reader):
        return sorted(paths, key=lambda path: reading_position(reader, path))

    orders = [order(Reader('Anna')), order(Reader('Ben')), order(Reader('Anna', 2)), paths]
    assert order(Reader('ANNA')) == orders[0]
    # The mean distance of the places of an image in two random orders is a third of all.
    for one in range(4):
        for other in range(one):
            apart = [abs(orders[one].index(p) - orders[other].index(p)) for p in paths]
            assert 50 < sum(apart) / 200 < 84
