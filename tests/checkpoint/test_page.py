"""The page of a model says what makes its figures too good."""

from dataclasses import replace

from napari_cxr.checkpoint.page import page


def test_near_duplicates_on_two_sides_are_said(card):
    counts = {'all': {'normal': {'train': 3, 'val': 1, 'test': 1}}}
    data = {'images': 5, 'split': 'by patient', 'counts': counts, 'divided_pairs': 2}
    assert 'divide 2 pairs of near-duplicates' in page(replace(card, data=data))
    assert 'near-duplicates' not in page(replace(card, data=data | {'divided_pairs': 0}))
