"""What is to be done at the end of a Qt object is done, whoever ends it."""

import gc

import pytest
from qtpy.QtCore import QObject, QThreadPool

from napari_cxr.plugin.background import enlarge_thread_pool, when_destroyed
from napari_cxr.plugin.batch.scoring_controller import ScoringSession
from napari_cxr.plugin.train.training_session import TrainingSession


@pytest.mark.parametrize('kind', [ScoringSession, TrainingSession])
def test_a_session_that_the_collector_takes_cancels_its_job(qtbot, kind):
    session = kind()
    session.itself = session  # as docks and what they hold refer to each other
    job = session._new()
    del session
    gc.collect()
    assert job.is_set()


def test_a_session_that_goes_with_its_dock_cancels_its_job(qtbot):
    dock = QObject()
    job = ScoringSession(dock)._new()
    gc.collect()
    assert not job.is_set()
    dock.deleteLater()
    qtbot.waitUntil(job.is_set)


def test_a_call_is_made_once_and_not_kept(qtbot):
    calls, thing = [], QObject()
    when_destroyed(thing, lambda: calls.append('gone'))
    del thing
    gc.collect()
    assert calls == ['gone']


def test_more_jobs_can_wait_than_there_are_cores(qtbot):
    enlarge_thread_pool()
    assert QThreadPool.globalInstance().maxThreadCount() >= 16
