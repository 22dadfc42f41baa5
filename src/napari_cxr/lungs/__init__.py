"""The lung field, and whether an image is a frontal chest radiograph, without torch.

Each name is imported when it is first used; they stand in ``__init__.pyi``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
