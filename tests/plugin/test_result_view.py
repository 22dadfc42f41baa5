"""What the dock says of a result."""

import pytest

from napari_cxr.inference.prediction import Prediction
from napari_cxr.plugin.classifying import Answer
from napari_cxr.plugin.result_view import ResultView


@pytest.mark.parametrize('several', [False, True])
def test_probabilities_that_do_not_sum_to_one_are_explained(qtbot, several):
    view = ResultView('dark', 0.4)
    qtbot.addWidget(view)
    prediction = Prediction(('effusion', 'mass'), (0.9, 0.4), (2.2, -0.4), several=several)
    view.show_answer(Answer(prediction, (), (None, 0.3)), 'effusion')
    assert view.bars.rows == [('effusion', 0.9), ('mass', 0.4)]
    assert view.apart.isHidden() is not several
    assert 'need not sum to 100 %' in view.apart.text()
