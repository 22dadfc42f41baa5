"""DICOM files to :class:`~napari_cxr.radiograph.Radiograph`.

Each name is imported when it is first used; they stand in ``__init__.pyi``. Only `read` needs
pydicom.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
