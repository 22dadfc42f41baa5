"""A sealed set is known by its files, by copies of its images, and by nothing else."""

import imageio.v3 as iio
import numpy as np
import pytest
from labelled_images import write_image

from napari_cxr.training.data_preparation import prepare
from napari_cxr.training.dataset import DatasetError
from napari_cxr.training.dataset_index import index
from napari_cxr.training.recipe import Recipe
from napari_cxr.training.sealed_images import (
    SealedSet,
    keep_sealed,
    sealed_among,
    sealed_sets,
)
from napari_cxr.training.training_events import WarningRaised


@pytest.fixture(autouse=True)
def own_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_DATA_HOME', str(tmp_path / 'user-data'))


@pytest.fixture
def recipe():
    return Recipe(name='sealed', network='small_resnet')


def prepared(folder, recipe):
    events, steps = [], prepare(index(folder), recipe)
    while True:
        try:
            events.append(next(steps))
        except StopIteration as end:
            return events, end.value


def seal(images, places):
    sealed = SealedSet(
        'the test set',
        'f' * 32,
        '2030-01-01T00:00:00+00:00',
        frozenset(images.digests[i] for i in places),
        images.thumbnails[places],
    )
    keep_sealed(sealed)
    return sealed


def test_a_set_is_read_back_as_it_was(folder, recipe):
    _, images = prepared(folder, recipe)
    sealed = seal(images, [3, 5]).with_answers({'abc': {'time': 'now', 'auc': 0.5}})
    path = keep_sealed(sealed)
    (found,) = sealed_sets()
    assert found.digests == sealed.digests
    assert found.answers == {'abc': {'time': 'now', 'auc': 0.5}}
    np.testing.assert_array_equal(found.thumbnails, images.thumbnails[[3, 5]])
    path.write_text('{}')
    with pytest.raises(ValueError, match='cannot be read'):
        sealed_sets()


def test_sealed_test_images_are_left_out_of_a_run(folder, recipe):
    _, images = prepared(folder, recipe)
    test = [i for i, sample in enumerate(images.dataset.samples) if sample.split == 'test']
    seal(images, test)
    events, rest = prepared(folder, recipe)
    assert len(rest.digests) == len(images.digests) - len(test)
    (said,) = [event.text for event in events if isinstance(event, WarningRaised)]
    assert f'{len(test)} test images are left out' in said


def test_nothing_is_trained_on_a_sealed_image(folder, recipe):
    _, images = prepared(folder, recipe)
    seal(images, [0])
    with pytest.raises(DatasetError, match=r"1 of the images are sealed.*'the test set'"):
        prepared(folder, recipe)
    drawn = recipe.with_changes({'split.method': 'holdout'})
    with pytest.raises(DatasetError, match='Nothing is trained on a sealed set'):
        prepared(folder, drawn)


def test_a_copy_that_was_saved_again_is_known(folder, tmp_path):
    from napari_cxr.training.duplicates import thumbnail

    rng = np.random.default_rng(0)

    def small(pixels):
        return thumbnail(pixels.astype(np.float32) / 255)

    others = []
    for i in range(6):
        write_image(tmp_path / f'{i}.png', 'left', i)
        noise = rng.normal(0, 8, iio.imread(tmp_path / f'{i}.png').shape)
        others.append(np.clip(iio.imread(tmp_path / f'{i}.png') + noise, 0, 255))
    sealed = SealedSet('set', 'a', '', frozenset(), np.stack([small(others[2])]))
    brighter = [small(np.clip(one * 1.04 + 3, 0, 255)) for one in others]
    mirrored = [small(one[:, ::-1]) for one in others]
    names = [f'{i}' for i in range(6)]
    assert list(sealed_among(names, np.stack(brighter), [sealed])) == [2]
    assert list(sealed_among(names, np.stack(mirrored), [sealed])) == [2]


def test_a_folder_of_seals_that_may_not_be_read_stops_training(folder, recipe, tmp_path):
    place = tmp_path / 'user-data' / 'napari-cxr' / 'sealed'
    place.parent.mkdir(parents=True)
    place.symlink_to(place)  # even an administrator cannot read it
    with pytest.raises(DatasetError, match='nobody knows which images are sealed'):
        prepared(folder, recipe)


def test_where_nothing_was_sealed_there_is_no_set(tmp_path):
    assert sealed_sets() == []
    (tmp_path / 'user-data').touch()
    assert sealed_sets() == []
