"""The process that evaluates, and its job: events of `napari_cxr.evaluation.evaluation_run`."""

from __future__ import annotations

import atexit
from functools import cache

from napari_cxr.evaluation.evaluation_events import EvaluationResult
from napari_cxr.plugin.background import Job, end_worker
from napari_cxr.plugin.evaluate.evaluation_setup import EvaluationRequest
from napari_cxr.workers.model_worker import worker_role
from napari_cxr.workers.worker_process import WorkerProcess

__all__ = ['evaluate_models', 'shared_evaluator']

#: Seconds that the process may take to end; rows are on the disk as soon as they are scored.
_GRACE = 2.0


@cache
def shared_evaluator(role: str) -> WorkerProcess:
    """Return the process that evaluates, of one role or the other."""
    worker = WorkerProcess(role, grace=_GRACE, background=True)
    atexit.register(end_worker, worker, _GRACE)
    return worker


def evaluate_models(request: EvaluationRequest) -> Job[EvaluationResult]:
    """Evaluate models; a job for `run_job`.

    Yields
    ------
    EvaluationEvent
        The last one is `EvaluationFinished`.
    """
    roles = {'torch'} if request.shortcut_tests else set()  # which looks into the network
    for model in request.models:
        roles.add((yield from worker_role(model, request.device)))
    worker = shared_evaluator('torch' if 'torch' in roles else 'inference')
    return (
        yield from worker.run(
            'evaluate',
            models=list(request.models),
            images=request.images,
            out=request.out,
            device=request.device,
            by=list(request.by),
            split=request.split,
            classes=request.classes,
            shortcut_tests=request.shortcut_tests,
        )
    )
