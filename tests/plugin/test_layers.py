import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_cxr.explain.heatmap import Heatmap
from napari_cxr.inference.prediction import Prediction
from napari_cxr.plugin.layers import (
    appearance,
    heatmap_layer,
    is_heatmap,
    radiograph_layer_data,
    radiograph_of,
    show_heatmap,
)
from napari_cxr.radiograph import (
    Geometry,
    LookupTable,
    Provenance,
    Radiograph,
    SpacingSource,
    View,
    Window,
)

VALUES = np.arange(20 * 16, dtype=np.uint16).reshape(20, 16)


def radiograph(**changes):
    entries = {'values': VALUES, 'presets': (Window(100, 200, explanation='NORMAL'),)}
    return Radiograph(**(entries | changes))


def as_layer(image):
    data, attributes, kind = radiograph_layer_data(image)
    assert kind == 'image'
    return Image(data, **attributes)


def prediction():
    return Prediction(('a', 'b'), (0.25, 0.75), (0.0, 1.0986), model='m', model_hash='abc')


def heatmap(matrix, values=None):
    values = np.ones((3, 3), np.float32) if values is None else values
    return Heatmap(values, matrix, 'b', 0.75, 1.0986, 'Grad-CAM', 'm')


def test_the_layer_holds_modality_values_and_shows_the_window():
    layer = as_layer(radiograph())
    np.testing.assert_array_equal(layer.data, VALUES)
    # LINEAR: c - 0.5 -/+ (w - 1) / 2
    assert layer.contrast_limits == [0.0, 199.0]
    assert layer.colormap.name == 'gray'


def test_an_inverted_radiograph_is_shown_inverted():
    assert as_layer(radiograph(inverted=True)).colormap.name == 'gray_r'


def test_spacing_in_millimetres_or_pixels():
    layer = as_layer(
        radiograph(geometry=Geometry((0.2, 0.14), SpacingSource.DETECTOR, view=View.PA))
    )
    np.testing.assert_allclose(layer.scale, [0.2, 0.14])
    assert [str(u) for u in layer.units] == ['millimeter', 'millimeter']
    assert layer.axis_labels == ('y', 'x')
    assert layer.metadata['napari_cxr']['spacing'] == 'at the detector'
    bare = as_layer(radiograph())
    np.testing.assert_allclose(bare.scale, [1, 1])
    assert [str(u) for u in bare.units] == ['pixel', 'pixel']


def test_high_pixels_are_drawn_high():
    np.testing.assert_allclose(as_layer(radiograph(geometry=Geometry(aspect=1.5))).scale, [1.5, 1])


@pytest.mark.parametrize('inverted', [False, True])
@pytest.mark.parametrize(
    'preset',
    [
        Window(150, 60, 'SIGMOID', 'soft'),
        LookupTable(40, np.linspace(0, 1, 200, dtype=np.float32) ** 2, 'curve'),
    ],
)
def test_a_curve_becomes_a_colormap(preset, inverted):
    image = radiograph(presets=(preset,), inverted=inverted)
    layer = as_layer(image)
    low, high = layer.contrast_limits
    share = (np.clip(VALUES, low, high) - low) / (high - low)
    on_screen = layer.colormap.map(share.ravel())[:, 0].reshape(VALUES.shape)
    np.testing.assert_allclose(on_screen, image.to_display(), atol=0.01)


def test_full_range_shows_what_is_there():
    image = radiograph(presets=(Window.spanning(0, 65535, 'Full range'),))
    assert appearance(image)['contrast_limits'] == (0.0, float(VALUES.max()))


def test_padding_is_background():
    mask = np.zeros(VALUES.shape, bool)
    mask[0] = True
    dark = as_layer(radiograph(padding=mask))
    assert (dark.data[0] == 0).all() and dark.data.dtype == VALUES.dtype
    bright = as_layer(radiograph(padding=mask, inverted=True))
    assert (bright.data[0] == 199).all()


def test_no_identity_in_name_or_metadata():
    provenance = Provenance(
        path='/data/Doe^Jane/IM1',
        format='DICOM',
        modality='DX',
        pseudonyms={'instance': 'abcdef0123'},
        uids={'study': '1.2.3.4.5'},
    )
    layer = as_layer(radiograph(provenance=provenance, geometry=Geometry(view=View.PA)))
    assert layer.name == 'DX PA · abcdef'
    assert 'Doe' not in repr(layer.metadata) and '1.2.3.4.5' not in repr(layer.metadata)


