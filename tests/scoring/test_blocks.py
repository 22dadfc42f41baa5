"""Each path has its place in one batch, in whatever order files come."""

import numpy as np

from napari_cxr.scoring.blocks import Blocks
from napari_cxr.scoring.preparing import Ready


def ready(number):
    return Ready(np.full((2, 3), number + 1, np.float32), np.eye(3), (2, 3), (), 'PA')


def test_a_batch_is_whole_when_its_last_file_is_there():
    blocks = Blocks(5, 2, lambda number: True)
    assert blocks.put(1, ready(1)) is None
    assert blocks.put(2, ready(2)) is None
    last = blocks.put(4, ready(4))
    assert [number for number, _ in last] == [4], 'the last batch has what is left'
    assert blocks.batch(last)[0].shape == (1, 2, 3)
    whole = blocks.put(0, ready(0))
    assert [number for number, _ in whole] == [0, 1]
    batch, places = blocks.batch(whole)
    assert places == [0, 1] and batch[:, 0, 0].tolist() == [1, 2]
    assert blocks.put(3, None) and not blocks._begun


def test_what_gives_no_image_or_is_done_leaves_its_place_empty():
    blocks = Blocks(4, 4, lambda number: number != 2)
    assert blocks.put(3, ready(3)) is None
    assert blocks.put(1, None) is None
    batch, places = blocks.batch(blocks.put(0, ready(0)))
    assert places == [0, 3] and batch[:, 0, 0].tolist() == [1, 0, 0, 4]


def test_a_batch_without_an_image_is_nothing():
    blocks = Blocks(2, 2, lambda number: True)
    assert blocks.put(0, None) is None and blocks.put(1, None) == []


def test_one_file_that_hangs_keeps_its_batch_only():
    blocks = Blocks(10_000, 8, lambda number: True)
    for number in range(1, 10_000):
        blocks.put(number, ready(number))
        assert len(blocks._begun) <= 2
