"""Text and side markers: drawn ones are found, shapes of the chest are not."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from napari_cxr import samples
from napari_cxr.explain.heatmap import Heatmap
from napari_cxr.explain.heatmap_location import marker_fraction
from napari_cxr.lungs.text_markers import (
    TextMarkers,
    _median,
    find_text_markers,
    text_markers,
)
from napari_cxr.radiograph import Radiograph


def chest(seed=1):
    """Return a chest of which the upper right corner, with its side marker, is painted over."""
    display = samples.phantom((600, 500), seed=seed)
    display[:110, 420:] = display[112:114, 420:].mean()
    return display


def written(text, at, height):
    """Return a chest with white text on it, and where the text is: top, left, bottom, right."""
    picture = Image.fromarray(np.rint(255 * chest()).astype(np.uint8))
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(height)
    draw.text((at[1], at[0]), text, fill=255, font=font)
    left, top, right, bottom = draw.textbbox((at[1], at[0]), text, font=font)
    return np.asarray(picture, np.float32) / 255, (top, left, bottom, right)


@pytest.mark.parametrize('text, at, height', [('R', (20, 20), 40), ('SUPINE', (12, 15), 24)])
def test_text_is_found_where_it_is(text, at, height):
    display, (top, left, bottom, right) = written(text, at, height)
    found = find_text_markers(display)
    assert found.boxes
    rows, columns = display.shape
    for box in found.boxes:
        middle = (box[0] + box[2]) / 2 * rows, (box[1] + box[3]) / 2 * columns
        assert top - 3 <= middle[0] <= bottom + 3 and left - 3 <= middle[1] <= right + 3
    lit = np.zeros(found.mask.shape, bool)
    lit[
        round(top / rows * len(lit)) : round(bottom / rows * len(lit)),
        round(left / columns * lit.shape[1]) : round(right / columns * lit.shape[1]),
    ] = True
    assert (found.mask & lit).sum() > 0.6 * lit.sum()


def test_a_chest_without_writing_has_none_and_neither_has_a_flat_image():
    assert not find_text_markers(np.full((300, 200), 0.5, np.float32)).boxes
    for seed in range(3):
        assert not find_text_markers(chest(seed)).boxes
        (marker,) = find_text_markers(samples.phantom((600, 500), seed=seed)).boxes
        assert marker[2] < 0.1 and marker[1] > 0.9


def test_the_median_is_that_of_scipy_to_the_last_digit():
    image = np.random.default_rng(0).random((31, 47), dtype=np.float32)
    np.testing.assert_array_equal(_median(image), ndimage.median_filter(image, 3))


def test_what_lies_in_the_lungs_is_no_marker():
    display, (top, left, bottom, right) = written('R', (250, 120), 40)
    assert find_text_markers(display).boxes
    lungs = np.zeros(display.shape, bool)
    lungs[top:bottom, left:right] = True
    assert not find_text_markers(display, lungs).boxes


def test_a_radiograph_is_looked_at_as_it_looks():
    display, _ = written('R', (20, 20), 40)
    radiograph = Radiograph.from_array(np.rint(255 * display).astype(np.uint8))
    assert len(text_markers(radiograph).boxes) == len(find_text_markers(display).boxes) == 1


def test_how_much_of_a_heatmap_lies_on_markers():
    mask = np.zeros((10, 20), bool)
    mask[:, :4] = True  # a fifth of the image
    values = np.array([[3.0, 0, 0, 0, 1.0]], np.float32)
    matrix = np.diag([100.0, 40.0, 1.0])  # five cells of 40 columns
    matrix[:2, 2] = 49.5, 19.5
    heatmap = Heatmap(values, matrix, 'a', 0.5, 0.0, 'Grad-CAM', 'm')
    found = marker_fraction(heatmap, TextMarkers(mask, ((0, 0, 1, 0.2),)), (100, 200))
    assert found.uniform == pytest.approx(0.2) and found.count == 1
    drawn = heatmap.sample_on((100, 200))
    assert found.fraction == pytest.approx(drawn[:, :40].sum() / drawn.sum(), abs=0.02)
    nothing = marker_fraction(heatmap, TextMarkers(np.zeros((4, 4), bool), ()), (100, 200))
    assert (nothing.fraction, nothing.count) == (0, 0)
