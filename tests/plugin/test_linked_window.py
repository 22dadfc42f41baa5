"""A change of one window changes the other by the same part of its own."""

import numpy as np
import pytest
from napari.layers import Image

from napari_cxr.plugin.linked_window import LinkedWindow


@pytest.fixture
def linked():
    """Links two layers for as long as the test runs."""
    held = []
    return lambda one, other: held.append(LinkedWindow(one, other))


def layer(low, high, colormap='gray', top=4095):
    values = np.linspace(0, top, 100).reshape(10, 10)
    return Image(values, contrast_limits=(low, high), colormap=colormap)


def test_by_the_same_part_of_each_window(linked):
    one, other = layer(1000, 2000), layer(0, 200, top=255)
    linked(one, other)
    one.contrast_limits = (1250, 1750)  # the middle half
    assert other.contrast_limits == pytest.approx([50, 150])
    other.contrast_limits = (0, 200)
    assert one.contrast_limits == pytest.approx([1000, 2000])


def test_brighter_is_brighter_where_values_are_inverted(linked):
    one, other = layer(1000, 2000), layer(1000, 2000, 'gray_r')
    linked(one, other)
    one.contrast_limits = (900, 1500)  # brighter: what was grey is white
    assert other.contrast_limits == pytest.approx([1500, 2100])


def test_beyond_the_range_that_a_layer_had(linked):
    one, other = layer(0, 4095), layer(0, 255, top=255)
    linked(one, other)
    one.contrast_limits_range = (-4095, 8190)
    one.contrast_limits = (-4095, 8190)
    assert other.contrast_limits == pytest.approx([-255, 510])


def test_gamma_and_the_end():
    one, other = layer(0, 100), layer(0, 100)
    linked = LinkedWindow(one, other)
    one.gamma = 1.5
    assert other.gamma == 1.5
    linked.end()
    one.contrast_limits, one.gamma = (10, 20), 1.0
    assert other.contrast_limits == [0, 100]
    assert other.gamma == 1.5


def test_colour_has_no_window():
    colour = Image(np.zeros((4, 4, 3), np.uint8), rgb=True)
    LinkedWindow(colour, layer(0, 100)).end()
