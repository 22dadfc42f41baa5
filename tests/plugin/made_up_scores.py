"""Made-up rows of a table of scores, for tests of how they are shown."""

from napari_cxr.inference.prediction import ImageWarning
from napari_cxr.scoring import ScoreRow
from napari_cxr.scoring.annotation import Annotation
from napari_cxr.scoring.score_row import ScoringRun

LABELS = ('covid19', 'normal', 'pneumonia')
NOT_A_CHEST = ImageWarning('not-a-chest', 'This does not look like a frontal chest radiograph.')
LOSSY = ImageWarning('lossy', 'The image went through lossy compression.')


def run(**changes):
    return ScoringRun(
        **{'model': 'made up', 'model_hash': '0' * 12, 'labels': LABELS, 'preprocessing': {}}
        | {'version': '0', 'truth': True, 'shares': True}
        | changes
    )


def scored(number, *probabilities, path='', **changes):
    """Return a row; without probabilities it is one third for each class."""
    shares = probabilities or (1 / 3,) * 3
    return ScoreRow(
        number,
        path or f'/study/{number}.png',
        'scored',
        label=LABELS[shares.index(max(shares))],
        probabilities=shares,
        **changes,
    )


def failed(number, error='It is damaged.', path='', **changes):
    return ScoreRow(number, path or f'/study/{number}.png', 'error', error=error, **changes)


class Labels(dict):
    """A reading list in memory: paths with what a person said."""

    def say(self, path, *labels, note=''):
        self[path] = Annotation(labels=labels, note=note, answer='labels' if labels else '')
