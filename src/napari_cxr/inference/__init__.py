"""From a radiograph to a prediction: preprocessing, device, classifier.

Importing this package imports no torch; `napari_cxr.inference.classifier` does.
"""

from napari_cxr.inference.prediction import ImageWarning, Prediction
from napari_cxr.inference.preprocessing import NetworkInput, Preprocessing

__all__ = ['ImageWarning', 'NetworkInput', 'Prediction', 'Preprocessing']
