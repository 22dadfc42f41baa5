"""A model is one ``.safetensors`` file, with its card in the file's metadata.

Importing this package imports no torch, and nothing is ever unpickled. Each name is imported
when it is first used; they stand in ``__init__.pyi``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
