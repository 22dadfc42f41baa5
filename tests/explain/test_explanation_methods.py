"""Methods by name."""

import pytest

from napari_cxr.explain import explanation_methods, grad_cam


def test_grad_cam_is_the_default():
    assert explanation_methods.names()[0] == 'Grad-CAM'
    assert explanation_methods.method('Grad-CAM') is grad_cam


def test_an_unknown_method_is_answered_with_those_there_are():
    with pytest.raises(ValueError, match=r"no explanation method 'Score-CAM'.*there is Grad-CAM"):
        explanation_methods.method('Score-CAM')
