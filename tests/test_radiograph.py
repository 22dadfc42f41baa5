"""The type that every image becomes."""

import numpy as np
import pytest

from napari_cxr.radiograph import LookupTable, Radiograph, UnreadableImage, View, Window


def test_linear_window_of_the_standards_examples():
    # PS3.3 C.11.2.1.2.1: c = 2048, w = 1 is a threshold at 2047.5.
    threshold = Window(2048, 1)
    np.testing.assert_array_equal(threshold.apply(np.array([2047, 2048])), [0, 1])
    # c = 0, w = 100: black up to -50, white beyond 49.
    wide = Window(0, 100)
    assert wide.limits == (-50, 49)
    np.testing.assert_allclose(wide.apply(np.array([-60, -50, 49, 60])), [0, 0, 1, 1], atol=1e-6)
    # c = 0, w = 1: black up to -0.5.
    np.testing.assert_array_equal(Window(0, 1).apply(np.array([-1, 0])), [0, 1])


def test_linear_exact_window():
    # C.11.2.1.3.2: black up to c - w/2, white beyond c + w/2.
    window = Window(10, 4, 'LINEAR_EXACT')
    assert window.limits == (8, 12)
    np.testing.assert_allclose(window.apply(np.array([7, 8, 9, 12, 13])), [0, 0, 0.25, 1, 1])


def test_sigmoid_window_never_overflows():
    window = Window(0, 1, 'SIGMOID')
    with np.errstate(all='raise'):
        ends = window.apply(np.array([-1e6, 0, 1e6], dtype=np.float32))
    np.testing.assert_allclose(ends, [0, 0.5, 1], atol=1e-6)
    low, high = window.limits
    assert window.apply(np.array([low, high])) == pytest.approx([0.000335, 0.999665], abs=1e-6)


@pytest.mark.parametrize(
    ('center', 'width', 'function'),
    [
        (0, 0.5, 'LINEAR'),
        (0, 0, 'LINEAR_EXACT'),
        (0, 0, 'SIGMOID'),
        (0, -1, 'SIGMOID'),
        (float('nan'), 1, 'LINEAR'),
        (0, float('inf'), 'LINEAR'),
    ],
)
def test_impossible_windows(center, width, function):
    with pytest.raises(ValueError, match='window'):
        Window(center, width, function)


def test_spanning_window():
    window = Window.spanning(10, 20)
    np.testing.assert_allclose(window.apply(np.array([10, 15, 20])), [0, 0.5, 1])
    assert np.isfinite(Window.spanning(5, 5).apply(np.array([4, 5, 6]))).all()


def test_table_takes_its_ends_beyond_its_ends():
    table = LookupTable(-1, np.array([0, 0.25, 1], np.float32))
    assert table.limits == (-1, 1)
    np.testing.assert_allclose(table.apply(np.array([-9, -1, 0, 1, 9])), [0, 0, 0.25, 1, 1])
    np.testing.assert_allclose(table.apply(np.array([-0.4, 0.6])), [0.25, 1])  # to the nearest


def test_display_turns_once_and_padding_is_black():
    values = np.array([[0, 5, 10]], dtype=np.uint8)
    image = Radiograph(
        values,
        (Window.spanning(0, 10),),
        inverted=True,
        padding=np.array([[True, False, False]]),
    )
    np.testing.assert_allclose(image.to_display(), [[0, 0.5, 0]])
    assert image.to_display().dtype == np.float32


@pytest.mark.parametrize(
    ('dtype', 'limits'),
    [(np.uint8, (0, 255)), (np.uint16, (0, 65535)), (np.int16, (-32768, 32767)), (bool, (0, 1))],
)
def test_the_range_of_an_array_is_that_of_its_type(dtype, limits):
    image = Radiograph.from_array(np.ones((3, 4), dtype=dtype))
    assert image.presets[0].limits == pytest.approx(limits)


def test_floats_in_0_to_1_keep_that_range_and_others_are_noted():
    inside = Radiograph.from_array(np.array([[0.2, 0.4]]))
    assert inside.presets[0].limits == pytest.approx((0, 1))
    assert inside.notes == ()
    beyond = Radiograph.from_array(np.array([[-3.0, np.nan, 7.0]]))
    assert beyond.presets[0].limits == pytest.approx((-3, 7))
    assert beyond.notes
    np.testing.assert_allclose(beyond.to_display(), [[0, 0, 1]])


def test_colour_becomes_luminance():
    rgb = np.zeros((2, 2, 4), np.uint8)
    rgb[..., 0] = 255
    image = Radiograph.from_array(rgb)
    assert image.is_colour
    assert image.values.shape == (2, 2, 3)
    assert image.shape == (2, 2)
    np.testing.assert_allclose(image.to_display(), 0.299, atol=1e-5)  # BT.601


def test_frames():
    stack = Radiograph.from_array(np.zeros((5, 3, 4)), is_colour=False)
    assert (stack.frames, stack.shape) == (5, (3, 4))
    assert Radiograph.from_array(np.zeros((3, 4))).frames is None
    assert stack.to_display().shape == (5, 3, 4)


@pytest.mark.parametrize('array', [np.full((2, 2), np.nan), np.zeros((2, 2), complex)])
def test_what_is_no_image_is_refused(array):
    with pytest.raises(UnreadableImage):
        Radiograph.from_array(array)


def test_impossible_radiographs():
    window = (Window.spanning(0, 1),)
    for values, more in (
        (np.zeros(3), {}),
        (np.zeros((0, 3)), {}),
        (np.zeros((2, 2, 4)), {'is_colour': True}),
        (np.zeros((2, 2)), {'padding': np.zeros((3, 3), bool)}),
    ):
        with pytest.raises(ValueError):
            Radiograph(values, window, **more)
    with pytest.raises(ValueError, match='window'):
        Radiograph(np.zeros((2, 2)), ())


def test_with_values_forgets_padding_of_another_shape():
    image = Radiograph(
        np.zeros((2, 2)), (Window.spanning(0, 1),), padding=np.array([[True, False]] * 2)
    )
    assert image.with_values(np.ones((2, 2))).padding is not None
    assert image.with_values(np.ones((4, 4))).padding is None


def test_only_pa_and_ap_are_frontal():
    assert [view for view in View if view.is_frontal] == [View.PA, View.AP]
