"""The Python API: what the docks and the command line do, as a few functions.

Nothing here imports torch or decodes a file in this process. Files are read by a decoder
process, and networks run in a worker process, so the same lines work in a script, in a
notebook and in napari's own console.
"""

from napari_cxr.api.data_audits import DataAudit, audit
from napari_cxr.api.evaluations import Evaluation, evaluate
from napari_cxr.api.jobs import TrainedModel, recipes, score, train
from napari_cxr.api.models import Explanation, Model, Result, load_model, models, read

__all__ = [
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
]
