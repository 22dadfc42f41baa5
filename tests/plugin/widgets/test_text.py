import pytest

from napari_cxr.plugin.widgets.text import clock_text, duration_text


@pytest.mark.parametrize(
    ('seconds', 'words'),
    [(0, '5 s'), (38, '40 s'), (56, '1 min'), (719, '12 min'), (3590, '1 h'), (7500, '2 h 5 min'),
     (86_400 * 2 + 3600, '2 d 1 h')],
)  # fmt: skip
def test_durations(seconds, words):
    assert duration_text(seconds) == words


def test_clocks():
    assert [clock_text(s) for s in (7.9, 751, 3723)] == ['0:07', '12:31', '1:02:03']
