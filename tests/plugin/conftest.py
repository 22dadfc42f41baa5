"""What the plugin's tests share: docks on a bare viewer model, and workers that end."""

import shutil
from pathlib import Path

import pytest

# Torch brings an LLVM of its own (triton), and so does the software renderer under napari's
# canvas. Loaded in the other order they end the interpreter, and fixtures here need torch;
# napari itself never loads it.
import torchvision  # noqa: F401

from napari_cxr.plugin import background, classify_job
from napari_cxr.workers.decoder_pool import shared_decoder


@pytest.fixture(scope='module', autouse=True)
def worker_processes():
    """End the processes that a module's tests have started."""
    yield
    classify_job.shared_inference().close()
    background.shared_torch().close()
    shared_decoder().close()


@pytest.fixture
def models(model_file, own_models) -> Path:
    """The person's own folder, with one model called tiny."""
    own_models.mkdir()
    shutil.copy(model_file, own_models / 'tiny.safetensors')
    return own_models


@pytest.fixture
def settled_threads(qtbot):
    """Let napari's worker threads end before Qt objects go."""
    from qtpy.QtCore import QThreadPool

    yield
    assert QThreadPool.globalInstance().waitForDone(150_000)
    qtbot.wait(1)


@pytest.fixture
def own_plugin(npe2pm, plugin_settings):
    """Our manifest, alone, with preferences that no one else reads."""
    from npe2 import PluginManifest

    npe2pm.register(PluginManifest.from_distribution('napari-cxr'))
    return npe2pm


@pytest.fixture
def dock(qtbot, models, own_plugin, settled_threads):
    """A Classify dock on a bare viewer model, with the tiny model chosen."""
    from napari.components import ViewerModel

    from napari_cxr.plugin.classify.dock import ClassifyDock
    from napari_cxr.plugin.preferences import save_preferences

    save_preferences('classify', model='tiny', device='cpu')
    dock = ClassifyDock(ViewerModel())
    qtbot.addWidget(dock)
    yield dock
    dock.cancel()
    qtbot.waitUntil(lambda: not dock.busy, timeout=150_000)
