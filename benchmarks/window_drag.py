"""What a drag of the window costs in napari, on a radiograph of six megapixels.

    python benchmarks/window_drag.py [--pixels 6] [--moves 300]

Opens a real window (under ``xvfb-run -a`` where there is no screen), drags with the right mouse
button by Qt's own mouse events, and reports, in milliseconds: a repaint; our handler for a move;
and what it takes to tell napari's layer a new window. It counts how many windows were set between
two paints: more than one would mean that a repaint was queued in vain.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

from ratios import note_ratio


def timed(act: Callable[..., Any], spent: list[float]) -> Callable[..., Any]:
    """Return a function that notes how long each call took, in milliseconds."""

    def call(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        try:
            return act(*args, **kwargs)
        finally:
            spent.append(1000 * (time.perf_counter() - start))

    return call


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--pixels', type=float, default=6, help='millions of pixels')
    parser.add_argument('--moves', type=int, default=300, help='mouse moves')
    given = parser.parse_args()

    import napari
    import numpy as np
    from napari.layers import Layer
    from qtpy.QtCore import QEvent, QPointF, Qt
    from qtpy.QtGui import QMouseEvent
    from qtpy.QtWidgets import QApplication, QOpenGLWidget

    from napari_cxr.plugin.layers import radiograph_layer_data
    from napari_cxr.plugin.radiograph.tools import tools_of
    from napari_cxr.radiograph import Radiograph

    viewer = napari.Viewer(show=True)
    application: Any = QApplication.instance()
    side = round((given.pixels * 1e6) ** 0.5)
    values = np.random.default_rng(0).integers(0, 4096, (side, side), np.uint16)
    viewer.add_layer(Layer.create(*radiograph_layer_data(Radiograph.from_array(values))))
    tools = tools_of(viewer)
    _, dock = viewer.window.add_plugin_dock_widget('napari-cxr', 'Chest radiograph')
    following: list[float] = []
    dock._soon.timeout.disconnect()
    dock._soon.timeout.connect(timed(dock._show, following))
    dock._numbers_soon.timeout.disconnect()
    dock._numbers_soon.timeout.connect(timed(dock._show_window, following))
    dock.window().resize(1280, 720)
    canvas = next(c for c in dock.window().findChildren(QOpenGLWidget) if c.isVisible())

    def pump(seconds: float = 0.0) -> None:
        end = time.perf_counter() + seconds
        application.processEvents()
        while time.perf_counter() < end:
            application.processEvents()

    pump(1.0)
    paints: list[float] = []
    canvas.paintGL = timed(canvas.paintGL, paints)
    repaint: list[float] = []

    def paint_now() -> None:
        before = len(paints)
        canvas.update()
        while len(paints) == before:
            application.processEvents()
        application.processEvents()  # Qt puts the window together

    for _ in range(20):
        timed(paint_now, repaint)()
    drawn = list(paints)

    moves: list[float] = []
    settings: list[float] = []
    drag = tools.drag
    viewer.mouse_drag_callbacks.remove(drag)

    def follow(viewer: Any, event: Any) -> Any:
        inside = drag(viewer, event)
        step = timed(lambda: next(inside, inside), moves)
        while step() is not inside:
            yield

    viewer.mouse_drag_callbacks.append(follow)
    drag._soon.timeout.disconnect()
    queued = most = 0

    def apply() -> None:
        nonlocal queued, most
        queued += 1
        most = max(most, queued)
        timed(drag._apply, settings)()

    drag._soon.timeout.connect(apply)

    def painted() -> None:
        nonlocal queued
        queued = 0

    paint = canvas.paintGL

    def paint_noted() -> None:
        painted()
        paint()

    canvas.paintGL = paint_noted
    paints.clear()
    following.clear()

    def send(kind: QEvent.Type, x: float, y: float, button: Any, buttons: Any) -> None:
        point = QPointF(x, y)
        event = QMouseEvent(
            kind, point, canvas.mapToGlobal(point), button, buttons, Qt.KeyboardModifier.NoModifier
        )
        application.postEvent(canvas, event)

    right = Qt.MouseButton.RightButton
    x, y = canvas.width() / 2, canvas.height() / 2
    send(QEvent.Type.MouseButtonPress, x, y, right, right)
    pump()
    start = time.perf_counter()
    for step in range(given.moves):
        send(QEvent.Type.MouseMove, x + step % 60, y + step % 40, Qt.MouseButton.NoButton, right)
        pump(0.004)  # a mouse of 250 Hz
    taken = time.perf_counter() - start
    send(QEvent.Type.MouseButtonRelease, x, y, right, Qt.MouseButton.NoButton)
    pump(0.2)

    middle = statistics.median
    whole = middle(repaint)
    print(f'{side} x {side} pixels, canvas {canvas.width()} x {canvas.height()}')
    print(f'one repaint, all of it     {whole:7.2f} ms   (the canvas {middle(drawn):.2f} ms)')
    note_ratio(
        'our handler for a move of the mouse',
        'a repaint',
        [move / whole for move in moves],
        '<= 0.05',
    )
    print(f'our handler, for a move    {middle(moves):7.3f} ms   {middle(moves) / whole:.2%}')
    print(
        f'telling the layer, napari  {middle(settings):7.2f} ms   {middle(settings) / whole:.1%}'
    )
    follows = sum(following) / len(settings)
    print(f'our dock, for a window     {follows:7.2f} ms   {follows / whole:.1%}')
    print(f'{given.moves} moves, {len(settings)} windows set, ', end='')
    print(f'{len(paints)} paints in {taken:.1f} s')
    print(f'windows set between two paints, at most: {most}')
    viewer.close()


if __name__ == '__main__':
    main()
