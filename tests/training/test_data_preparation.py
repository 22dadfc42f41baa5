"""Images are read once, kept on disk, and what cannot be used is told."""

import hashlib
import os
import sqlite3
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from labelled_images import write_image, write_table
from PIL import Image

from napari_cxr import image_files, samples
from napari_cxr.radiograph import UnreadableImage
from napari_cxr.training import (
    DatasetError,
    ImageSkipped,
    ReadingProgress,
    WarningRaised,
    divide,
    index,
)
from napari_cxr.training.data_preparation import prepare
from napari_cxr.training.training_image import decode_image, read_in_process


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv('NAPARI_CXR_CACHE', str(tmp_path / 'cache'))
    return tmp_path / 'cache'


def run(steps):
    """Drive a generator to its end; return its events and its value."""
    events = []
    while True:
        try:
            events.append(next(steps))
        except StopIteration as end:
            return events, end.value


class Counting:
    """A reader that remembers what it was asked for."""

    def __init__(self):
        self.paths = []

    def __call__(self, items, preprocessing, bits):
        for item in items:
            self.paths.append(item[1])
            yield from read_in_process([item], preprocessing, bits)


def test_images_are_those_of_the_preprocessing_and_are_read_once(folder, recipe):
    reader = Counting()
    events, material = run(prepare(index(folder), recipe, reader, 'a run'))
    assert {type(event) for event in events} == {ReadingProgress}
    assert (events[-1].run, events[-1].done, events[-1].total) == ('a run', 24, 24)
    images = material.images([3, 0, 3])
    assert images.dtype == np.uint8 and images.shape == (3, 33, 33)
    for image, place in zip(images, (3, 0, 3), strict=True):
        radiograph = image_files.read(material.dataset.samples[place].path)
        expected = recipe.input.apply(radiograph).image * 255
        np.testing.assert_array_equal(image, np.rint(expected))
    name = hashlib.sha256((folder / 'left' / '0.png').read_bytes()).hexdigest()
    assert material.digests[0] == name[:16]
    assert material.sizes.tolist() == [[40, 40]] * 24
    assert material.features.shape == (24, 44)
    _, again = run(prepare(index(folder), recipe, reader))
    assert len(reader.paths) == 24
    np.testing.assert_array_equal(again.features, material.features)
    np.testing.assert_array_equal(again.thumbnails, material.thumbnails)
    np.testing.assert_array_equal(again.images(range(24)), material.images(range(24)))


def test_other_pixels_are_other_entries_and_normalisation_is_none(folder, recipe):
    reader = Counting()
    run(prepare(index(folder), recipe, reader))
    normalised = recipe.with_changes({'input.mean': [0.1], 'input.std': [0.3]})
    run(prepare(index(folder), normalised, reader))
    assert len(reader.paths) == 24
    for changes in ({'input.border': 0.1}, {'input.fit': 'pad'}, {'data.bits': 16}):
        before = len(reader.paths)
        _, material = run(prepare(index(folder), recipe.with_changes(changes), reader))
        assert len(reader.paths) == before + 24
    fine = material.images([0])[0]
    assert fine.dtype == np.uint16
    expected = recipe.input.apply(image_files.read(folder / 'left' / '0.png')).image * 65535
    np.testing.assert_array_equal(fine, np.rint(expected))


def test_a_copy_of_a_file_is_decoded_once(folder, recipe):
    copy = folder / 'left' / 'copy.png'
    copy.write_bytes((folder / 'left' / '0.png').read_bytes())
    (folder / 'manifest.csv').unlink()
    reader = Counting()
    _, material = run(prepare(index(folder), recipe, reader))
    assert len(reader.paths) == 24 and len(material.digests) == 25


