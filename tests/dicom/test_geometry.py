"""Spacing and its source, aspect, and view."""

import pytest
from pydicom.dataset import Dataset

from napari_cxr import dicom
from napari_cxr.radiograph import SpacingSource, View

D = ['0.2', '0.1']
#: Small letters, which the standard does not allow and devices write.
small_letters = pytest.mark.filterwarnings('ignore:Invalid value for VR CS')


@pytest.mark.parametrize(
    ('elements', 'spacing', 'source'),
    [
        # calibrated, whatever else is there
        (
            {'PixelSpacing': D, 'PixelSpacingCalibrationType': 'GEOMETRY'},
            (0.2, 0.1),
            SpacingSource.CALIBRATED,
        ),
        (
            {
                'PixelSpacing': D,
                'PixelSpacingCalibrationType': 'FIDUCIAL',
                'ImagerPixelSpacing': D,
                'EstimatedRadiographicMagnificationFactor': '1.2',
            },
            (0.2, 0.1),
            SpacingSource.CALIBRATED,
        ),
        # Pixel Spacing that says nothing about itself
        ({'PixelSpacing': D, 'ImagerPixelSpacing': None}, (0.2, 0.1), SpacingSource.AS_STATED),
        (
            {'PixelSpacing': D, 'ImagerPixelSpacing': ['0.3', '0.3']},
            (0.2, 0.1),
            SpacingSource.AS_STATED,
        ),
        # a copy of the detector's is the detector's
        ({'PixelSpacing': D, 'ImagerPixelSpacing': D}, (0.2, 0.1), SpacingSource.DETECTOR),
        ({'ImagerPixelSpacing': D}, (0.2, 0.1), SpacingSource.DETECTOR),
        # rounded otherwise it is still a copy; off by a thousandth, in one direction, it is not
        (
            {'PixelSpacing': ['0.20001', '0.099995'], 'ImagerPixelSpacing': ['0.2', '0.1']},
            (0.2, 0.1),
            SpacingSource.DETECTOR,
        ),
        (
            {'PixelSpacing': ['10001', '9999'], 'ImagerPixelSpacing': ['10000', '10000']},
            (10000, 10000),  # at a ten-thousandth exactly
            SpacingSource.DETECTOR,
        ),
        (
            {'PixelSpacing': ['0.2002', '0.1'], 'ImagerPixelSpacing': ['0.2', '0.1']},
            (0.2002, 0.1),
            SpacingSource.AS_STATED,
        ),
        (
            {'PixelSpacing': ['0.2', '0.0999'], 'ImagerPixelSpacing': ['0.2', '0.1']},
            (0.2, 0.0999),
            SpacingSource.AS_STATED,
        ),
        # 0.2 / 1.25 = 0.16, 0.1 / 1.25 = 0.08
        (
            {'ImagerPixelSpacing': D, 'EstimatedRadiographicMagnificationFactor': '1.25'},
            (0.16, 0.08),
            SpacingSource.MAGNIFICATION,
        ),
        # the patient touches the detector: possible, and as good as any other factor
        (
            {'ImagerPixelSpacing': D, 'EstimatedRadiographicMagnificationFactor': '1'},
            (0.2, 0.1),
            SpacingSource.MAGNIFICATION,
        ),
        (
            {'ImagerPixelSpacing': None, 'NominalScannedPixelSpacing': D},
            (0.2, 0.1),
            SpacingSource.SCANNED,
        ),
        ({'ImagerPixelSpacing': None}, None, SpacingSource.NONE),
    ],
)
def test_spacing_and_where_it_came_from(write, elements, spacing, source):
    geometry = dicom.read(write(**elements)).geometry
    assert geometry.source is source
    assert geometry.spacing == (pytest.approx(spacing) if spacing else None)
    assert geometry.aspect == pytest.approx(spacing[0] / spacing[1] if spacing else 1.0)


@pytest.mark.parametrize('bad', [['0', '0'], ['-1', '1'], ['0.1'], ['1e400', '1']])
def test_impossible_spacing_is_left_out_with_a_note(write, bad):
    path = write(ImagerPixelSpacing=['7.125', '7.125'])
    path.write_bytes(
        path.read_bytes().replace(
            b'7.125\\7.125', b'\\'.join(part.encode() for part in bad).ljust(11)
        )
    )
    image = dicom.read(path)
    assert image.geometry.spacing is None
    assert any('spacing' in note for note in image.notes)


def test_magnification_below_one_is_left_out_with_a_note(write):
    image = dicom.read(write(ImagerPixelSpacing=D, EstimatedRadiographicMagnificationFactor='0.5'))
    assert image.geometry.spacing == (0.2, 0.1)
    assert image.geometry.source is SpacingSource.DETECTOR
    assert any('magnification' in note for note in image.notes)


