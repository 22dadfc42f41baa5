"""What belongs together, in which order, and what is called prior."""

from napari_cxr.dicom.header_summary import HeaderSummary
from napari_cxr.studies.study_index import IndexedImage
from napari_cxr.studies.study_tree import (
    BY_DATE,
    ORDERS,
    companion_view,
    group_studies,
    image_text,
    interval_text,
    prior_image,
)

DAY = 86_400


def image(path, patient, study, day=None, view='PA', series='s', number=1):
    header = HeaderSummary(
        patient, study, series, path, 'DX', view, '', 10, 10, 1, 1, number,
        None if day is None else day * DAY,
    )  # fmt: skip
    return IndexedImage(path, 'DICOM', header)


CURRENT = image('c', 'p', 'new', 1000)
LATERAL = image('l', 'p', 'new', 1000, view='lateral', series='t')
PRIOR = image('b', 'p', 'old', 786, view='AP')
OLDER = image('a', 'p', 'oldest', 100)
OTHER = image('x', 'q', 'theirs', 900)
ALL = [OLDER, PRIOR, OTHER, CURRENT, LATERAL]


def test_studies_of_a_patient_latest_first():
    first, second = group_studies(ALL)
    assert [study.key for study in first.studies] == ['new', 'old', 'oldest']
    assert [study.key for study in second.studies] == ['theirs']
    assert first.images == [CURRENT, LATERAL, PRIOR, OLDER]


def test_orders():
    two = image('y', 'q', 'theirs', 900, number=2)
    many = group_studies([OTHER, two, CURRENT], 'Most images')
    assert [patient.key for patient in many] == ['q', 'p']
    assert [p.key for p in group_studies([OTHER, *ALL], 'Most studies')] == ['p', 'q']
    assert [p.key for p in group_studies([OTHER, *ALL])] == ['q', 'p']


def test_patients_by_their_latest_date():
    dates = {'theirs': '2021-03-04', 'new': '2020-12-31', 'old': '2019-01-01'}
    found = group_studies([CURRENT, PRIOR, image('z', 'r', 'undated'), OTHER], BY_DATE, dates)
    assert [patient.key for patient in found] == ['q', 'p', 'r']
    assert BY_DATE in ORDERS


def test_images_by_their_number():
    third, first = image('1', 'p', 's', number=3), image('2', 'p', 's', number=1)
    (patient,) = group_studies([third, first])
    assert patient.images == [first, third]


def test_how_long_ago():
    patient = group_studies(ALL)[0]
    assert [interval_text(study, patient) for study in patient.studies] == [
        'Latest study',
        '7 months earlier',  # 214 days of 30.44
        '2.5 years earlier',  # 900 days of 365.25
    ]
    (alone,) = group_studies([OTHER])
    assert interval_text(alone.studies[0], alone) == 'Study'
    days, hours = (
        group_studies([CURRENT, IndexedImage('z', 'DICOM', CURRENT.header._replace(
            study='z', taken=CURRENT.header.taken - earlier))])[0]
        for earlier in (DAY, 3 * 3600)
    )  # fmt: skip
    assert interval_text(days.studies[1], days) == '1 day earlier'
    assert interval_text(hours.studies[1], hours) == '3 hours earlier'


def test_the_prior_is_the_same_view_in_the_study_before():
    patients = group_studies(ALL)
    assert prior_image(CURRENT, patients) == PRIOR  # AP and PA are one view
    assert prior_image(PRIOR, patients) == OLDER
    assert prior_image(OLDER, patients) is None
    assert prior_image(LATERAL, patients) is None
    assert prior_image(OTHER, patients) is None


def test_a_study_without_date_has_no_prior():
    undated = image('u', 'p', 'undated')
    patients = group_studies([*ALL, undated])
    assert prior_image(undated, patients) is None
    assert prior_image(CURRENT, patients) == PRIOR


def test_the_lateral_of_a_frontal_view():
    patients = group_studies(ALL)
    assert companion_view(CURRENT, patients) == LATERAL
    assert companion_view(LATERAL, patients) == CURRENT
    assert companion_view(PRIOR, patients) is None


def test_images_without_patient_are_not_pooled():
    found = group_studies([image('a', '', 's1'), image('b', '', 's2'), image('c', '', 's1')])
    assert [len(patient.images) for patient in found] == [2, 1]


def test_pictures_by_their_folder():
    pictures = [IndexedImage(path, 'PNG', None) for path in ('/x/a.png', '/y/b.png', '/x/c.png')]
    assert [patient.key for patient in group_studies(pictures)] == ['/x', '/y']
    assert image_text(pictures[0]) == 'PNG'
    assert image_text(CURRENT) == 'DX PA'
    assert image_text(image('a', 'p', 's', view='unknown')) == 'DX'
