"""The phantom: reproducible, plausible, and a valid file."""

import numpy as np
import pydicom
import pytest

from napari_cxr import files
from napari_cxr.dicom import privacy
from napari_cxr.samples import phantom, write_phantom_dicom

SHAPE = (192, 168)


@pytest.fixture(autouse=True)
def own_secret(tmp_path, monkeypatch):
    monkeypatch.setattr(privacy, 'secret_path', lambda: tmp_path / '.home' / 'secret')


def mean(image, y, x, size=0.04):
    """Mean about a place given in shares of height and width."""
    rows, columns = image.shape
    r, c, s = int(y * rows), int(x * columns), max(int(size * rows), 1)
    return image[r - s : r + s, c - s : c + s].mean()


def test_a_seed_is_one_image_and_another_seed_another():
    one = phantom(SHAPE, 3)
    np.testing.assert_array_equal(one, phantom(SHAPE, 3))
    assert np.abs(one - phantom(SHAPE, 4)).mean() > 0.005
    assert one.dtype == np.float32
    assert one.min() >= 0
    assert one.max() <= 1


@pytest.mark.parametrize('shape', [(16, 16), (64, 48), (100, 300), (900, 700)])
def test_any_size(shape):
    image = phantom(shape, 1)
    assert image.shape == shape
    assert image.std() > 0.1


def test_a_seed_is_the_same_person_at_every_size():
    large, small = phantom((384, 336), 5, noise=0), phantom(SHAPE, 5, noise=0)
    reduced = large.reshape(192, 2, 168, 2).mean(axis=(1, 3))
    assert np.abs(reduced - small).mean() < 0.01


def test_it_is_a_chest():
    image = phantom((384, 336), 0)
    lungs = [mean(image, 0.4, 0.25), mean(image, 0.4, 0.75)]
    heart, liver, spine = mean(image, 0.62, 0.6), mean(image, 0.88, 0.25), mean(image, 0.7, 0.5)
    assert max(lungs) < 0.35 < min(heart, liver, spine)
    # The heart lies on the patient's left: the right of the image.
    assert mean(image, 0.62, 0.68) > mean(image, 0.62, 0.32) + 0.2


@pytest.mark.parametrize(('side', 'half'), [('right', 0), ('left', 1)])
def test_the_opacity_is_on_its_side_and_whitens(side, half):
    columns = SHAPE[1]
    change = phantom(SHAPE, 2, opacity=side, noise=0) - phantom(SHAPE, 2, noise=0)
    halves = [
        np.clip(part, 0, None).sum()
        for part in (change[:, : columns // 2], change[:, columns // 2 :])
    ]
    assert halves[half] > 5 * halves[1 - half]
    assert change.max() > 0.2


def test_bad_arguments():
    with pytest.raises(ValueError, match='16 rows'):
        phantom((8, 100))
    with pytest.raises(ValueError, match='left'):
        phantom(SHAPE, opacity='middle')
    with pytest.raises(ValueError, match='bits'):
        write_phantom_dicom('x.dcm', bits=20)


@pytest.mark.parametrize('photometric', ['MONOCHROME1', 'MONOCHROME2'])
@pytest.mark.parametrize('bits', [8, 12, 16])
def test_the_file_shows_the_phantom_whatever_its_encoding(tmp_path, photometric, bits):
    path = write_phantom_dicom(
        tmp_path / 'a.dcm', shape=SHAPE, seed=1, photometric=photometric, bits=bits
    )
    image = files.read(path)
    # Half a step of rounding, at the stored values' own depth.
    np.testing.assert_allclose(
        image.to_display(), phantom(SHAPE, 1), atol=0.51 / (2**bits - 1) + 1e-6
    )
    assert (image.refusal, image.notes) == ('', ())


def test_whose_it_is_is_plainly_made_up(tmp_path):
    path = write_phantom_dicom(tmp_path / 'a.dcm', shape=SHAPE, seed=9)
    dataset = pydicom.dcmread(path)
    assert 'Phantom' in str(dataset.PatientName)
    assert dataset.PatientID == 'PHANTOM-9'
    again = pydicom.dcmread(write_phantom_dicom(tmp_path / 'b.dcm', shape=SHAPE, seed=9))
    assert dataset.SOPInstanceUID == again.SOPInstanceUID
    other = pydicom.dcmread(write_phantom_dicom(tmp_path / 'c.dcm', shape=SHAPE, seed=10))
    assert dataset.SOPInstanceUID != other.SOPInstanceUID


def test_elements_can_be_replaced_and_removed(tmp_path):
    path = write_phantom_dicom(
        tmp_path / 'a.dcm',
        shape=SHAPE,
        view='LL',
        attributes={'WindowCenter': None, 'WindowWidth': None, 'Modality': 'CR'},
    )
    image = files.read(path)
    assert image.provenance.modality == 'CR'
    assert image.geometry.view == 'lateral'
    assert image.presets[0].explanation == 'Full range'
