"""Jobs are relayed, cancelled and ended, and nothing is left when a Qt object goes."""

import gc
from threading import Event

import pytest
from qtpy.QtCore import QObject, QThreadPool

from napari_cxr.plugin.background import (
    Failure,
    JobCancelled,
    JobOutcome,
    enlarge_thread_pool,
    run_job,
    when_destroyed,
)
from napari_cxr.plugin.batch.scoring_controller import ScoringSession
from napari_cxr.plugin.train.training_session import TrainingSession

pytestmark = pytest.mark.usefixtures('settled_threads')


class Waiting:
    """A job that yields until it is closed or let go."""

    def __init__(self, result=None):
        self.started, self.let_go, self.closed = Event(), Event(), Event()
        self.result = result

    def __call__(self):
        try:
            yield 'started'
            self.started.set()
            while not self.let_go.wait(0.01):
                yield None
            return self.result
        finally:
            self.closed.set()


class Taker(QObject):
    """Takes what a job says."""

    def __init__(self):
        super().__init__()
        self.events, self.outcomes, self.order = [], [], []

    def relay(self, event):
        self.events.append(event)

    def done(self, outcome):
        self.outcomes.append(outcome)
        self.order.append('done')

    def ended(self):
        self.order.append('ended')

    def run(self, job, doing='Counting', **options):
        return run_job(
            self, job, doing, relay=self.relay, done=self.done, ended=self.ended, **options
        )


def test_events_and_the_result_arrive_in_order(qtbot):
    taker, job = Taker(), Waiting(7)
    taker.run(job())
    job.let_go.set()
    qtbot.waitUntil(lambda: taker.order == ['done', 'ended'])
    assert taker.events == ['started']  # the heartbeat is not passed on
    assert (taker.outcomes[0].result, taker.outcomes[0].cancelled) == (7, False)


def test_a_function_is_a_job_too(qtbot):
    taker = Taker()
    taker.run(lambda: 8)
    qtbot.waitUntil(lambda: taker.order == ['done', 'ended'])
    assert taker.outcomes[0].result == 8


@pytest.mark.parametrize('raises', [True, False])
def test_an_error_arrives_as_a_failure(qtbot, raises):
    def job():
        yield None
        if raises:
            raise ValueError('It has no pixels.')
        return Failure('It has no pixels.', '')

    taker = Taker()
    taker.run(job())
    qtbot.waitUntil(lambda: taker.order == ['done', 'ended'])
    assert isinstance(taker.outcomes[0], Failure)
    assert taker.outcomes[0].text == 'It has no pixels.'


def test_a_programming_error_is_told_by_what_was_done(qtbot):
    taker = Taker()
    taker.run(lambda: 1 / 0, 'Dividing')
    qtbot.waitUntil(lambda: bool(taker.outcomes))
    assert taker.outcomes[0].text.startswith('Dividing failed')
    assert 'ZeroDivisionError' in taker.outcomes[0].details


def test_cancelling_closes_the_job(qtbot):
    taker, job = Taker(), Waiting(7)
    running = taker.run(job())
    assert job.started.wait(60)
    running.cancel()
    qtbot.waitUntil(lambda: taker.order == ['done', 'ended'])
    assert job.closed.is_set()
    assert (taker.outcomes[0].result, taker.outcomes[0].cancelled) == (None, True)
    qtbot.wait(1)
    running.cancel()  # its Qt object has gone


def test_a_cancelled_job_may_leave_something(qtbot):
    inner = Waiting()

    def job():
        try:
            yield from inner()
        except JobCancelled:
            yield 'writing'
            return 5

    taker = Taker()
    running = taker.run(job())
    assert inner.started.wait(60)
    running.cancel()
    qtbot.waitUntil(lambda: bool(taker.outcomes))
    assert inner.closed.is_set()
    assert taker.events == ['started', 'writing']
    assert (taker.outcomes[0].result, taker.outcomes[0].cancelled) == (5, True)


def test_the_owner_takes_its_job_with_it(qtbot):
    taker, job = Taker(), Waiting()
    outcomes = taker.outcomes
    taker.run(job())
    assert job.started.wait(60)
    taker.deleteLater()
    qtbot.waitUntil(job.closed.is_set)
    QThreadPool.globalInstance().waitForDone(60_000)
    qtbot.wait(1)
    assert outcomes == []


def test_the_collector_takes_owner_and_job(qtbot):
    taker, job = Taker(), Waiting()
    taker.itself = taker  # as docks and what they hold refer to each other
    taker.run(job())
    assert job.started.wait(60)
    del taker
    gc.collect()
    qtbot.waitUntil(job.closed.is_set)


def test_without_an_owner_a_job_runs_to_its_end(qtbot):
    outcomes, job = [], Waiting(3)
    run_job(None, job(), 'Counting', done=outcomes.append)
    gc.collect()
    job.let_go.set()
    qtbot.waitUntil(lambda: bool(outcomes))
    assert isinstance(outcomes[0], JobOutcome) and outcomes[0].result == 3


def test_a_long_job_stands_in_the_activity_view(qtbot):
    from napari.utils.progress import progress

    taker, go_on = Taker(), Event()

    def job():
        yield 0.4
        while not go_on.wait(0.01):
            yield None

    def shown():
        return [(each.desc, each.n) for each in progress._all_instances]

    before = len(shown())
    taker.run(job(), fraction_done=lambda event: event)
    qtbot.waitUntil(lambda: len(shown()) > before and shown()[-1][1] == 40)
    assert shown()[-1][0].startswith('Counting')
    go_on.set()
    qtbot.waitUntil(lambda: len(shown()) == before)


@pytest.mark.parametrize('kind', [ScoringSession, TrainingSession])
def test_a_session_that_the_collector_takes_cancels_its_job(qtbot, kind):
    session, job = kind(), Waiting()
    session.itself = session
    session.start_job('count', job(), 'Counting')
    assert job.started.wait(60)
    del session
    gc.collect()
    qtbot.waitUntil(job.closed.is_set)


def test_a_session_that_goes_with_its_dock_cancels_its_job(qtbot):
    dock, job = QObject(), Waiting()
    ScoringSession(dock).start_job('count', job(), 'Counting')
    gc.collect()
    assert job.started.wait(60) and not job.closed.is_set()
    dock.deleteLater()
    qtbot.waitUntil(job.closed.is_set)


def test_a_call_is_made_once_and_not_kept(qtbot):
    calls, thing = [], QObject()
    when_destroyed(thing, lambda: calls.append('gone'))
    del thing
    gc.collect()
    assert calls == ['gone']


def test_more_jobs_can_wait_than_there_are_cores(qtbot):
    enlarge_thread_pool()
    assert QThreadPool.globalInstance().maxThreadCount() >= 16
