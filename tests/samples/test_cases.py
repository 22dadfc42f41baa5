"""Each synthetic case shows what it says it is."""

import numpy as np
import pytest

from napari_cxr import dicom
from napari_cxr.dicom import privacy
from napari_cxr.dicom.directory import listed_images
from napari_cxr.dicom.header_summary import summarize
from napari_cxr.samples import CASES, phantom, write_sample_disc
from napari_cxr.samples.lateral_phantom import lateral_phantom
from napari_cxr.studies.study_index import IndexedImage
from napari_cxr.studies.study_tree import companion_view, group_studies, prior_image

SHAPE = (192, 168)


@pytest.fixture(autouse=True)
def own_secret(tmp_path, monkeypatch):
    monkeypatch.setattr(privacy, 'secret_path', lambda: tmp_path / '.home' / 'secret')


def test_fluid_lies_at_the_base_of_one_lung_and_higher_at_the_side():
    clear, fluid = phantom(SHAPE, 0, noise=0), phantom(SHAPE, 0, noise=0, effusion='right')
    added = fluid - clear
    assert added[110:130, 20:30].mean() > 0.3  # the patient's right is on the left
    assert added[110:130, 60:70].mean() < added[110:130, 20:30].mean() / 2
    assert np.abs(added[:60]).max() < 0.05
    assert np.abs(added[:, 100:]).max() < 0.05
    other = phantom(SHAPE, 0, noise=0, effusion='left') - clear
    assert other[110:130, 138:148].mean() > 0.3


def test_an_effusion_has_a_side():
    with pytest.raises(ValueError, match='effusion'):
        phantom(SHAPE, effusion='both')


def test_the_lateral_view_is_another_picture_and_reproducible():
    lateral = lateral_phantom(SHAPE)
    np.testing.assert_array_equal(lateral, lateral_phantom(SHAPE))
    assert abs(np.corrcoef(lateral.ravel(), phantom(SHAPE).ravel())[0, 1]) < 0.6
    assert lateral[40:80, 60:80].mean() < lateral[140:180, 60:120].mean()  # air above the dome


@pytest.mark.slow
@pytest.mark.parametrize('key', ['effusion', 'monochrome1'])
def test_a_case_reads_as_what_it_is(tmp_path, key):
    case = CASES[key]
    radiograph = dicom.read(case.write(tmp_path / 'a.dcm'))
    assert radiograph.inverted == case.inverted
    np.testing.assert_allclose(radiograph.to_display(), case.draw(), atol=2e-3)
    assert not radiograph.refusal


def test_a_disc_with_a_prior_and_a_lateral(tmp_path, monkeypatch):
    small = {key: case.__class__(case.title, lambda: np.zeros((16, 16)), case.view)
             for key, case in CASES.items()}  # fmt: skip
    monkeypatch.setattr('napari_cxr.samples.cases.CASES', small)
    files = listed_images(write_sample_disc(tmp_path / 'disc'))
    images = [IndexedImage(str(path), 'DICOM', summarize(path)) for path in files]
    (patient,) = group_studies(images)
    latest, before = patient.studies
    assert latest.taken - before.taken == 214 * 86_400
    frontal, lateral = latest.images
    assert companion_view(frontal, [patient]) == lateral
    assert prior_image(frontal, [patient]) == before.images[0]
