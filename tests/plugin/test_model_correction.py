"""What a model sees is inverted, mirrored or turned; layers stay in place."""

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Shapes

from napari_cxr.correction import Correction
from napari_cxr.inference import Preprocessing
from napari_cxr.inference.prediction import find_warnings
from napari_cxr.plugin.layers import lay_on, radiograph_layer_data, radiograph_of
from napari_cxr.plugin.model_correction import (
    apply_correction,
    correct_radiograph,
    correction_of,
)
from napari_cxr.plugin.radiograph_views import views_of
from napari_cxr.radiograph import Geometry, Radiograph, SpacingSource


def ended(job):
    """Run a job that waits for nobody."""
    while True:
        try:
            next(job)
        except StopIteration as stop:
            return stop.value


@pytest.fixture
def base():
    values = np.arange(24, dtype=np.uint8).reshape(4, 6) * 10
    radiograph = Radiograph.from_array(
        values, geometry=Geometry((0.5, 0.25), SpacingSource.AS_STATED, 2.0)
    )
    data, attributes, _ = radiograph_layer_data(radiograph, 'chest')
    return Image(data, **attributes)


@pytest.fixture
def viewer(qapp, base):
    viewer = ViewerModel()
    viewer.add_layer(base)
    return viewer


@pytest.mark.parametrize('correction', [Correction(True, True, 1), Correction(turns=2)])
def test_the_model_sees_what_was_on_screen(viewer, base, correction):
    read = radiograph_of(base)
    line = Shapes([[[0, 0], [3, 5]]], shape_type='line', scale=base.scale, units=base.units)
    viewer.add_layer(line)
    lay_on(line, base)
    views_of(viewer).correct(base, correction)
    shown = [np.asarray(line.data_to_world(end)) for end in line.data[0]]
    middle = base.extent.world.mean(axis=0)
    assert apply_correction(viewer, base, ended(correct_radiograph(base, correction)))
    model = radiograph_of(base)
    assert model.to_display() == pytest.approx(
        correction.apply(1 - read.to_display() if correction.inverted else read.to_display())
    )
    assert correction_of(base) == correction == model.correction
    # The view is that of the file again: what was a change for the eye is in the pixels now.
    assert not views_of(viewer).lies(base) and np.allclose(base.affine, np.eye(3))
    moved = [np.asarray(line.data_to_world(end)) for end in line.data[0]]
    shift = base.extent.world.mean(axis=0) - middle
    assert np.allclose(np.array(shown) + shift, moved)
    (warning,) = [
        w for w in find_warnings(model, Preprocessing(4, 6).apply(model)) if w.code == 'note'
    ]
    assert str(correction) in warning.text
    assert apply_correction(viewer, base, ended(correct_radiograph(base, correction.inverse())))
    assert not correction_of(base) and (radiograph_of(base).values == read.values).all()
    assert line.data[0] == pytest.approx(np.array([[0, 0], [3, 5]]))


def test_other_pixels_are_left_alone(viewer, base):
    corrected = ended(correct_radiograph(base, Correction(mirrored=True)))
    base.data = base.data.copy()
    assert not apply_correction(viewer, base, corrected)
    assert not correction_of(base)


def test_an_image_of_another_reader_is_corrected_too(viewer):
    layer = viewer.add_image(np.arange(6, dtype=np.uint8).reshape(2, 3))
    assert apply_correction(viewer, layer, ended(correct_radiograph(layer, Correction(turns=1))))
    assert layer.data.tolist() == [[3, 0], [4, 1], [5, 2]]
    assert radiograph_of(layer).correction == Correction(turns=1)
