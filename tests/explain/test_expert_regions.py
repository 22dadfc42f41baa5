"""Marked regions as files, and how far a heatmap agrees with them, by hand."""

import numpy as np
import pytest

from napari_cxr.explain.expert_regions import (
    ExpertRegions,
    MarkedRegion,
    agreement_with,
    read_regions,
    regions_path,
    regions_to_json,
)
from napari_cxr.explain.heatmap import Heatmap

BOX = MarkedRegion('opacity', (0.0, 0.0, 99.0, 49.5))
POINT = MarkedRegion('', (50.0, 150.0, 50.0, 150.0))


def heatmap(values):
    """Over 100 x 200 pixels: a row of four cells, each constant up to half a cell's slope."""
    matrix = np.diag([100.0, 50.0, 1.0])
    matrix[:2, 2] = 49.5, 24.5
    return Heatmap(np.array([values], np.float32), matrix, 'opacity', 0.9, 2.0, 'Grad-CAM', 'm')


def test_what_is_saved_is_read_again(tmp_path):
    regions = ExpertRegions('0123456789abcdef', (100, 200), (BOX, POINT), 'AB')
    path = regions_path(tmp_path / 'a.b.png')
    assert path.name == 'a.b.regions.json'
    path.write_text(regions_to_json(regions))
    assert read_regions(path) == regions
    assert regions.of_label('Opacity') == (BOX, POINT)
    assert regions.of_label('nodule') == (POINT,)


@pytest.mark.parametrize(
    'text',
    [
        '[]',
        '{}',
        '{"form": 2}',
        '{"form": 1, "image": "", "shape": [1, 1], "regions": [{"label": "", "box": [1, 2]}]}',
        '{"form": 1, "image": 3, "shape": [1, 1], "regions": []}',
        'null',
    ],
)
def test_other_files_are_told_of(tmp_path, text):
    (tmp_path / 'x.json').write_text(text)
    with pytest.raises(ValueError, match='no file of marked regions'):
        read_regions(tmp_path / 'x.json')


def test_a_peak_in_the_box_is_a_hit():
    found = agreement_with(heatmap([1, 0, 0, 0]), [BOX], (100, 200))
    assert found.hit and found.hit_by_chance == pytest.approx(0.25, abs=0.01)
    # Constant to the middle of the first cell, then down to 0 over a cell: half of the peak is
    # reached at 49.5, so that both areas are one; the slope beyond holds an eighth.
    assert found.iou == pytest.approx(1, abs=0.02)
    assert found.energy == pytest.approx((25 + 18.75) / 50, abs=0.02)


def test_a_peak_elsewhere_is_none():
    found = agreement_with(heatmap([0, 0, 0, 1]), [BOX], (100, 200))
    assert not found.hit and found.iou == 0 and found.energy == 0


def test_a_point_has_a_tolerance_and_no_overlap():
    there = agreement_with(heatmap([0, 0, 0, 1]), [POINT], (100, 200))
    # The peak is the centre of the last cell, (49.5, 174.5): 24.5 pixels away, and 10 are near.
    assert (there.hit, there.energy, there.iou) == (False, None, None)
    near = MarkedRegion('', (55.0, 170.0, 55.0, 170.0))
    found = agreement_with(heatmap([0, 0, 0, 1]), [near], (100, 200))
    assert found.hit and found.hit_by_chance == pytest.approx(np.pi * 100 / 20000, rel=0.1)


def test_an_empty_map_points_nowhere():
    assert agreement_with(heatmap([0, 0, 0, 0]), [BOX], (100, 200)) is None
    assert agreement_with(heatmap([1, 0, 0, 0]), [], (100, 200)) is None
