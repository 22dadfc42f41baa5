"""What was found on an image is kept for that image alone."""

from dataclasses import replace

import numpy as np
import pytest

from napari_cxr import samples
from napari_cxr.inference import image_findings
from napari_cxr.inference.image_findings import ImageFindings
from napari_cxr.inference.preprocessing import Preprocessing
from napari_cxr.lungs import find_lungs
from napari_cxr.radiograph import LookupTable, Overlay, Radiograph, Window

SMALL = Preprocessing(32, 32)


def film(seed=1, **entries):
    return replace(Radiograph.from_array(samples.phantom((600, 500), seed=seed)), **entries)


def copied(radiograph):
    """Return it as another process would send it again: equal, and no array the same object."""
    table = radiograph.presets[0]
    presets = (replace(table, table=table.table.copy()),) if hasattr(table, 'table') else (table,)
    return replace(radiograph, values=radiograph.values.copy(), presets=presets)


def test_an_equal_image_is_the_same_and_one_other_pixel_or_entry_is_not():
    ramp = LookupTable(0, np.linspace(0, 1, 256, dtype=np.float32))
    radiograph = film(presets=(ramp,))
    findings = ImageFindings(radiograph)
    assert findings.are_of(copied(radiograph), None)
    last = copied(radiograph)
    last.values[-1, -1] += 1
    bent = LookupTable(0, ramp.table**2)
    mask = np.zeros(radiograph.shape, bool)
    for other in (
        last,
        replace(radiograph, presets=(bent,)),
        replace(radiograph, presets=(Window(0.5, 1, 'LINEAR_EXACT'),)),
        replace(radiograph, inverted=True),
        replace(radiograph, padding=mask),
        replace(radiograph, notes=('Another note.',)),
        replace(radiograph, overlays=(Overlay(mask, 'drawing', 1),)),
        replace(radiograph, values=radiograph.values.astype(np.float64)),
        replace(radiograph, values=radiograph.values[:-1]),
    ):
        assert not findings.are_of(other, None)


def test_lungs_that_a_person_edited_are_another_question():
    radiograph = film()
    field = find_lungs(radiograph)
    edited = replace(field, right=np.roll(field.right, 3, axis=0), drawn=True)
    assert ImageFindings(radiograph, edited).field is edited
    assert not ImageFindings(radiograph).are_of(radiograph, edited)
    assert not ImageFindings(radiograph, edited).are_of(radiograph, None)
    assert ImageFindings(radiograph, edited).are_of(
        radiograph, replace(edited, right=edited.right.copy())
    )


def test_each_thing_is_found_once_and_as_without_it(monkeypatch):
    asked = []
    for name in ('find_lungs', 'check_frontal', 'text_markers'):
        found = getattr(image_findings, name)

        def note(*arguments, name=name, found=found):
            asked.append(name)
            return found(*arguments)

        monkeypatch.setattr(image_findings, name, note)
    radiograph = film()
    findings = ImageFindings(radiograph)
    for _ in range(3):
        np.testing.assert_array_equal(findings.field.right, find_lungs(radiograph).right)
        assert findings.frontal.kind and len(findings.markers.boxes) == 1
        np.testing.assert_array_equal(
            findings.network_input(SMALL).image, SMALL.apply(radiograph).image
        )
    assert sorted(asked) == ['check_frontal', 'find_lungs', 'text_markers']


def test_inputs_differ_by_preprocessing_and_only_a_few_are_kept():
    findings = ImageFindings(film())
    for size in range(20, 40):
        assert findings.network_input(Preprocessing(size, 32)).image.shape == (size, 32)
    assert findings.network_input(SMALL) is findings.network_input(SMALL)
    cropped = findings.network_input(replace(SMALL, lungs='crop'))
    assert cropped.field is findings.field and findings.network_input(SMALL).field is None


def test_a_file_that_takes_no_lungs_looks_for_none(monkeypatch):
    monkeypatch.setattr(image_findings, 'find_lungs', lambda _: pytest.fail('lungs were asked'))
    ImageFindings(film()).network_input(SMALL)