def test_what_cannot_be_used_is_told_each_time_and_the_rest_goes_on(folder, recipe):
    (folder / 'left' / '2.png').write_bytes(b'\x89PNG\r\n\x1a\n' + b'x' * 50)
    dataset = index(folder)
    rows = list(dataset.samples)
    rows[3] = replace(rows[3], view='Lateral')
    dataset = replace(dataset, samples=tuple(rows))
    for _ in range(2):
        events, material = run(prepare(dataset, recipe))
        skipped = {event.path: event.reason for event in events if isinstance(event, ImageSkipped)}
        assert set(skipped) == {'left/2.png', 'right/3.png'}
        assert 'damaged' in skipped['left/2.png'] and 'lateral' in skipped['right/3.png']
        assert len(material.dataset.samples) == len(material.digests) == 22
    (folder / 'left' / '4.png').unlink()
    events, _ = run(prepare(dataset, recipe))
    assert any(isinstance(e, ImageSkipped) and e.path == 'left/4.png' for e in events)


def test_a_reason_that_may_pass_is_not_kept(folder, recipe):
    def refusing(items, preprocessing, bits):
        for number, _ in items[:1]:
            yield number, 'The decoder gave up on this file.'
        yield from read_in_process(items[1:], preprocessing, bits)

    events, _ = run(prepare(index(folder), recipe, refusing))
    assert sum(isinstance(event, ImageSkipped) for event in events) == 1
    events, material = run(prepare(index(folder), recipe))
    assert not any(isinstance(event, ImageSkipped) for event in events)
    assert len(material.digests) == 24


def test_without_a_usable_image_of_each_class_it_is_said(folder, recipe):
    for path in (folder / 'left').glob('*.png'):
        path.write_bytes(b'no image')
    with pytest.raises(DatasetError, match="No image of the class 'left' can be used"):
        run(prepare(index(folder), recipe))
    for path in (folder / 'right').glob('*.png'):
        path.write_bytes(b'no image')
    with pytest.raises(
        DatasetError,
        match=r'None of the 24 images can be used. The first one: .*not a readable image',
    ):
        run(prepare(index(folder), recipe))


def test_a_changed_file_is_read_anew(folder, recipe):
    _, before = run(prepare(index(folder), recipe))
    write_image(folder / 'left' / '0.png', 'right', 99, size=44)
    _, after = run(prepare(index(folder), recipe))
    assert before.digests[0] != after.digests[0]
    assert after.sizes[0].tolist() == [44, 44]
    assert (before.images([0]) != after.images([0])).any()


def lose(folder, keys):
    """Delete the pixels of images in the cache, as another program could."""
    (path,) = folder.glob('images-*.sqlite')
    with closing(sqlite3.connect(path)) as file, file:
        file.executemany('DELETE FROM images WHERE key = ?', [(key,) for key in keys])


def test_lost_images_are_read_again_while_a_run_goes_on(folder, recipe, own_cache):
    _, material = run(prepare(index(folder), recipe))
    expected = material.images(range(24))
    lose(own_cache, material.keys[:5])
    np.testing.assert_array_equal(material.images(range(24)), expected)
    lose(own_cache, material.keys[:2])
    write_image(folder / 'left' / '0.png', 'right', 99)
    (folder / 'right' / '1.png').unlink()
    for place in (0, 1):
        with pytest.raises(DatasetError, match='start the run again'):
            material.images([place])


def test_what_was_decoded_before_a_cancel_is_kept(folder, recipe):
    class Stop(Exception):
        pass

    def stopping(items, preprocessing, bits):
        yield from read_in_process(items[:10], preprocessing, bits)
        raise Stop

    with pytest.raises(Stop):
        run(prepare(index(folder), recipe, stopping))
    reader = Counting()
    run(prepare(index(folder), recipe, reader))
    assert len(reader.paths) == 14


