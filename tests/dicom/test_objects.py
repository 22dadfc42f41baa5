"""What is refused for classification, and what is only noted."""

import numpy as np
import pytest
from pydicom.dataset import Dataset

from napari_cxr import dicom
from napari_cxr.dicom.pixels import is_lossy

CR = '1.2.840.10008.5.1.4.1.1.1'
DX = '1.2.840.10008.5.1.4.1.1.1.1'
SC = '1.2.840.10008.5.1.4.1.1.7'


@pytest.mark.parametrize(
    ('sop_class', 'modality', 'refused'),
    [
        (CR, 'CR', ''),
        (CR, 'OT', ''),  # the class says more than a careless Modality
        ('1.2.840.10008.5.1.4.1.1.1.1', 'DX', ''),
        (SC, 'CR', ''),
        (SC, 'DX', ''),
        (SC, 'RG', ''),
        (SC, 'DR', ''),
        (SC, 'OT', ''),
        (SC, '', ''),
        (SC, 'MG', 'mammogram'),
        ('1.2.840.10008.5.1.4.1.1.1.2', 'MG', 'mammogram'),
        ('1.2.840.10008.5.1.4.1.1.1.3', 'IO', 'dental'),
        ('1.2.840.10008.5.1.4.1.1.2', 'CT', 'This is a CT image, not a projection radiograph.'),
        (SC, 'CT', 'CT'),
        ('1.2.840.10008.5.1.4.1.1.2', 'CR', 'CT'),  # and more than a wrong one
        ('1.2.840.10008.5.1.4.1.1.4', 'MR', 'an MR image'),
        ('1.2.840.10008.5.1.4.1.1.6.1', 'US', 'ultrasound'),
        ('1.2.840.10008.5.1.4.1.1.20', 'NM', 'nuclear'),
        ('1.2.840.10008.5.1.4.1.1.128', 'PT', 'PET'),
        ('1.2.840.10008.5.1.4.1.1.66.4', 'SEG', 'segmentation'),
        ('1.2.840.10008.5.1.4.1.1.12.1', 'XA', 'angiography'),
        (SC, 'XC', 'photograph'),
        (SC, 'QQ', 'modality QQ'),
        (CR, 'MG', 'mammogram'),
        (DX, 'MG', 'mammogram'),
        (CR, 'IO', 'dental'),
        (DX, 'PX', 'dental'),
        (SC, 'PX', 'dental'),
        (DX, 'BMD', 'bone density'),
        (CR, 'BMD', 'bone density'),
        (SC, 'BMD', 'bone density'),
        ('1.2.840.10008.5.1.4.1.1.13.1.4', 'MG', 'mammogram'),
        ('1.2.840.10008.5.1.4.1.1.30', 'OT', 'a parametric map'),
        ('1.2.840.10008.5.1.4.1.1.30', 'DX', 'a parametric map'),
        ('1.2.840.10008.5.1.4.1.1.13.1.2', 'DX', 'X-Ray 3D Craniofacial'),
        ('1.2.840.10008.5.1.4.1.1.501.2.1', 'DX', 'DICOS'),
        ('1.2.840.10008.5.1.4.1.1.77.1.5.1', 'OP', 'ophthalmic'),
    ],
)
def test_refusal(write, sop_class, modality, refused):
    image = dicom.read(write(SOPClassUID=sop_class, Modality=modality))
    assert (refused in image.refusal) if refused else image.refusal == ''
    doubtful = sop_class == SC and modality in ('OT', '')
    assert any('does not tell' in note for note in image.notes) is doubtful


def test_fluoroscopy_of_several_frames_is_refused_a_single_one_noted(write):
    rf = '1.2.840.10008.5.1.4.1.1.12.2'
    frames = np.zeros((2, 8, 8), np.uint16)
    assert 'fluoroscopy' in dicom.read(write(frames, SOPClassUID=rf, Modality='RF')).refusal
    single = dicom.read(write(frames[0], SOPClassUID=rf, Modality='RF'))
    assert single.refusal == ''
    assert any('fluoroscopy' in note for note in single.notes)


