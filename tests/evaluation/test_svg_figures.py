from xml.etree import ElementTree

from napari_cxr.evaluation.svg_figures import Curve, bar_figure, interval_figure, line_figure

NAMES = '{http://www.w3.org/2000/svg}'


def drawn(svg):
    return ElementTree.fromstring(svg)


def test_a_curve_goes_from_corner_to_corner():
    line = Curve('model', [0, 0.5, 1], [0, 1, 1], [0, 0.8, 1], [0, 1, 1])
    root = drawn(line_figure('ROC', 'x', 'y', [line], diagonal=True))
    (curve,) = root.findall(f'{NAMES}polyline')
    points = [tuple(map(float, p.split(','))) for p in curve.get('points').split()]
    (left, bottom), (middle, top), (right, same) = points
    assert (left < middle < right, bottom > top, top) == (True, True, same)
    assert len(root.findall(f'{NAMES}polygon')) == 1


def test_dots_have_bars():
    line = Curve('model', [0.2, 0.8], [0.1, 0.9], [0.0, 0.7], [0.3, 1.0], dots=True)
    root = drawn(line_figure('Reliability', 'x', 'y', [line]))
    assert len(root.findall(f'{NAMES}circle')) == 2
    assert not root.findall(f'{NAMES}polygon')


def test_names_of_others_are_text():
    nasty = '<script>alert("x")</script> & more'
    for svg in (
        line_figure(nasty, nasty, nasty, [Curve(nasty, [0, 1], [0, 1]), Curve('b', [0], [0])]),
        bar_figure(nasty, nasty, {nasty: [1, 2], 'b': [0, 0]}),
        interval_figure(nasty, [(nasty, 0.7, (0.6, 0.8)), ('b', 0.2, None)], least=0.5),
    ):
        root = drawn(svg)
        assert root.find(f'{NAMES}title').text == nasty
        assert all('script' not in element.tag for element in root.iter())


def test_a_long_name_is_cut():
    root = drawn(interval_figure('AUC', [('hospital ' * 9, 0.7, None)]))
    assert any((text.text or '').endswith('…') for text in root.iter(f'{NAMES}text'))
