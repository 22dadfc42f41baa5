"""The examples in the docstrings of the API run, and give what they say."""

import doctest
import warnings

import pytest

import napari_cxr
from napari_cxr.api import data_audits, evaluations, jobs, models


@pytest.mark.slow
@pytest.mark.parametrize(
    'module',
    [napari_cxr, models, jobs, data_audits, evaluations],
    ids=lambda module: module.__name__,
)
def test_examples(module, in_workplace):
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    runner = doctest.DocTestRunner(optionflags=flags)
    examples = [test for test in doctest.DocTestFinder().find(module) if test.examples]
    assert examples
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', UserWarning)  # of so few images
        for test in examples:
            runner.run(test)
    assert runner.failures == 0
