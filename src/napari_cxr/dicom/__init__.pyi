from .reading import read
from .recognise import is_dicom, is_directory

__all__ = ['is_dicom', 'is_directory', 'read']
