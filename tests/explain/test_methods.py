"""Methods by name."""

import pytest

from napari_cxr.explain import grad_cam, methods


def test_grad_cam_is_the_default():
    assert methods.names()[0] == 'Grad-CAM'
    assert methods.method('Grad-CAM') is grad_cam


def test_an_unknown_method_is_answered_with_those_there_are():
    with pytest.raises(ValueError, match=r"no method 'Score-CAM'.*there is Grad-CAM"):
        methods.method('Score-CAM')
