"""The command line: thin, and with the same code as the docks.

This process may own torch; files are decoded in processes of their own.
"""

from napari_cxr.cli.application import app, main

__all__ = ['app', 'main']
