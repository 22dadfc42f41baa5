"""A network that fails in the middle of a run."""

import pytest

from napari_cxr.scoring import Finished, ScoringError, Started, list_items, reopening, score
from napari_cxr.scoring.preparing import read_here
from napari_cxr.scoring.settings import Settings


@pytest.mark.parametrize('shares', [False, True])
def test_a_device_that_fails_is_said_and_rows_are_kept(
    folder, classifier, tmp_path, monkeypatch, shares
):
    name = 'maps' if shares else 'logits'
    real, batches = getattr(classifier, name), []

    def run(images, at_most):
        batches.append(len(images))
        if len(batches) > 1:
            raise RuntimeError('CUDA error: an illegal memory access\nFor debugging consider')
        return real(images, at_most)

    monkeypatch.setattr(classifier, name, run)
    items, out = list_items([folder]), tmp_path / 't.csv'
    settings = Settings(batch=2, shares=shares)
    said = r'failed on cpu \(CUDA error: an illegal memory access\).* kept: .*resume'
    with pytest.raises(ScoringError, match=said):
        list(score(items, classifier, out, read_here, settings))
    assert any(row.status == 'scored' for row in reopening.reopen(out)[1])
    monkeypatch.undo()
    events = list(score(items, classifier, out, read_here, settings, resume=True))
    assert next(e.done for e in events if isinstance(e, Started)) > 0
    assert isinstance(events[-1], Finished) and events[-1].failed == 1