def test_contrast_limits_and_colormaps_change_nothing_for_the_model():
    layer = as_layer(radiograph(inverted=True))
    before = radiograph_of(layer).to_display()
    layer.contrast_limits = (3, 5)
    layer.colormap = 'viridis'
    np.testing.assert_array_equal(radiograph_of(layer).to_display(), before)


def test_changed_pixels_keep_their_window():
    layer = as_layer(radiograph(inverted=True))
    layer.data = VALUES[:10]
    np.testing.assert_array_equal(
        radiograph_of(layer).to_display(), radiograph(inverted=True).to_display()[:10]
    )


def test_a_layer_from_elsewhere():
    grey = radiograph_of(Image(np.array([[0, 51], [102, 255]], np.uint8)))
    np.testing.assert_allclose(grey.to_display(), [[0, 0.2], [0.4, 1]], atol=1e-6)
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 255
    np.testing.assert_allclose(radiograph_of(Image(red, rgb=True)).to_display(), 0.299, atol=1e-6)


def test_more_dimensions_are_refused():
    with pytest.raises(ValueError, match='more than two dimensions'):
        radiograph_of(Image(np.zeros((3, 8, 8))))


def test_frames_are_a_third_axis():
    frames = np.zeros((5, 8, 8), np.uint16)
    layer = as_layer(radiograph(values=frames, geometry=Geometry((0.2, 0.2))))
    assert layer.axis_labels == ('frame', 'y', 'x') and layer.ndim == 3


@pytest.mark.parametrize(
    'placed',
    [
        {},
        {'scale': (0.2, 0.14), 'translate': (5, -3)},
        {'scale': (2, 3), 'translate': (7, 1), 'rotate': 30},
        {'scale': (2, 2), 'rotate': 20, 'shear': [0.3]},
        {'scale': (2, 3), 'affine': [[0, 1, 4], [-1, 0, 2], [0, 0, 1]]},
    ],
)
def test_the_heatmap_lies_where_its_cells_look(placed):
    base = Image(VALUES, **placed)
    matrix = np.array([[6.5, 0, -2.25], [0, 5.0, 1.5], [0, 0, 1]])
    layer = heatmap_layer(heatmap(matrix), prediction(), base, 1.0)
    for cell in ((0, 0), (1, 2), (2.5, 0.5)):
        pixel = (matrix @ [*cell, 1])[:2]
        np.testing.assert_allclose(layer.data_to_world(cell), base.data_to_world(pixel), atol=1e-9)


def test_another_map_goes_into_the_same_layer():
    base = Image(VALUES, scale=(0.5, 0.5), affine=[[1, 0, 9], [0, 1, 0], [0, 0, 1]])
    layer = heatmap_layer(heatmap(np.eye(3)), prediction(), base, 1.0)
    matrix = np.diag([4.0, 4.0, 1.0])
    show_heatmap(layer, heatmap(matrix, np.eye(5, dtype=np.float32)), prediction(), base, 2.0)
    assert layer.data.shape == (5, 5) and layer.contrast_limits == [0, 2]
    np.testing.assert_allclose(layer.data_to_world((2, 3)), base.data_to_world((8, 12)))


def test_the_heatmap_layer_says_what_it_is():
    layer = heatmap_layer(heatmap(np.eye(3)), prediction(), Image(VALUES), 1.0)
    assert layer.name == 'Grad-CAM · b · p=0.75'
    assert layer.data.dtype == np.float32
    assert layer.colormap.map(np.array([0.0]))[0, 3] == 0
    entry = layer.metadata['napari_cxr']
    assert entry['model'] == 'm' and entry['model_hash'] == 'abc' and entry['label'] == 'b'
    assert is_heatmap(layer) and not is_heatmap(Image(VALUES))


def test_layers_of_both_kinds_go_into_a_viewer():
    viewer = ViewerModel()
    base = viewer.add_layer(as_layer(radiograph(geometry=Geometry((0.2, 0.2)))))
    viewer.add_layer(heatmap_layer(heatmap(np.eye(3)), prediction(), base, 0.0))
    assert viewer.layers[1].units == base.units
