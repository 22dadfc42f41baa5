"""What the Train dock shows of an audit, and what can be asked for there."""

import math

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_cxr.evaluation.audit_findings import SourceAudit
from napari_cxr.evaluation.data_audit import Audit
from napari_cxr.evaluation.variable_audit import VariableAudit
from napari_cxr.plugin.train.audit_view import AuditView


def found(judged=3):
    """An audit of four images, of which the second label is doubted."""
    doubts = np.array([-0.2, 0.4, -0.1, math.nan])
    doubts[judged:] = math.nan
    return Audit(
        run='',
        labels=('normal', 'pneumonia'),
        paths=tuple(f'/a/{i}.png' for i in range(4)),
        digests=tuple('0123'),
        truth=np.eye(2, dtype=bool)[[0, 1, 0, 1]],
        multilabel=False,
        sources=('a',) * 4,
        views=('AP',) * 4,
        splits=('',) * 4,
        groups=tuple('0123'),
        probabilities=np.full((4, 2), 0.5),
        doubts=doubts,
        suggested=np.array([-1, 0 if judged else -1, -1, -1]),
        frontal=('frontal',) * 4,
        copies=(),
        pairs=(),
        variables=(
            VariableAudit('source', 4, {}, (0.9, 0.85, 0.95), 'yes', 'Source says it.'),
            VariableAudit('sex', 0, {}, (), 'unknown', 'The sex of the images is not known.'),
        ),
        baselines={'boosted trees': (0.7, 0.6, 0.8)},
        by_source=(SourceAudit('a', {'normal': 2, 'pneumonia': 2}, (), 3, 1, (), math.nan),),
        skipped=(),
        findings=('Sizes differ.', 'Source says it.'),
    )


@pytest.fixture
def view(qtbot):
    made = AuditView('dark')
    qtbot.addWidget(made)
    made.show()
    return made


def test_an_audit_is_asked_for_by_a_button(view, qtbot):
    assert view.about.isVisible() and not view.read.isVisible()
    with qtbot.waitSignal(view.wanted):
        qtbot.mouseClick(view.start, Qt.MouseButton.LeftButton)
    view.enable(False)
    assert not view.start.isEnabled()


def test_what_was_found_is_shown_once(view, qtbot):
    view.show_audit(found(), known=('Sizes differ.',))
    assert view.findings.text() == '• Source says it.'
    assert view.doubtful.text() == '1 of 3 labels that could be judged are doubtful.'
    assert 'source: yes' in view.variables.accessibleDescription()
    assert 'no anatomy, boosted trees' in view.variables.accessibleDescription()
    with qtbot.waitSignal(view.reading_list_wanted):
        qtbot.mouseClick(view.read, Qt.MouseButton.LeftButton)
    view.clear()
    assert not view.findings.isVisible() and not view.read.isVisible()


def test_where_no_label_could_be_judged_there_is_no_list(view):
    view.show_audit(found(judged=0))
    assert view.doubtful.text() == 'No label could be judged.' and not view.read.isVisible()