def test_aspect_ratio_counts_where_there_is_no_spacing(write):
    image = dicom.read(write(ImagerPixelSpacing=None, PixelAspectRatio=['3', '2']))
    assert image.geometry.aspect == 1.5  # vertical over horizontal
    image = dicom.read(write(ImagerPixelSpacing=D, PixelAspectRatio=['3', '2']))
    assert image.geometry.aspect == pytest.approx(2.0)
    image = dicom.read(write(ImagerPixelSpacing=None, PixelAspectRatio=['1', '2']))
    assert image.geometry.aspect == 0.5
    image = dicom.read(write(ImagerPixelSpacing=None, PixelAspectRatio=['2', '1']))
    assert image.geometry.aspect == 2
    image = dicom.read(write(ImagerPixelSpacing=None, PixelAspectRatio=['0', '2']))
    assert image.geometry.aspect == 1.0
    assert any('aspect' in note for note in image.notes)


@pytest.mark.parametrize(
    ('position', 'code', 'view'),
    [
        ('PA', None, View.PA),
        ('AP', None, View.AP),
        ('LL', None, View.LATERAL),
        ('RL', None, View.LATERAL),
        ('RLO', None, View.OBLIQUE),
        ('LATERAL', None, View.LATERAL),
        ('', '272479007', View.PA),
        ('', 'R-10206', View.AP),
        ('', '399173006', View.LATERAL),
        ('', '399182000', View.OBLIQUE),
        ('', '399033003', View.UNKNOWN),  # "frontal" says neither PA nor AP
        ('', None, View.UNKNOWN),
        ('CC', None, View.UNKNOWN),
        ('AP', '272479007', View.AP),
    ],
)
def test_view_comes_from_position_then_code(write, position, code, view):
    items = []
    if code:
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, 'SCT', 'x'
        items = [item]
    image = dicom.read(write(ViewPosition=position, ViewCodeSequence=items))
    assert image.geometry.view is view
    assert any('two views' in note for note in image.notes) is (position == 'AP' and bool(code))


def test_mirrored_image_is_noted_and_never_flipped(write):
    plain = dicom.read(write(PatientOrientation=['L', 'F']))
    mirrored = dicom.read(write(PatientOrientation=['R', 'F']))
    assert not any('mirrored' in note for note in plain.notes)
    assert any('mirrored' in note for note in mirrored.notes)
    assert (plain.values == mirrored.values).all()


@pytest.mark.parametrize(
    ('words', 'view', 'said'),
    [
        (['L', 'F'], 'PA', ()),
        (['LF', 'FR'], 'PA', ()),  # tilted a little
        (['R', 'F'], 'AP', ('mirrored',)),
        # turned a quarter: the head to the right, the left side down
        (['H', 'L'], 'AP', ('head is on the right',)),
        (['F', 'R'], 'AP', ('head is on the left',)),
        (['FL', 'RF'], 'PA', ('head is on the left',)),
        (['H', 'R'], 'AP', ('head is on the right', 'mirrored')),
        (['F', 'L'], 'AP', ('head is on the left', 'mirrored')),
        (['R', 'H'], 'PA', ('upside down',)),  # turned by half, so not mirrored
        (['L', 'H'], 'PA', ('upside down', 'mirrored')),
        (['A', 'F'], 'LL', ()),
        (['P', 'H'], 'LL', ('upside down',)),
        (['H', 'A'], 'LL', ('head is on the right',)),
        (['R', 'F'], 'LL', ()),
        ([], 'PA', ()),
        (['R'], 'PA', ('mirrored',)),
        (['X', '7'], 'PA', ()),
    ],
)
def test_orientation_words(write, words, view, said):
    image = dicom.read(write(PatientOrientation=words, ViewPosition=view, ViewCodeSequence=[]))
    assert len(image.notes) == len(said)
    for note, part in zip(image.notes, said, strict=True):
        assert part in note


def test_spacing_of_an_enhanced_object_stands_in_its_functional_groups(write):
    def group(spacing):
        inner, outer = Dataset(), Dataset()
        inner.PixelSpacing = spacing
        outer.PixelMeasuresSequence = [inner]
        return outer

    shared = {'SharedFunctionalGroupsSequence': [group(['0.3', '0.15'])]}
    geometry = dicom.read(write(ImagerPixelSpacing=None, **shared)).geometry
    assert (geometry.spacing, geometry.source) == ((0.3, 0.15), SpacingSource.AS_STATED)
    # What the object says of itself comes first.
    geometry = dicom.read(write(PixelSpacing=D, **shared)).geometry
    assert geometry.spacing == (0.2, 0.1)
    each = {'PerFrameFunctionalGroupsSequence': [group(['0.3', '0.15']), group(['1', '1'])]}
    geometry = dicom.read(write(ImagerPixelSpacing=None, **each)).geometry
    assert geometry.spacing == (0.3, 0.15)


