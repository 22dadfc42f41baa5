"""What is told of a survey, against counts by hand."""

from dataclasses import replace

import numpy as np
import pytest
from made_up_survey import survey

from napari_cxr.plugin.train.dataset_summary import (
    association_sentence,
    baseline_sentence,
    image_counts,
    one_sided_sentences,
    relative_names,
    source_table,
)


def small():
    """Six images of two classes from two sources, one of them unknown."""
    return replace(
        survey(per_class=(3, 3), labels=('a', 'b'), pairs=0),
        sources=('rsna', 'rsna', '', '', '', ''),
        splits=('train', 'val', 'test', 'train', 'train', ''),
        truth=np.array([[1, 0], [1, 0], [1, 1], [0, 1], [0, 1], [0, 1]], bool),
    )


def test_images_are_counted_by_class_source_and_split():
    counts = image_counts(small(), np.array([True, False, False, False, False, False]))
    assert counts.sources == ('unknown source', 'rsna')
    # train, val, test, undivided, out
    assert counts.table[0].tolist() == [[0, 0, 1, 0, 0], [0, 1, 0, 0, 1]]
    assert counts.table[1].tolist() == [[2, 0, 1, 0, 1], [0, 0, 0, 0, 0]]
    assert counts.totals.tolist() == [2, 1, 1, 0, 2]  # the image with two labels counts once


def test_images_that_cannot_be_divided_are_counted_too():
    made = replace(small(), splits=('',) * 6)
    counts = image_counts(made, np.array([True, False, False, False, False, False]))
    assert counts.totals.tolist() == [0, 0, 0, 5, 1]
    assert source_table(counts)[0].tolist() == [[1, 4], [1, 0]]


def test_a_source_of_one_class_is_flagged():
    made = survey(per_class=(30, 30), labels=('a', 'b'), sources=('x', 'y'), pairs=0)
    sources = ('x',) * 28 + ('y',) * 2 + ('x',) * 12 + ('y',) * 18
    made = replace(made, sources=sources)
    counts = image_counts(made, np.zeros(60, bool))
    table, flags = source_table(counts)
    assert counts.sources == ('x', 'y')
    assert table.tolist() == [[28, 12], [2, 18]] and flags.tolist() == [[0, 0], [0, 1]]
    assert list(one_sided_sentences(flags, counts)) == [(1, 1)]
    assert 'Nearly all images of y are b' in one_sided_sentences(flags, counts)[1, 1]


@pytest.mark.parametrize('count', [9, 10])
def test_a_source_of_few_images_is_not(count):
    made = survey(per_class=(20, count), labels=('a', 'b'), pairs=0)
    made = replace(made, sources=('x',) * 20 + ('y',) * count)
    _, flags = source_table(image_counts(made, np.zeros(20 + count, bool)))
    assert flags[1, 1] == (count == 10)


def test_one_source_gives_nothing_away():
    made = survey(per_class=(50, 2), labels=('a', 'b'), sources=('x',), pairs=0)
    _, flags = source_table(image_counts(made, np.zeros(52, bool)))
    assert not flags.any()
    assert 'one source' in association_sentence(made)
    unknown = replace(made, sources=('',) * 52)
    assert 'sources are not known' in association_sentence(unknown)


def test_sentences():
    assert 'nearly everything' in association_sentence(survey()) and '0.87' in (
        association_sentence(survey())
    )
    text = baseline_sentence({'format only': (0.8, 0.75, 0.84), 'grey': (0.9, 0.87, 0.93)})
    assert 'no anatomy (grey)' in text and '0.90 (0.87 to 0.93)' in text and 'exceed 0.93' in text
    for nothing in ({}, {'format only': (float('nan'),) * 3}):
        assert 'too few images' in baseline_sentence(nothing)


@pytest.mark.parametrize(
    ('paths', 'expected'),
    [
        (['/d/a/1.png', '/d/b/2.png'], ['a/1.png', 'b/2.png']),
        (['/d/a/1.png', '/d/a/2.png'], ['1.png', '2.png']),
        (['a/1.png', '/d/b/2.png'], ['a/1.png', '/d/b/2.png']),
        ([], []),
    ],
)
def test_paths_are_told_from_the_folder_that_they_share(paths, expected):
    assert relative_names(paths) == expected
