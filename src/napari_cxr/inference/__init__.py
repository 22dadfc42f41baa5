"""From a radiograph to a prediction: preprocessing, device, classifier.

Importing this package imports no torch; `napari_cxr.inference.classifier` does.
"""

from napari_cxr.inference.prediction import Caution, Prediction
from napari_cxr.inference.preprocessing import Prepared, Preprocessing

__all__ = ['Caution', 'Prediction', 'Prepared', 'Preprocessing']
