"""Which layer a dock is about when it opens."""

import numpy as np
from napari.components import ViewerModel

from napari_cxr.plugin.widgets.input_selector import InputSelector


def test_a_dock_that_opens_later_takes_the_layer_on_show(qtbot, own_plugin):
    viewer = ViewerModel()
    shown, hidden = (viewer.add_image(np.zeros((4, 4))) for _ in range(2))
    hidden.visible = False
    viewer.layers.selection.clear()
    selector = InputSelector(viewer)
    qtbot.addWidget(selector)
    assert selector.current_layer is shown
    hidden.visible, viewer.layers.selection.active = True, shown
    again = InputSelector(viewer)
    qtbot.addWidget(again)
    assert again.current_layer is shown
