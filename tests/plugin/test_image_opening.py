"""What is opened of the paths that a person chose, what is left out, and what is said of it."""

from dataclasses import replace
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from napari_cxr import samples
from napari_cxr.dicom import privacy
from napari_cxr.plugin import image_opening
from napari_cxr.plugin.image_opening import FileOpened, OpeningPlan, OpeningResult, open_images


@pytest.fixture(autouse=True)
def own_secret(monkeypatch, tmp_path_factory):
    path = tmp_path_factory.mktemp('secret') / 'secret'
    monkeypatch.setattr(privacy, 'secret_path', lambda: path)


@pytest.fixture
def no_decoder(monkeypatch):
    """Read in this process: what is decided here needs no other."""
    from napari_cxr import image_files

    def reading(path):
        yield None
        return image_files.read(path)

    monkeypatch.setattr(image_opening, 'read_in_decoder', reading)


def opened(paths, **options):
    result, layers = OpeningResult(), []
    for event in open_images(paths, False, **options):
        layers += result.take(event) if event is not None else []
    return result, layers


def write_folder(folder, dicoms=0, pictures=0):
    folder.mkdir(exist_ok=True)
    for number in range(dicoms):
        samples.write_phantom_dicom(
            folder / f'{number:02}.dcm', pixels=np.full((8, 8), number, np.uint16)
        )
    for number in range(pictures):
        iio.imwrite(folder / f'{number:02}.png', np.full((8, 8), number, np.uint8))
    return folder


def test_pictures_beside_dicom_are_left_out_and_offered(no_decoder, tmp_path):
    folder = write_folder(tmp_path / 'study', dicoms=1, pictures=6)
    (folder / 'README').write_text('no image')
    result, layers = opened([folder])
    assert len(layers) == 1
    assert [path.name for path in result.plan.left] == [f'{n:02}.png' for n in range(6)]
    assert result.notice.startswith('study holds 1 DICOM file and 6 other images')
    assert result.offer == 'Open the other 6' and not result.problem
    again, pictures = opened(list(result.plan.left))
    assert [int(data.max()) for data, *_ in pictures] == [0, 1, 2, 3, 4, 5]
    assert not again.offer and not again.notice


def test_one_of_many_is_visible(no_decoder, tmp_path):
    _, layers = opened([write_folder(tmp_path / 'study', dicoms=3)])
    assert [attributes['visible'] for _, attributes, _ in layers] == [True, False, False]


def test_a_folder_of_pictures_alone_opens_them(no_decoder, tmp_path):
    result, layers = opened([write_folder(tmp_path / 'png', pictures=2)])
    assert [attributes['name'] for _, attributes, _ in layers] == ['00', '01']
    assert not result.notice and not result.offer


def test_of_too_many_the_first_is_opened_and_a_few_dozen_offered(
    no_decoder, tmp_path, monkeypatch
):
    monkeypatch.setattr(image_opening, 'FOLDER_LIMIT', 2)
    result, layers = opened([write_folder(tmp_path / 'study', dicoms=4)])
    assert len(layers) == 1 and int(layers[0][0].max()) == 0
    assert 'study holds 4 DICOM files: the first was opened' in result.notice
    assert result.offer == 'Open the next 2 of 3'
    # Taking the offer opens two, and offers the last one.
    left = result.plan.left
    again, layers = opened(list(left[:2]), left=left[2:])
    assert [int(data.max()) for data, *_ in layers] == [1, 2]
    assert again.offer == 'Open the other' and again.notice == '1 image was left out.'


def test_of_too_many_the_pictures_beside_them_are_said_too(no_decoder, tmp_path, monkeypatch):
    monkeypatch.setattr(image_opening, 'FOLDER_LIMIT', 2)
    result, _ = opened([write_folder(tmp_path / 'study', dicoms=3, pictures=2)])
    assert 'holds 3 DICOM files and 2 other images (PNG, JPEG or TIFF): the' in result.notice
    assert result.offer == 'Open the next 2 of 4'


def test_more_files_than_a_few_dozen_are_not_all_opened(no_decoder, tmp_path, monkeypatch):
    monkeypatch.setattr(image_opening, 'FOLDER_LIMIT', 2)
    folder = write_folder(tmp_path / 'png', pictures=3)
    result, layers = opened(sorted(folder.iterdir()))
    assert (
        len(layers) == 2 and len(result.plan.left) == 1 and '3 files were chosen' in result.notice
    )


def test_each_file_that_fails_is_named_with_its_reason(no_decoder, tmp_path):
    folder = write_folder(tmp_path / 'study', dicoms=1)
    (folder / 'page.dcm').write_text('<!DOCTYPE html><html></html>')
    result, layers = opened([folder])
    assert len(layers) == 1
    assert result.problem.startswith('page.dcm could not be opened. This is a web page')


def test_many_failures_are_counted():
    result = OpeningResult()
    for number in range(7):
        result.fail(f'{number} is bad.')
    assert '4 is bad' in result.problem and '5 is bad' not in result.problem
    assert result.problem.endswith('2 more files could not be opened either.')


def test_many_notes_are_counted_as_of_files_that_were_opened():
    result = OpeningResult()
    for number in range(6):
        data = (np.zeros((4, 4)), {}, 'image')
        result.take(FileOpened(Path(f'{number}.dcm'), (data,), f'{number}.dcm: Not a chest.'))
    assert '4.dcm' in result.notice and '5.dcm' not in result.notice
    assert result.notice.endswith('1 more image is not classified either.')


def test_an_empty_folder_is_said(tmp_path):
    result, layers = opened([tmp_path])
    assert not layers and result.problem == 'There is no image in this folder.'


def test_closing_the_job_gives_up_the_file(tmp_path, monkeypatch):
    given_up = []

    def reading(path):
        try:
            while True:
                yield None
        finally:
            given_up.append(path.name)

    monkeypatch.setattr(image_opening, 'read_in_decoder', reading)
    job = open_images([tmp_path / 'a.dcm'], False)
    assert isinstance(next(job), OpeningPlan) and next(job) is None
    job.close()
    assert given_up == ['a.dcm']


def test_a_dicomdir_opens_the_images_that_it_lists(tmp_path, own_plugin):
    from napari_cxr.samples import CASES, write_sample_disc

    small = {
        key: replace(case, draw=lambda: np.zeros((16, 16)), title=key)
        for key, case in CASES.items()
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('napari_cxr.samples.cases.CASES', small)
        disc = write_sample_disc(tmp_path / 'disc')
    events = [event for event in open_images([disc], False) if event is not None]
    assert [type(event) for event in events] == [OpeningPlan, *[FileOpened] * 3]
    assert events[0].notice == ''
    events[1].path.unlink()
    plan = next(event for event in open_images([disc], False) if event is not None)
    assert len(plan.files) == 2
    assert plan.notice == '1 image that the DICOMDIR lists is not there.'
