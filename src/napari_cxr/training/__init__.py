"""From labelled images to a trained model: data set, recipe, and training as a series of events.

Each name is imported when it is first used, so importing this package imports neither numpy
nor torch. `__init__.pyi` lists the names.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