@pytest.mark.parametrize(
    ('part', 'noted'),
    [('CHEST', False), ('THORAX', False), ('', False), ('RIB', False), ('HAND', True)],
)
def test_body_part(write, part, noted):
    image = dicom.read(write(BodyPartExamined=part, AnatomicRegionSequence=None))
    assert image.refusal == ''
    assert any('body part' in note for note in image.notes) is noted


def test_a_free_text_body_part_is_not_repeated(write):
    path = write(BodyPartExamined='PLACEHOLDR', AnatomicRegionSequence=None)
    path.write_bytes(path.read_bytes().replace(b'PLACEHOLDR', b'Mr. Smith?'))
    image = dicom.read(path)
    assert any('body part' in note for note in image.notes)
    assert not any('SMITH' in note.upper() for note in image.notes)


def test_breast_is_a_mammogram_whatever_the_modality(write):
    assert (
        'mammogram'
        in dicom.read(write(Modality='RG', BodyPartExamined='BREAST', SOPClassUID=SC)).refusal
    )


def code(value):
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, 'SCT', 'x'
    return [item]


@pytest.mark.parametrize(
    ('region', 'part', 'view', 'refused'),
    [
        ('76752008', None, None, 'mammogram'),
        ('T-04000', 'CHEST', None, 'mammogram'),  # the code has the last word
        ('51185008', 'BREAST', None, 'mammogram'),
        (None, None, '399368009', 'mammogram'),
        (None, 'CHEST', '399368009', ''),
        ('38199008', None, None, 'teeth'),
        ('661005', 'CHEST', None, 'teeth'),
        (None, 'JAW', None, 'teeth'),
        ('51185008', None, None, ''),
    ],
)
def test_region_and_view_of_another_kind_of_radiograph(write, region, part, view, refused):
    image = dicom.read(
        write(
            AnatomicRegionSequence=code(region) if region else None,
            BodyPartExamined=part,
            ViewPosition=None,
            ViewCodeSequence=code(view) if view else None,
        )
    )
    assert (refused in image.refusal) if refused else image.refusal == ''


def test_the_structure_counts_as_the_region_does(write):
    image = dicom.read(
        write(AnatomicRegionSequence=None, PrimaryAnatomicStructureSequence=code('38199008'))
    )
    assert 'teeth' in image.refusal


@pytest.mark.parametrize(
    'said',
    [
        {'SOPClassUID': '1.2.840.10008.5.1.4.1.1.1.1.1'},
        {'SOPClassUID': CR, 'Modality': 'CR', 'PresentationIntentType': 'FOR PROCESSING'},
        {'PresentationIntentType': 'FOR PROCESSING'},
    ],
)
def test_raw_detector_image_is_noted(write, said):
    image = dicom.read(write(**said))
    assert any('for processing' in note for note in image.notes)


@pytest.mark.parametrize(
    ('syntax', 'stated', 'lossy'),
    [
        ('1.2.840.10008.1.2.1', '00', False),
        ('1.2.840.10008.1.2.1', '01', True),  # compressed before it got here
        ('1.2.840.10008.1.2.4.50', '00', True),
        ('1.2.840.10008.1.2.4.51', '', True),
        ('1.2.840.10008.1.2.4.70', '', False),
        ('1.2.840.10008.1.2.4.80', '', False),
        ('1.2.840.10008.1.2.4.81', '', True),
        ('1.2.840.10008.1.2.4.90', '', False),
        ('1.2.840.10008.1.2.4.91', '', True),
        ('1.2.840.10008.1.2.4.91', '00', False),
        ('1.2.840.10008.1.2.4.201', '', False),
        ('1.2.840.10008.1.2.4.203', '', True),
    ],
)
def test_lossy(syntax, stated, lossy):
    from pydicom.uid import UID

    from napari_cxr.dicom.headers import Header

    dataset = Dataset()
    dataset.LossyImageCompression = stated
    assert is_lossy(Header(dataset, UID(syntax))) is lossy


def test_provenance(write):
    provenance = dicom.read(write()).provenance
    assert provenance.format == 'DICOM'
    assert provenance.modality == 'DX'
    assert provenance.sop_class == 'Digital X-Ray Image Storage - For Presentation'
    assert provenance.transfer_syntax == 'Explicit VR Little Endian'
    assert provenance.photometric == 'MONOCHROME2'
    assert provenance.bits == 12
    assert set(provenance.uids) == {'study', 'series', 'instance', 'sop_class'}
