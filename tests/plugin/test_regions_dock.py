import json

import imageio.v3 as iio
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_cxr import samples
from napari_cxr.plugin.regions_dock import RegionsDock


@pytest.fixture
def opened(qtbot, tmp_path):
    """A dock, and the layer of a picture as napari's reader makes it."""
    path = tmp_path / 'chest.png'
    iio.imwrite(path, np.rint(255 * samples.phantom((120, 100))).astype(np.uint8))
    viewer = ViewerModel()
    dock = RegionsDock(viewer)
    qtbot.addWidget(dock)
    assert not dock.boxes.isEnabled() and 'Open a chest radiograph' in dock.status.text()

    def open_again():
        viewer.layers.clear()
        layer = Image(iio.imread(path), scale=(0.5, 0.5))
        layer._source = layer.source.model_copy(update={'path': str(path)})
        viewer.add_layer(layer)
        return layer

    return dock, open_again, path


def test_boxes_and_points_are_saved_beside_the_image_and_come_back(qtbot, opened):
    dock, open_again, path = opened
    base = open_again()
    assert dock.boxes.isEnabled() and 'chest.regions.json' in dock.status.text()
    dock.finding.setText('opacity')
    dock.reader.setText('AB')
    dock.boxes.click()
    shapes, points = dock._layers_on(base)
    assert shapes.mode == 'add_rectangle' and dock.viewer.layers.selection.active is shapes
    np.testing.assert_allclose(shapes.scale, base.scale)
    shapes.add_rectangles([np.array([[30.0, 10.0], [50.0, 40.0]])])
    dock.finding.setText('nodule')
    dock.points.click()
    assert points.mode == 'add'
    points.add([[60.0, 20.0]])
    with qtbot.waitSignal(dock.settled, timeout=60_000):
        dock.save.click()
    assert not dock.message.text and '2 regions saved' in dock.status.text()
    content = json.loads((path.parent / 'chest.regions.json').read_text())
    assert content['reader'] == 'AB' and content['shape'] == [120, 100]
    assert content['regions'] == [
        {'label': 'opacity', 'box': [30, 10, 50, 40]},
        {'label': 'nodule', 'point': [60, 20]},
    ]
    shapes, points = dock._layers_on(open_again())
    assert list(shapes.features['finding']) == ['opacity']
    assert list(points.features['finding']) == ['nodule']
    np.testing.assert_allclose(points.data, [[60, 20]])


def test_a_damaged_file_is_told_of(opened):
    dock, open_again, path = opened
    (path.parent / 'chest.regions.json').write_text('{')
    dock._layers_on(open_again())
    assert 'chest.regions.json cannot be read' in dock.message.text
