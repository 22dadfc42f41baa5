from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from napari_cxr import samples
from napari_cxr.api.result_output import prediction_entries
from napari_cxr.inference import ImageWarning, Prediction, Preprocessing
from napari_cxr.inference import prediction as result
from napari_cxr.inference.prediction import find_warnings
from napari_cxr.lungs.frontal_check import FrontalCheck
from napari_cxr.radiograph import Geometry, Provenance, Radiograph, View

DOUBTS = {'view', 'polarity', 'not-a-chest', 'upside-down', 'mirrored'}


@pytest.fixture(scope='module')
def chest():
    return samples.phantom((240, 240), seed=1).astype(np.float32)


def codes(image, preprocessing=None, **more):
    radiograph = replace(Radiograph.from_array(np.ascontiguousarray(image)), **more)
    ready = (preprocessing or Preprocessing(96, 96)).apply(radiograph)
    return [caution.code for caution in find_warnings(radiograph, ready)]


def test_nothing_is_said_of_a_plain_chest(chest):
    assert codes(chest) == []


@pytest.mark.parametrize(
    ('code', 'turn'),
    [
        ('polarity', lambda x: 1 - x),
        ('upside-down', lambda x: x[::-1]),
        ('mirrored', lambda x: x[:, ::-1]),
        ('not-a-chest', lambda x: np.random.default_rng(0).random(x.shape, dtype=np.float32)),
    ],
)
def test_one_caution_for_what_is_wrong_with_the_image(chest, code, turn):
    assert codes(turn(chest)) == [code]


def test_doubts_about_the_image_come_first(chest):
    found = codes(
        chest[::-1],
        Preprocessing(480, 480),
        geometry=Geometry(view=View.LATERAL),
        provenance=Provenance(lossy=True),
        notes=('A note from the header.',),
    )
    assert found == ['view', 'upside-down', 'enlarged', 'lossy', 'note']


@pytest.mark.parametrize('view', [View.PA, View.AP, View.UNKNOWN])
def test_frontal_and_unknown_views_are_no_reason(chest, view):
    assert codes(chest, geometry=Geometry(view=view)) == []


@pytest.mark.parametrize('fit', ['crop', 'pad', 'stretch'])
def test_what_a_model_cuts_off_makes_no_difference(chest, fit):
    wide = np.zeros((240, 480), np.float32)
    wide[:, 120:360] = chest
    assert codes(wide, Preprocessing(96, 96, fit=fit, border=0.1)) == []


def test_lungs_that_were_found_are_handed_on(chest, monkeypatch):
    seen = []
    monkeypatch.setattr(
        result, 'check_frontal', lambda *a: seen.append(a) or FrontalCheck('frontal', 1.0)
    )
    radiograph = Radiograph.from_array(chest)
    ready = Preprocessing(96, 96).apply(radiograph)
    own, other = SimpleNamespace(implausible=''), object()
    find_warnings(radiograph, ready, preset=2)
    find_warnings(radiograph, replace(ready, field=own))
    find_warnings(radiograph, replace(ready, field=own), other)
    assert [a[1] for a in seen] == [None, own, other] and seen[0][2] == 2


@pytest.mark.parametrize('lungs', ['crop', 'only', 'ignored'])
def test_a_model_that_looks_at_lungs_says_where_it_was_shown_the_average(chest, lungs):
    ramp = Radiograph.from_array(np.tile(np.linspace(0, 1, 64, dtype=np.float32), (64, 1)))
    ready = Preprocessing(96, 96, lungs=lungs).apply(ramp)
    told = [c for c in find_warnings(ramp, ready) if c.code == 'lung-field']
    assert len(told) == (lungs != 'ignored')
    assert all(ready.field.implausible in c.text and not c.doubts_the_image for c in told)
    assert 'lung-field' not in codes(chest, Preprocessing(96, 96, lungs=lungs))


def test_a_prediction_says_what_to_read_first():
    every = tuple(
        ImageWarning(code, 'A sentence.')
        for code in [*sorted(DOUBTS), 'enlarged', 'memory', 'note']
    )
    prediction = Prediction(('a', 'b'), (0.5, 0.5), (0.0, 0.0), every)
    assert {caution.code for caution in prediction.doubts} == DOUBTS
    assert not ImageWarning('lossy', '').doubts_the_image
    assert Prediction(('a',), (1.0,), (0.0,)).doubts == ()


def test_a_header_that_lies_about_polarity(cxr_data):
    from napari_cxr import image_files

    radiograph = image_files.read(cxr_data / 'dicom_cxr' / 'Fake_MONOHR1.dcm')
    found = find_warnings(radiograph, Preprocessing(224, 224).apply(radiograph))
    assert found[0].code == 'polarity' and 'header' in found[0].text


def test_classes_that_cannot_be_excluded_are_said():
    sets = {'alpha': 0.1, 'thresholds': {'normal': 0.3, 'pneumonia': 0.2}, 'images': {}}
    plain = Prediction(('normal', 'pneumonia'), (0.75, 0.25), (1.0, 0.0))
    assert plain.possible == () and plain.possible_text == ''
    assert 'possible' not in prediction_entries(plain)
    entries = prediction_entries(replace(plain, prediction_sets=sets))
    assert entries['possible'] == ['normal', 'pneumonia']
    assert entries['possible_alpha'] == 0.1
    assert entries['possible_reason'].startswith('At 90 %: normal or pneumonia.')
    (clear,) = [replace(plain, probabilities=(0.9, 0.1), prediction_sets=sets)]
    assert clear.possible == ('normal',) and clear.possible_text == 'At 90 %: normal.'
