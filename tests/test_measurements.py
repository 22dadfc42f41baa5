"""Lengths, angles and ratios by hand, and the file that keeps them."""

import json
import math

import pytest

from napari_cxr.correction import Correction
from napari_cxr.measurements import (
    MeasuredImage,
    Measurement,
    read_measurements,
    result,
    result_text,
    write_measurements,
)
from napari_cxr.radiograph import Geometry, SpacingSource

DETECTOR = Geometry((0.2, 0.1), SpacingSource.DETECTOR, 2.0)
OBLONG = Geometry(aspect=2.0)


def test_lengths_are_millimetres_only_with_a_spacing():
    line = Measurement('length', ((0, 0), (15, 40)))
    assert result(line, DETECTOR) == (5.0, 'mm')  # 3 mm down, 4 mm across
    assert result_text(line, DETECTOR) == '5.0 mm at the detector'
    assert result(line, OBLONG) == (50.0, 'pixel')  # 30 and 40 widths of a pixel
    assert result_text(line, OBLONG) == '50 px'


def test_angles_count_in_the_patient_and_not_in_pixels():
    right = Measurement('angle', ((0, 0), (10, 0), (10, 20)))
    assert result(right, DETECTOR) == (pytest.approx(90), 'degree')
    half = Measurement('angle', ((0, 20), (10, 0), (10, 20)))  # 2 mm up, 2 mm across
    assert result(half, DETECTOR)[0] == pytest.approx(45)
    assert result(half, Geometry())[0] == pytest.approx(math.degrees(math.atan2(10, 20)))
    flat = Measurement('angle', ((0, 0), (0, 5), (0, 9)))
    assert result_text(flat, Geometry()) == '180.0°'


def test_the_ratio_is_heart_over_thorax():
    ratio = Measurement('cardiothoracic ratio', ((5, 10), (5, 130), (9, 0), (9, 250)))
    assert result(ratio, DETECTOR) == (pytest.approx(0.48), '')
    assert result_text(ratio, DETECTOR) == 'CTR 0.48 (12 / 25 mm at the detector)'
    assert result_text(ratio, Geometry()) == 'CTR 0.48 (120 / 250 px)'
    none = Measurement('cardiothoracic ratio', ((5, 10), (5, 130), (9, 0), (9, 0)))
    assert result_text(ratio, DETECTOR, sizes=False) == 'CTR 0.48'
    assert result_text(none, DETECTOR) == 'CTR –'


def test_a_file_holds_pixels_of_the_file_whatever_was_corrected(tmp_path):
    turned = MeasuredImage(30, 20, DETECTOR, Correction(mirrored=True, turns=1), 'abc')
    line = Measurement('length', ((0.0, 0.0), (29.0, 5.0)))
    write_measurements(tmp_path / 'm.json', turned, [line])
    content = json.loads((tmp_path / 'm.json').read_text())
    assert content['image'] == {'instance': 'abc', 'rows': 20, 'columns': 30}
    # Mirrored and turned clockwise, the file's pixel (r, c) went to (29 - c, 19 - r).
    assert content['measurements'][0]['points'] == [[19.0, 29.0], [14.0, 0.0]]
    assert content['measurements'][0]['unit'] == 'mm'
    found, same = read_measurements(tmp_path / 'm.json', turned)
    assert found == (line,) and same
    plain = MeasuredImage(20, 30, DETECTOR, instance='another')
    found, same = read_measurements(tmp_path / 'm.json', plain)
    assert found[0].points == ((19.0, 29.0), (14.0, 0.0)) and not same
    assert list(tmp_path.iterdir()) == [tmp_path / 'm.json']


@pytest.mark.parametrize(
    ('change', 'why'),
    [
        ({'format': 'other'}, 'holds no measurements'),
        ({'version': 2}, 'newer version'),
        ({'image': {'rows': 20, 'columns': 31}}, 'another size'),
        ({'image': 3}, 'damaged'),
        ({'measurements': [{'kind': 'area', 'points': [[1, 2], [3, 4]]}]}, "'area'"),
        ({'measurements': [{'kind': 'length', 'points': [[1, 2]]}]}, 'has 2 points'),
        ({'measurements': [{'kind': 'length', 'points': [[1, 2], [3, '4']]}]}, 'pair of numbers'),
        ({'measurements': [{'kind': 'length', 'points': [[1, 2], [3, 10**400]]}]}, 'damaged'),
        ({'measurements': [{'kind': 'length', 'points': [[1, 2], [3, 1e300]]}]}, 'finite'),
    ],
)
def test_what_is_wrong_with_a_file_is_one_sentence(tmp_path, change, why):
    image = MeasuredImage(20, 30)
    path = tmp_path / 'm.json'
    write_measurements(path, image, [Measurement('length', ((0, 0), (1, 1)))])
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ValueError, match=why) as caught:
        read_measurements(path, image)
    assert str(caught.value).startswith('m.json')
