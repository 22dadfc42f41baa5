from napari_cxr.api import (
    DataAudit as DataAudit,
)
from napari_cxr.api import (
    Evaluation as Evaluation,
)
from napari_cxr.api import (
    Explanation as Explanation,
)
from napari_cxr.api import (
    Model as Model,
)
from napari_cxr.api import (
    Result as Result,
)
from napari_cxr.api import (
    TrainedModel as TrainedModel,
)
from napari_cxr.api import (
    audit as audit,
)
from napari_cxr.api import (
    evaluate as evaluate,
)
from napari_cxr.api import (
    load_model as load_model,
)
from napari_cxr.api import (
    models as models,
)
from napari_cxr.api import (
    read as read,
)
from napari_cxr.api import (
    recipes as recipes,
)
from napari_cxr.api import (
    score as score,
)
from napari_cxr.api import (
    train as train,
)
from napari_cxr.radiograph import Radiograph as Radiograph

__all__ = [
    'DataAudit',
    'Evaluation',
    'Explanation',
    'Model',
    'Radiograph',
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
__version__: str
