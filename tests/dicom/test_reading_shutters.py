"""Display shutters by PS3.3 C.7.6.11, pixel for pixel."""

import numpy as np
import pytest
from pydicom.dataset import Dataset

from napari_cxr import dicom
from napari_cxr.dicom.reading import shutter_mask
from napari_cxr.inference.preprocessing import Preprocessing
from napari_cxr.plugin.layers import radiograph_layer_data

#: 12 rows, 10 columns, each value another; the edge columns glare.
IMAGE = np.arange(120, dtype=np.uint16).reshape(12, 10) + 500
IMAGE[:, :3] = 4000
RECTANGLE = {
    'ShutterShape': 'RECTANGULAR',
    'ShutterLeftVerticalEdge': 3,
    'ShutterRightVerticalEdge': 8,
    'ShutterUpperHorizontalEdge': 2,
    'ShutterLowerHorizontalEdge': 9,
}
POLYGON = {
    'ShutterShape': 'POLYGONAL',
    'VerticesOfThePolygonalShutter': [2, 3, 2, 8, 9, 8, 9, 3],
}
OPEN = np.zeros(IMAGE.shape, bool)
OPEN[2:9, 3:8] = True  # rows 3 to 9 and columns 4 to 8, counted from 1


def described(**elements):
    dataset = Dataset()
    for keyword, given in elements.items():
        setattr(dataset, keyword, given)
    return dataset


@pytest.mark.parametrize('shutter', [RECTANGLE, POLYGON])
def test_what_is_outside_is_black_and_no_part_of_any_statistic(write, shutter):
    image = dicom.read(write(IMAGE, WindowCenter=None, WindowWidth=None, **shutter))
    np.testing.assert_array_equal(image.padding, ~OPEN)
    shown = image.to_display()
    assert (shown[~OPEN] == 0).all()
    np.testing.assert_allclose(shown[OPEN], IMAGE[OPEN] / 4095, atol=1e-6)
    np.testing.assert_array_equal(image.values, IMAGE)
    assert any('shutter hides 71 %' in note for note in image.notes)  # 85 of 120
    drawn, attributes, _ = radiograph_layer_data(image)
    low, high = attributes['contrast_limits']
    assert (low, high) == (IMAGE[OPEN].min(), IMAGE[OPEN].max())
    assert (drawn[~OPEN] <= low).all()
    np.testing.assert_array_equal(drawn[OPEN], IMAGE[OPEN])


@pytest.mark.parametrize('photometric', ['MONOCHROME1', 'MONOCHROME2'])
def test_the_network_does_not_see_it_either(write, photometric):
    fit = Preprocessing(12, 10, fit='stretch')
    glare, calm = IMAGE.copy(), IMAGE.copy()
    glare[~OPEN], calm[~OPEN] = 4095, 7
    inputs = [
        fit.apply(dicom.read(write(values, photometric=photometric, **RECTANGLE))).image
        for values in (glare, calm)
    ]
    np.testing.assert_array_equal(*inputs)
    assert (inputs[0][~OPEN] == 0).all()


def test_a_circle_is_round_in_the_patient():
    circle = described(
        ShutterShape='CIRCULAR', CenterOfCircularShutter=[11, 11], RadiusOfCircularShutter=6
    )
    hidden, _ = shutter_mask(circle, 21, 21)
    rows, columns = np.nonzero(~hidden)
    # pixel 11 is index 10
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 16, 4, 16)
    assert (~hidden).sum() == 113  # lattice points within 6 of the centre
    hidden, _ = shutter_mask(circle, 21, 21, aspect=2.0)
    rows, columns = np.nonzero(~hidden)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (7, 13, 4, 16)


def test_of_several_shapes_the_least_remains():
    both = described(
        **RECTANGLE | {'ShutterShape': ['RECTANGULAR', 'CIRCULAR']},
        CenterOfCircularShutter=[6, 6],
        RadiusOfCircularShutter=2,
    )
    hidden, notes = shutter_mask(both, 12, 10)
    circle = described(
        ShutterShape='CIRCULAR', CenterOfCircularShutter=[6, 6], RadiusOfCircularShutter=2
    )
    np.testing.assert_array_equal(hidden, ~OPEN | shutter_mask(circle, 12, 10)[0])
    assert len(notes) == 1


def test_a_triangle_by_hand():
    triangle = described(
        ShutterShape='POLYGONAL', VerticesOfThePolygonalShutter=[0, 0, 4, 0, 4, 4]
    )
    hidden, _ = shutter_mask(triangle, 4, 4)
    # centres below the diagonal; those on it lie on an edge and may fall either way
    np.testing.assert_array_equal(np.tril(~hidden, -1), np.tril(np.ones((4, 4), bool), -1))
    assert hidden[np.triu_indices(4, 1)].all()


@pytest.mark.parametrize(
    ('shutter', 'said'),
    [
        ({}, ''),
        ({'ShutterShape': ''}, ''),
        (RECTANGLE | {'ShutterLeftVerticalEdge': 0, 'ShutterRightVerticalEdge': 11}
         | {'ShutterUpperHorizontalEdge': 0, 'ShutterLowerHorizontalEdge': 13}, ''),
        ({'ShutterShape': 'RECTANGULAR'}, 'broken'),
        ({'ShutterShape': 'BITMAP'}, 'broken'),
        (RECTANGLE | {'ShutterRightVerticalEdge': 3}, 'broken'),  # nothing would be left
        ({'ShutterShape': 'POLYGONAL', 'VerticesOfThePolygonalShutter': [1, 2, 3]}, 'broken'),
        ({'ShutterShape': 'CIRCULAR', 'CenterOfCircularShutter': [5, 5]}, 'broken'),
    ],
)  # fmt: skip
def test_what_hides_nothing_and_what_is_broken(shutter, said):
    hidden, notes = shutter_mask(described(**shutter), 12, 10)
    assert hidden is None
    assert len(notes) == (1 if said else 0)
    assert all(said in note for note in notes)


def test_padding_and_shutter_join_and_never_leave_nothing(write):
    image = dicom.read(write(IMAGE, PixelPaddingValue=int(IMAGE[5, 5]), **RECTANGLE))
    expected = ~OPEN
    expected[5, 5] = True
    np.testing.assert_array_equal(image.padding, expected)
    all_padding = np.full((12, 10), 4000, np.uint16)
    all_padding[~OPEN] = 3
    image = dicom.read(write(all_padding, PixelPaddingValue=4000, **RECTANGLE))
    np.testing.assert_array_equal(image.padding, OPEN)


def test_a_shutter_is_every_frames(write):
    frames = np.stack([IMAGE, IMAGE + 1])
    image = dicom.read(write(frames, **RECTANGLE))
    np.testing.assert_array_equal(image.padding, np.stack([~OPEN] * 2))
