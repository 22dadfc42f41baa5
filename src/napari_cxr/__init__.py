"""Chest radiographs in napari: open, classify, explain, train.

For research only, not for clinical use.
"""

__version__ = '0.1.0'