@small_letters
def test_the_kind_of_calibration_in_any_case_and_none_that_is_known(write):
    for kind, source in (
        ('Geometry', SpacingSource.CALIBRATED),
        ('GUESSED', SpacingSource.DETECTOR),
    ):
        image = dicom.read(
            write(PixelSpacing=D, ImagerPixelSpacing=D, PixelSpacingCalibrationType=kind)
        )
        assert image.geometry.source is source
    # A kind of calibration calibrates nothing by itself.
    image = dicom.read(write(ImagerPixelSpacing=D, PixelSpacingCalibrationType='GEOMETRY'))
    assert image.geometry.source is SpacingSource.DETECTOR


@pytest.mark.parametrize(
    ('factor', 'noted'),
    [('0', False), ('', False), ('x.xx', True), ('-1.2', True), ('0.99', True)],
)
def test_a_magnification_that_divides_nothing(write, factor, noted):
    path = write(ImagerPixelSpacing=D, EstimatedRadiographicMagnificationFactor='1.25')
    path.write_bytes(path.read_bytes().replace(b'1.25', factor.ljust(4).encode()))
    image = dicom.read(path)
    assert image.geometry.spacing == (0.2, 0.1)
    assert image.geometry.source is SpacingSource.DETECTOR
    note = 'The magnification factor of this file is impossible; left out.'
    assert image.notes == ((note,) if noted else ())


@pytest.mark.parametrize('keyword', ['ImagerPixelSpacing', 'NominalScannedPixelSpacing'])
@pytest.mark.parametrize('bad', [['0', '1'], ['1', '0'], ['1', '-1'], ['1', '1', '1'], ['1']])
def test_one_number_that_is_impossible_is_enough(write, keyword, bad):
    image = dicom.read(write(**{'ImagerPixelSpacing': None, keyword: bad}))
    assert (image.geometry.spacing, image.geometry.source) == (None, SpacingSource.NONE)
    assert image.notes == ('A pixel spacing of this file is impossible and was left out.',)


@pytest.mark.parametrize('bad', [['0', '2'], ['2', '0'], ['-3', '-2'], ['3', '2', '1'], ['3']])
def test_an_impossible_aspect_ratio_is_noted(write, bad):
    path = write(ImagerPixelSpacing=None, PixelAspectRatio=bad)
    image = dicom.read(path)
    assert image.geometry.aspect == 1
    note = 'The pixel aspect ratio of this file is impossible and was left out.'
    assert image.notes == (note,)
    assert dicom.read(write(ImagerPixelSpacing=None)).notes == ()


@pytest.mark.parametrize('bad', [b'3#\\234', b'123\\4#'])
def test_an_aspect_ratio_of_which_one_number_is_broken(write, bad):
    path = write(ImagerPixelSpacing=None, PixelAspectRatio=['123', '234'])
    path.write_bytes(path.read_bytes().replace(b'123\\234', bad.ljust(7)))
    image = dicom.read(path)
    assert image.geometry.aspect == 1
    assert len(image.notes) == 1


def coded(*codes):
    items = []
    for code in codes:
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, 'SCT', 'x'
        items.append(item)
    return items


@small_letters
def test_two_views_and_the_first_code_that_is_known(write):
    image = dicom.read(
        write(ViewPosition='pa', ViewCodeSequence=coded('1', 'R-10206', '399173006'))
    )
    assert image.geometry.view is View.PA
    assert image.notes == ('The header names two views, PA and AP; PA (View Position) was taken.',)
    image = dicom.read(write(ViewPosition='', ViewCodeSequence=coded('1', 'R-10206', '399173006')))
    assert (image.geometry.view, image.notes) == (View.AP, ())
    image = dicom.read(write(ViewPosition='AP', ViewCodeSequence=coded('R-10206')))
    assert (image.geometry.view, image.notes) == (View.AP, ())


@small_letters
@pytest.mark.parametrize('position', ['LLD', 'rld'])
def test_a_patient_who_lies_on_the_side(write, position):
    image = dicom.read(write(ViewPosition=position, ViewCodeSequence=coded('R-10206')))
    assert image.geometry.view is View.AP
    assert image.notes == ('Decubitus view: the patient lies on the side.',)


@small_letters
def test_what_is_said_of_an_image_that_is_not_upright(write):
    def notes(*words):
        return dicom.read(write(PatientOrientation=list(words), ViewPosition='PA')).notes

    lies = "The header says the image lies on its side: the patient's head is on the "
    assert notes('h', 'l') == (f'{lies}right.',)
    assert notes('F', 'L') == (f'{lies}left.', 'The header says the image is mirrored.')
    assert notes('L', 'H') == (
        "The header says the image is upside down: the patient's head is below.",
        'The header says the image is mirrored.',
    )
    assert notes('R', 'F') == (
        "The header says the image is mirrored: the patient's right is on the right.",
    )
    # Of an image that lies, the first word alone does not tell whether it is mirrored.
    assert notes('H', 'A') == (f'{lies}right.',)
    assert notes('P', 'H') == (
        "The header says the image is upside down: the patient's head is below.",
    )