def test_excluded_images_are_gone(folder, recipe):
    _, material = run(prepare(index(folder), recipe))
    fewer = recipe.with_changes({'data.exclude': list(material.digests[:2])})
    _, rest = run(prepare(index(folder), fewer))
    assert rest.digests == material.digests[2:]
    np.testing.assert_array_equal(rest.images([0]), material.images([2]))
    every = [
        d
        for d, s in zip(material.digests, material.dataset.samples, strict=True)
        if s.label == 'left'
    ]
    with pytest.raises(DatasetError, match="'left' is excluded"):
        run(prepare(index(folder), recipe.with_changes({'data.exclude': every})))


def test_patients_are_known_from_dicom_headers(tmp_path, recipe):
    recipe = recipe.with_changes({'data.duplicates': False})  # phantoms are very much alike
    rows = []
    for i, patient in enumerate(('a', 'a', 'b', 'c')):
        path = tmp_path / f'{i}.dcm'
        samples.write_phantom_dicom(
            path, shape=(48, 40 + i), seed=i, attributes={'PatientID': patient}
        )
        rows.append({'path': path.name, 'label': ('x', 'y')[i // 2]})
    write_table(tmp_path / 'manifest.csv', rows)
    dataset = index(tmp_path)
    assert not dataset.grouped
    _, material = run(prepare(dataset, recipe))
    groups = [sample.group for sample in material.dataset.samples]
    assert groups[0] == groups[1] and len(set(groups)) == 3
    assert material.dataset.grouped
    Image.new('L', (40, 40), 90).save(tmp_path / '4.png')
    write_table(tmp_path / 'manifest.csv', [*rows, {'path': '4.png', 'label': 'x'}])
    _, material = run(prepare(index(tmp_path), recipe))
    assert not material.dataset.grouped, 'the PNG may show any of them'


def test_a_cache_that_cannot_be_written_is_worked_around(folder, recipe, own_cache):
    own_cache.write_text('a file where the folder should be')
    events, material = run(prepare(index(folder), recipe))
    (warning,) = (event for event in events if isinstance(event, WarningRaised))
    assert 'kept in memory' in warning.text and 'NAPARI_CXR_CACHE' in warning.text
    expected = decode_image(folder / 'left' / '0.png', recipe.input, 8)
    np.testing.assert_array_equal(material.images([0])[0], expected.image)


@pytest.fixture
def copied(folder):
    """The folder, in which the last of 'left' in test is a copy of the first in train."""
    from shutil import copy

    assert index(folder).samples[22].split == 'test'
    copy(folder / 'left' / '0.png', folder / 'left' / '22.png')
    return folder


def groups_of(material):
    return [sample.group for sample in material.dataset.samples]


def test_near_duplicates_count_as_one_patient(copied, recipe):
    held_out = recipe.with_changes({'split.method': 'holdout'})
    events, material = run(prepare(index(copied), held_out))
    groups = groups_of(material)
    assert groups[22] == groups[0] == groups[2], 'all images of both patients'
    assert len(set(groups)) == 11 and material.dataset.divided_pairs == 0
    assert not any(isinstance(event, WarningRaised) for event in events)
    _, alone = run(prepare(index(copied), held_out.with_changes({'data.duplicates': False})))
    assert groups_of(alone)[22] != groups_of(alone)[0]


def test_given_splits_are_kept_and_what_they_divide_is_told(copied, recipe):
    events, material = run(prepare(index(copied), recipe))
    (warning,) = (event for event in events if isinstance(event, WarningRaised))
    assert '1 pairs of near-duplicates are divided between the given splits' in warning.text
    split = divide(material.dataset, recipe.split, 0)
    assert split.names() == [sample.split for sample in index(copied).samples]
    assert split.divided_pairs == 1


def test_images_that_a_person_puts_together_come_to_the_training_side(folder, recipe):
    _, material = run(prepare(index(folder), recipe))
    pair = [material.digests[0], material.digests[22]]
    joined = recipe.with_changes({'data.together': [pair]})
    _, material = run(prepare(index(folder), joined))
    assert groups_of(material)[0] == groups_of(material)[22]
    split = divide(material.dataset, joined.split, 0)
    before = [sample.split for sample in index(folder).samples]
    patient = [i for i, s in enumerate(index(folder).samples) if s.group == 'DOE^JOHN5left']
    changed = [i for i, (a, b) in enumerate(zip(before, split.names(), strict=True)) if a != b]
    assert changed == patient and {split.names()[i] for i in patient} == {'train'}


def test_for_a_trial_only_as_many_are_read_as_are_needed(tmp_path, recipe):
    for i in range(120):
        write_image(tmp_path / 'ab'[i % 2] / f'{i}.png', 'left', i, size=12)
    trial = recipe.with_changes({'data.limit': 3, 'split.val': 0.2, 'split.test': 0.3})
    reader = Counting()
    _, material = run(prepare(index(tmp_path), trial, reader))
    assert len(reader.paths) == len(material.digests) == 30
    split = divide(material.dataset, trial.split, trial.seed)
    assert (len(split.train), len(split.test)) == (6, 6) and len(split.val) in (5, 6)


@pytest.mark.skipif(not hasattr(os, 'mkfifo'), reason='There are no pipes on this system.')
def test_a_pipe_is_left_out_and_not_waited_for(tmp_path, recipe):
    for i in range(4):
        write_image(tmp_path / 'ab'[i % 2] / f'{i}.png', 'left', i)
    os.mkfifo(tmp_path / 'a' / 'pipe.png')
    with pytest.raises(UnreadableImage, match='a pipe or a device'):
        image_files.read(tmp_path / 'a' / 'pipe.png')
    events, material = run(prepare(index(tmp_path), recipe))
    assert [event.path for event in events if isinstance(event, ImageSkipped)] == ['a/pipe.png']
    assert len(material.dataset.samples) == 4


def test_what_a_recipe_or_a_table_says_in_vain_is_told(folder, recipe):
    named = recipe.with_changes({'data.exclude': ['0' * 16], 'data.duplicates': False})
    dataset = index(folder)
    events, _ = run(prepare(dataset, named))
    assert [e.text[:45] for e in events if isinstance(e, WarningRaised)] == [
        '1 of the 1 images that data.exclude and data.'
    ]
    without = tuple(replace(s, split='') if i else s for i, s in enumerate(dataset.samples))
    events, _ = run(prepare(replace(dataset, samples=without), recipe))
    assert [e.text[:32] for e in events if isinstance(e, WarningRaised)] == [
        'Only 1 of 24 images have a split'
    ]


def test_the_same_bytes_under_two_labels_are_told(folder, recipe):
    (folder / 'right' / '1.png').write_bytes((folder / 'left' / '0.png').read_bytes())
    events, material = run(prepare(index(folder), recipe, None, 'a run'))
    (warning,) = [event for event in events if isinstance(event, WarningRaised)]
    name = hashlib.sha256((folder / 'left' / '0.png').read_bytes()).hexdigest()[:16]
    assert warning.text.startswith('1 image, in 2 files of the very same content')
    assert f'{name} (left and right)' in warning.text and 'data.exclude' in warning.text
    places = [i for i, digest in enumerate(material.digests) if digest == name]
    assert len({material.dataset.samples[i].group for i in places}) == 1
    split = divide(material.dataset, recipe.split, recipe.split_seed).names()
    assert len({split[i] for i in places}) == 1


def test_the_split_may_have_a_seed_of_its_own(folder, recipe):
    other = recipe.with_changes({'seed': 77})
    assert other.split_seed == 77
    fixed = recipe.with_changes({'split.seed': 4})
    again = fixed.with_changes({'seed': 77})
    assert fixed.split_seed == again.split_seed == 4
    assert type(fixed).from_toml(fixed.to_toml()) == fixed
    assert type(recipe).from_toml(recipe.to_toml()).split.seed is None
