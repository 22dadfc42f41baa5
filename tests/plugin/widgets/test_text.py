import re
from pathlib import Path

import pytest
from qtpy.QtCore import Qt

import napari_cxr.plugin
from napari_cxr.plugin.widgets.text import (
    ElidedLine,
    PlainLabel,
    SkippedFiles,
    clock_text,
    duration_text,
    plain_tip,
)

PLUGIN = Path(napari_cxr.plugin.__file__).parent


@pytest.mark.parametrize(
    ('seconds', 'words'),
    [(0, '5 s'), (38, '40 s'), (56, '1 min'), (719, '12 min'), (3590, '1 h'), (7500, '2 h 5 min'),
     (86_400 * 2 + 3600, '2 d 1 h')],
)  # fmt: skip
def test_durations(seconds, words):
    assert duration_text(seconds) == words


def test_clocks():
    assert [clock_text(s) for s in (7.9, 751, 3723)] == ['0:07', '12:31', '1:02:03']


def test_tags_in_names_are_drawn_as_text(qtbot):
    label = PlainLabel('<b>bold</b>')
    qtbot.addWidget(label)
    assert label.textFormat() == Qt.TextFormat.PlainText
    line = ElidedLine()
    qtbot.addWidget(line)
    line.show_path('/a/<img src="b">.png')
    assert line.textFormat() == Qt.TextFormat.PlainText and line.text() == '<img src="b">.png'
    assert line.toolTip() == '<qt>/a/&lt;img src=&quot;b&quot;&gt;.png</qt>'
    assert plain_tip('a & b\nc') == 'a & b\nc'
    assert plain_tip('a<br>\nc') == '<qt>a&lt;br&gt;<br>c</qt>'


def test_docks_have_no_other_labels_but_for_links():
    """Text from outside goes into labels that draw no tags; these three hold our own tags."""
    found = {}
    for file in PLUGIN.rglob('*.py'):
        made = re.findall(r'(?<!\w)QLabel\(', file.read_text('utf-8'))
        found |= {file.name: len(made)} if made else {}
    assert found == {
        'model_download.py': 1,
        'heatmap_controls.py': 1,
        'result_view.py': 1,
    }


@pytest.mark.parametrize('folds', [False, True])
def test_skipped_files_show_how_their_lines_begin(qtbot, folds):
    skipped = SkippedFiles(folds=folds)
    qtbot.addWidget(skipped)
    skipped.resize(320, 200)
    rows = [(f'ward/{n}.png', 'It is cut off. ' * 20) for n in range(30)]
    skipped.show_files(rows[:20])
    skipped.button.setChecked(True)
    skipped.show()
    qtbot.waitExposed(skipped)
    bars = skipped.list.horizontalScrollBar(), skipped.list.verticalScrollBar()
    assert [bar.value() for bar in bars] == [0, 0] and all(bar.maximum() for bar in bars)
    bars[1].setValue(5)
    skipped.show_files(rows)  # more of them: what is read stays in view
    assert [bar.value() for bar in bars] == [0, 5]
    assert skipped.list.toPlainText().count('\n') == 29
    skipped.show_files(rows[:1])
    assert skipped.list.toPlainText().startswith('ward/0.png: It is cut off.')
    assert skipped.button.text() == '▾ 1 image was left out'
    skipped.show_files(())
    assert skipped.isHidden() == folds
