"""A heatmap in a file lies where an independent resampling puts it."""

import json

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile

from napari_cxr.explain.heatmap import Heatmap
from napari_cxr.explain.heatmap_export import write_heatmap

SHAPE = (90, 70)
#: Cells 11 and 9 pixels apart, the first of them at (7.5, 4.25).
MATRIX = np.array([[11.0, 0, 7.5], [0, 9.0, 4.25], [0, 0, 1]])


@pytest.fixture
def heatmap():
    values = np.random.default_rng(3).random((7, 8)).astype(np.float32)
    return Heatmap(
        values, MATRIX, 'opacity', 0.75, 1.5, 'Grad-CAM', 'tiny', (2.5, 1.5, 80.5, 66.5)
    )


def resampled(heatmap):
    """What numpy makes of it, rows first and then columns, by the definition alone."""
    rows = (np.arange(SHAPE[0]) - 7.5) / 11
    columns = (np.arange(SHAPE[1]) - 4.25) / 9
    down = np.stack([np.interp(rows, np.arange(7), c) for c in heatmap.values.T], axis=1)
    across = np.stack([np.interp(columns, np.arange(8), r) for r in down])
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return across * ((y >= 2.5) & (y <= 80.5) & (x >= 1.5) & (x <= 66.5))


def test_npz(tmp_path, heatmap):
    write_heatmap(tmp_path / 'a.npz', heatmap, SHAPE, 0.9, {'version': '1'})
    with np.load(tmp_path / 'a.npz') as found:
        np.testing.assert_allclose(found['heatmap'], resampled(heatmap), atol=1e-6)
        np.testing.assert_array_equal(found['cells'], heatmap.values)
        np.testing.assert_array_equal(found['cells_to_radiograph'], MATRIX)
        about = json.loads(str(found['about']))
    assert about == {
        'label': 'opacity',
        'probability': 0.75,
        'logit': 1.5,
        'method': 'Grad-CAM',
        'model': 'tiny',
        'full_colour': 0.9,
        'version': '1',
    }


@pytest.mark.parametrize('name', ['a.tif', 'a.TIFF'])
def test_tiff(tmp_path, heatmap, name):
    write_heatmap(tmp_path / name, heatmap, SHAPE, 0.9)
    with tifffile.TiffFile(tmp_path / name) as file:
        np.testing.assert_allclose(file.asarray(), resampled(heatmap), atol=1e-6)
        assert file.pages[0].dtype == np.float32
        assert json.loads(file.pages[0].description)['label'] == 'opacity'


def test_png_of_16_bits(tmp_path, heatmap):
    write_heatmap(tmp_path / 'a.png', heatmap, SHAPE, 0.8)
    found = iio.imread(tmp_path / 'a.png')
    assert found.dtype == np.uint16
    expected = np.clip(resampled(heatmap) / 0.8, 0, 1) * 65_535
    np.testing.assert_allclose(found, expected, atol=1)
    assert found.max() == 65_535  # beyond the strongest


def test_another_ending(tmp_path, heatmap):
    with pytest.raises(ValueError, match=r'does not end in \.npz, \.tif or \.png'):
        write_heatmap(tmp_path / 'a.jpg', heatmap, SHAPE, 1.0)
