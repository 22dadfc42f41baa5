"""The colours of classes, as people with and without colour vision see them."""

from itertools import combinations

import numpy as np
import pytest

from napari_cxr.plugin.plots.plot import CLASS_COLORS, class_color
from napari_cxr.plugin.style import theme_color

#: Machado, Oliveira and Fernandes, IEEE TVCG 15(6), 2009, severity 1.0, on linear RGB.
VISION = {
    'normal': np.eye(3),
    'protan': [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
               [-0.003882, -0.048116, 1.051998]],
    'deutan': [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
               [-0.011820, 0.042940, 0.968881]],
    'tritan': [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
               [0.004733, 0.691367, 0.303900]],
}  # fmt: skip


def linear(color):
    values = np.array(color.getRgbF()[:3])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def encoded(values):
    values = np.clip(values, 0, 1)
    return np.where(values <= 0.0031308, 12.92 * values, 1.055 * values ** (1 / 2.4) - 0.055)


def luminance(color):
    return linear(color) @ [0.2126, 0.7152, 0.0722]


@pytest.mark.parametrize('vision', VISION)
@pytest.mark.parametrize('theme', ['dark', 'light'])
def test_any_two_classes_can_be_told_apart(theme, vision):
    from skimage.color import deltaE_ciede2000, rgb2lab

    seen = [
        rgb2lab(encoded(np.array(VISION[vision]) @ linear(class_color(theme, i))))
        for i in range(8)
    ]
    assert min(deltaE_ciede2000(a, b) for a, b in combinations(seen, 2)) > 15


@pytest.mark.parametrize('theme', ['dark', 'light'])
def test_every_class_stands_out_from_the_background(theme):
    ground = luminance(theme_color(theme, 'background'))
    for i in range(8):
        light, dark = sorted((luminance(class_color(theme, i)), ground), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 3  # WCAG 2.2, 1.4.11


def test_colours_repeat_after_eight():
    assert (
        class_color('dark', 9).name() == class_color('dark', 1).name() == CLASS_COLORS['dark'][1]
    )
