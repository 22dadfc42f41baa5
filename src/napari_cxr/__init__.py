"""Chest radiographs in napari: open, classify, explain, train.

For research only, not for clinical use.

Each name is imported when it is first used (SPEC 1), so importing the package costs next to
nothing and loads no numpy, torch, pydicom or napari.

Examples
--------
>>> import napari_cxr as cxr
>>> cxr.__all__
['DataAudit', 'Evaluation', 'Explanation', 'Model', 'Radiograph', 'Result', 'TrainedModel', \
'audit', 'evaluate', 'load_model', 'models', 'read', 'recipes', 'score', 'train']
"""

import lazy_loader

__version__ = '0.1.0'

# `__init__.pyi` says the same to type checkers.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        'api': [
            'DataAudit',
            'Evaluation',
            'Explanation',
            'Model',
            'Result',
            'TrainedModel',
            'audit',
            'evaluate',
            'load_model',
            'models',
            'read',
            'recipes',
            'score',
            'train',
        ],
        'radiograph': ['Radiograph'],
    },
)
