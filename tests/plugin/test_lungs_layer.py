"""The lungs as a layer on a radiograph's."""

import numpy as np
import pytest
from made_up_lungs import lung_field
from napari.layers import Image, Labels

from napari_cxr.plugin.layers import radiograph_layer_data
from napari_cxr.plugin.lungs_layer import (
    LUNG_COLOURS,
    align_lungs,
    detach_lungs,
    edit_number,
    edited_field,
    is_lungs_layer,
    lungs_layer,
    lungs_of,
    radiograph_of_lungs,
)
from napari_cxr.radiograph import Geometry, Provenance, Radiograph, View, Window

PIXELS = np.zeros((40, 80), np.uint8)


def on(base, **more):
    field = lung_field(**more)
    return lungs_layer(field, field.labels(), base)


def test_labels_names_and_colours():
    layer = on(Image(PIXELS))
    assert layer.data.dtype == np.uint8
    assert layer.data[20, [0, 19, 20, 39, 40, 59, 60, 79]].tolist() == [0, 0, 1, 1, 2, 2, 0, 0]
    assert layer.properties['name'].tolist() == ['outside the lungs', 'right lung', 'left lung']
    # What napari's status bar says below the mouse.
    assert 'name: right lung' in layer.get_status((20, 25), world=True)['value']
    for label, colour in zip((1, 2), LUNG_COLOURS, strict=True):
        red, green, blue, opacity = layer.get_color(label)
        assert (
            '#{:02x}{:02x}{:02x}'.format(*(round(255 * float(c)) for c in (red, green, blue)))
            == colour
        )
        assert opacity == 1
    assert layer.get_color(0) is None and is_lungs_layer(layer)


def test_in_place_on_a_moved_radiograph():
    base = Image(
        PIXELS, scale=(0.2, 0.14), translate=(5, -3), rotate=30, units=('mm', 'mm'),
        axis_labels=('y', 'x'), affine=[[1, 0, 9], [0, 1, 0], [0, 0, 1]],
    )  # fmt: skip
    layer = on(base)
    assert layer.units == base.units and layer.axis_labels == base.axis_labels
    np.testing.assert_allclose(layer.data_to_world((7, 11)), base.data_to_world((7, 11)))
    base.translate, base.rotate = (1, 1), 0
    align_lungs(layer, base)
    np.testing.assert_allclose(layer.data_to_world((7, 11)), base.data_to_world((7, 11)))


def test_the_field_of_painted_lungs_is_what_was_painted():
    layer = on(Image(PIXELS), implausible='an odd one', plausibility=0.0)
    layer.data[15:25, 20:30] = 0  # two cells at the lung's edge
    layer.data[5:10, 70:80] = 2
    layer.data[20:25, 40:45] = 0  # half of a cell
    painted = edited_field(layer)
    assert painted.right[:, 2].tolist() == [1, 1, 1, 0, 0, 1, 1, 1] and painted.left[1, 7] == 1
    assert painted.left[4, 4] == pytest.approx(0.5, abs=1 / 255) and painted.right.shape == (8, 8)
    assert painted.drawn and not painted.implausible and painted.plausibility == 1
    labels = painted.labels()
    assert labels[17, 25] == 0 and labels[7, 75] == 2


def test_no_identity_in_its_name():
    assert on(Image(PIXELS, name='Doe^Jane')).name == 'Lungs'
    ours = Radiograph(
        PIXELS,
        (Window(128, 256),),
        geometry=Geometry(view=View.PA),
        provenance=Provenance(
            path='/data/Doe^Jane',
            format='DICOM',
            modality='DX',
            pseudonyms={'instance': 'abcdef0'},
        ),
    )
    data, attributes, _ = radiograph_layer_data(ours, name='Doe^Jane')
    layer = on(Image(data, **attributes))
    assert layer.name == 'Lungs · DX PA · abcdef'
    assert 'Doe' not in repr(layer.metadata)


def test_edits_are_seen_and_undone_edits_are_none():
    layer = on(Image(PIXELS))
    assert not edit_number(layer)
    layer.paint((3, 3), 2)
    assert edit_number(layer)
    layer.undo()
    assert not edit_number(layer)
    layer.redo()
    assert edit_number(layer)


def test_whose_lungs():
    first, second = Image(PIXELS), Image(PIXELS)
    layer, other = on(second), Labels(PIXELS)
    assert lungs_of(second, [first, other, layer]) is layer
    assert lungs_of(first, [first, other, layer]) is None
    assert radiograph_of_lungs(layer) is second and radiograph_of_lungs(other) is None
    assert radiograph_of_lungs(first) is None
    detach_lungs(layer)
    assert radiograph_of_lungs(layer) is None and lungs_of(second, [layer]) is None


def test_the_radiograph_is_not_kept():
    import gc
    import weakref

    base = Image(PIXELS)
    layer, gone = on(base), weakref.ref(base)
    del base
    gc.collect()
    assert gone() is None and radiograph_of_lungs(layer) is None


@pytest.mark.parametrize(('rows', 'brush'), [(3000, 75), (40, 5)])
def test_the_brush_fits_the_radiograph(rows, brush):
    assert on(Image(np.zeros((rows, 80), np.uint8)), shape=(rows, 80)).brush_size == brush
