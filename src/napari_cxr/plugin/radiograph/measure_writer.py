"""napari's own Save for layers with measurements."""

from __future__ import annotations

from typing import Any

from napari_cxr.measurements import write_measurements
from napari_cxr.plugin.layers import KEY

__all__ = ['write']


def write(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write a layer with measurements to a JSON file; a writer of the manifest.

    Parameters
    ----------
    path : str
        The file.
    data, attributes
        Of a shapes layer, as napari hands them to writers.

    Returns
    -------
    list of str
        The file.

    Raises
    ------
    ValueError
        If it is no layer with measurements of ours.
    """
    from napari.layers import Shapes

    from napari_cxr.plugin.radiograph.measure_layer import is_measurement_layer, measurements_in

    layer = Shapes(data, **attributes)
    if not is_measurement_layer(layer):
        raise ValueError(
            'This layer holds no measurements of a chest radiograph. Save it as CSV instead.'
        )
    write_measurements(path, layer.metadata[KEY]['measured'], measurements_in(layer))
    return [path]
