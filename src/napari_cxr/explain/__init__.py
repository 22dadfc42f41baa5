"""Heatmaps and feature maps: which pixels a prediction came from.

Each name is imported when it is first used; they stand in ``__init__.pyi``. A `Heatmap` and
`FeatureMaps` are used in processes that have no torch, the other names import it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
