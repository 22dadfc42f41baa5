"""The phantom: reproducible, plausible, and a valid file."""

import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from napari_cxr import image_files
from napari_cxr.dicom import privacy
from napari_cxr.samples import phantom, write_phantom_dicom

SHAPE = (192, 168)
#: Anatomy is worked out once for all sizes of one form, so tests share people and forms.
SEED = 1


@pytest.fixture(autouse=True)
def own_secret(tmp_path, monkeypatch):
    monkeypatch.setattr(privacy, 'secret_path', lambda: tmp_path / '.home' / 'secret')


@pytest.fixture
def make_phantoms(monkeypatch):
    """The script that writes folders of phantoms."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / 'scripts'))
    import make_phantoms

    yield make_phantoms
    sys.modules.pop('make_phantoms')


def mean(image, y, x, size=0.04):
    """Mean about a place given in shares of height and width."""
    rows, columns = image.shape
    r, c, s = int(y * rows), int(x * columns), max(int(size * rows), 1)
    return image[r - s : r + s, c - s : c + s].mean()


def test_a_seed_is_one_image_and_another_seed_another():
    one = phantom(SHAPE, SEED)
    np.testing.assert_array_equal(one, phantom(SHAPE, SEED))
    assert np.abs(one - phantom(SHAPE, SEED + 1)).mean() > 0.005
    assert one.dtype == np.float32
    assert one.min() >= 0
    assert one.max() <= 1


@pytest.mark.parametrize('shape', [(16, 16), (40, 300), (960, 840)])
def test_any_size(shape):
    image = phantom(shape, SEED)
    assert image.shape == shape
    assert image.std() > 0.1


def test_a_seed_is_the_same_person_at_every_size():
    large, small = phantom((384, 336), SEED, noise=0), phantom(SHAPE, SEED, noise=0)
    reduced = large.reshape(192, 2, 168, 2).mean(axis=(1, 3))
    assert np.abs(reduced - small).mean() < 0.01


def test_it_is_a_chest():
    image = phantom((384, 336), SEED)
    lungs = [mean(image, 0.4, 0.25), mean(image, 0.4, 0.75)]
    heart, liver, spine = mean(image, 0.62, 0.6), mean(image, 0.88, 0.25), mean(image, 0.7, 0.5)
    assert max(lungs) < 0.35 < min(heart, liver, spine)
    # The heart lies on the patient's left: the right of the image.
    assert mean(image, 0.62, 0.68) > mean(image, 0.62, 0.32) + 0.2


@pytest.mark.parametrize(('side', 'half'), [('right', 0), ('left', 1)])
def test_the_opacity_is_on_its_side_and_whitens(side, half):
    columns = SHAPE[1]
    clean = phantom(SHAPE, SEED, noise=0)
    change = phantom(SHAPE, SEED, opacity=side, noise=0) - clean
    halves = [
        np.clip(part, 0, None).sum()
        for part in (change[:, : columns // 2], change[:, columns // 2 :])
    ]
    assert halves[half] > 5 * halves[1 - half]
    assert change.max() > 0.2
    faint = phantom(SHAPE, SEED, opacity=side, density=0.25, noise=0) - clean
    assert 0.1 < faint.max() / change.max() < 0.6


def test_both_lungs_can_have_an_opacity():
    columns = SHAPE[1]
    change = phantom(SHAPE, SEED, opacity='both', noise=0) - phantom(SHAPE, SEED, noise=0)
    assert change[:, : columns // 2].max() > 0.2 < change[:, columns // 2 :].max()


def test_radiographs_are_shared_out_among_people(make_phantoms):
    def who(count, people):
        plans = make_phantoms.plan(Path(), count, people=people)
        return [(one.seed, one.take) for one in plans]

    assert who(7, 3) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (2, 0), (2, 1)]
    assert who(3, 0) == who(3, 5) == [(0, 0), (1, 0), (2, 0)]


def test_another_take_is_the_same_person_with_other_noise():
    first, second = phantom(SHAPE, SEED), phantom(SHAPE, SEED, take=1)
    clean = phantom(SHAPE, SEED, noise=0)
    noises = np.stack([(first - clean).ravel(), (second - clean).ravel()])
    assert (noises[0] != noises[1]).mean() > 0.9
    assert abs(np.corrcoef(noises)[0, 1]) < 0.05
    assert noises.std(axis=1).max() < 0.03


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
    image = image_files.read(path)
    # Half a step of rounding, at the stored values' own depth.
    np.testing.assert_allclose(
        image.to_display(), phantom(SHAPE, 1), atol=0.51 / (2**bits - 1) + 1e-6
    )
    assert (image.refusal, image.notes) == ('', ())


@pytest.mark.parametrize('syntax', [RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_it_can_be_compressed_without_loss(tmp_path, syntax):
    plain = pydicom.dcmread(write_phantom_dicom(tmp_path / 'a.dcm', shape=SHAPE, seed=1))
    path = write_phantom_dicom(tmp_path / 'b.dcm', shape=SHAPE, seed=1, transfer_syntax=syntax)
    packed = pydicom.dcmread(path)
    assert packed.file_meta.TransferSyntaxUID == syntax
    assert len(packed.PixelData) < len(plain.PixelData)
    assert packed.SOPInstanceUID == plain.SOPInstanceUID
    np.testing.assert_array_equal(packed.pixel_array, plain.pixel_array)


def test_whose_it_is_is_plainly_made_up(tmp_path):
    def written(name, **which):
        return pydicom.dcmread(
            write_phantom_dicom(tmp_path / name, pixels=np.zeros((16, 16), np.uint16), **which)
        )

    dataset = written('a.dcm', seed=9)
    assert 'Phantom' in str(dataset.PatientName)
    assert dataset.PatientID == 'PHANTOM-9'
    assert dataset.SOPInstanceUID == written('b.dcm', seed=9).SOPInstanceUID
    for which in ({'seed': 10}, {'seed': 9, 'take': 1}):
        other = written('c.dcm', **which)
        assert dataset.SOPInstanceUID != other.SOPInstanceUID
        assert (dataset.PatientID == other.PatientID) == (which['seed'] == 9)


def test_elements_can_be_replaced_and_removed(tmp_path):
    path = write_phantom_dicom(
        tmp_path / 'a.dcm',
        pixels=np.zeros((16, 16), np.uint16),
        view='LL',
        attributes={'WindowCenter': None, 'WindowWidth': None, 'Modality': 'CR'},
    )
    image = image_files.read(path)
    assert image.provenance.modality == 'CR'
    assert image.geometry.view == 'lateral'
    assert image.presets[0].explanation == 'Full range'


def test_a_folder_of_phantoms_is_read_as_it_was_planned(make_phantoms, tmp_path):
    plans = list(make_phantoms.plan(tmp_path, 8, long_side=96, people=2))
    assert [one.form for one in plans] == list(make_phantoms.FORMS)
    assert [one.path.parent.name for one in plans] == ['normal'] * 4 + ['pneumonia'] * 4
    assert [one.seed for one in plans] == [0] * 4 + [1] * 4
    assert [one.take for one in plans] == [0, 1, 2, 3] * 2
    for one in plans:
        one.path.parent.mkdir(exist_ok=True)
        image = image_files.read(make_phantoms.write(one))
        drawn = {'opacity': one.opacity, 'density': one.density, 'take': one.take}
        expected = phantom(one.shape, one.seed, **drawn) ** one.gamma
        # A JPEG is lossy; all others are exact to half a step of 8 bits.
        np.testing.assert_allclose(
            image.to_display(), expected, atol=0.15 if one.form == 'jpeg' else 0.51 / 255
        )
        assert image.refusal == ''


def test_phantoms_follow_from_their_seed_and_differ(make_phantoms, tmp_path):
    def planned(**changed):
        return list(make_phantoms.plan(tmp_path, 20, **changed))

    plans = planned()
    assert plans == planned() and plans != planned(seed=1)
    assert len({one.seed for one in plans}) == 20
    assert len({one.shape for one in plans}) > 10
    assert len({one.shape for one in planned(people=1)}) == 1
    assert {one.photometric for one in plans} == {'MONOCHROME1', 'MONOCHROME2'}
    assert {one.opacity for one in plans if one.path.parent.name == 'normal'} == {None}
    assert {one.opacity for one in plans if one.path.parent.name != 'normal'} == {'left', 'right'}
    alike = planned(vary=False, forms=['rle'])
    assert {(one.shape, one.gamma, one.bits) for one in alike} == {((1024, 850), 1.0, 12)}
