"""What is installed here, what works, and what to do about the rest.

Each check is one line for a person. What may fail badly (torch, Qt, codecs) is tried in a process
of its own, so that a check never takes down who asked. Nothing is changed, and nothing is sent.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from napari_cxr.output_text import get_logger

__all__ = ['Check', 'check_installation']

log = get_logger(__name__)

#: Whether it works, works in part, or keeps something from working at all.
State = Literal['ok', 'limited', 'broken']

#: Distributions without which something fails, and those that add something.
_NEEDED = (
    'napari',
    'npe2',
    'magicgui',
    'qtpy',
    'numpy',
    'scipy',
    'scikit-image',
    'scikit-learn',
    'pandas',
    'pydicom',
    'imagecodecs',
    'pillow',
    'tifffile',
    'torch',
    'torchvision',
    'timm',
    'onnx',
    'onnxruntime',
    'safetensors',
)
_OPTIONAL = {
    'openvino': ('another backend for networks on a CPU', 'openvino'),
    'pyarrow': ('tables in Parquet', 'parquet'),
    'distributed': ('scoring on a Dask cluster', 'dask'),
    'optuna': ('hyperparameter search', 'search'),
    'tensorboard': ('event files of training runs', 'tensorboard'),
}

#: Where a package would be installed from, by the compression that it decodes.
_DECODER_PACKAGES = {
    'JPEG-LS': 'pyjpegls',
    'RLE': 'pylibjpeg-rle',
    'High-Throughput': 'pylibjpeg pylibjpeg-openjpeg',
    'JPEG 2000': 'pylibjpeg pylibjpeg-openjpeg',
    'JPEG XL': 'imagecodecs',
    'JPEG': 'python-gdcm',
}

#: What is told when less than this is free, in bytes.
_LITTLE_DISK, _LITTLE_MEMORY = 2 << 30, 2 << 30

#: Seconds for what is tried in a process of its own; a cold disk needs half a minute for torch.
_PATIENCE = 180


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Parameters
    ----------
    part : str
        The heading that it stands under.
    name : str
        What was looked at.
    found : str
        What was found, in a few words.
    state : {'ok', 'limited', 'broken'}
        'limited' means that something optional is missing or little is left; 'broken' that
        something which most people need fails.
    advice : str
        What to do about it; empty where there is nothing to do.
    """

    part: str
    name: str
    found: str
    state: State = 'ok'
    advice: str = ''


def check_installation() -> Iterator[Check]:
    """Look at everything, part by part.

    Yields
    ------
    Check
        In the order in which people should read them. Takes about ten seconds, most of it to
        import torch and Qt.
    """
    yield from _versions()
    yield from _torch()
    yield _qt()
    yield from _decoders()
    yield from _models()
    yield from _resources()


def _versions() -> Iterator[Check]:
    part = 'Versions'
    version = metadata.version('napari-cxr')
    yield Check(part, 'napari-cxr', version)
    system = f'{platform.system()} {platform.release()}, {platform.machine()}'
    yield Check(part, 'Python', f'{platform.python_version()} on {system}')
    for name in _NEEDED:
        if found := _version(name):
            yield Check(part, name, found)
        else:
            yield Check(part, name, 'not installed', 'broken', f'Run: pip install {name}')
    for name, (what, extra) in _OPTIONAL.items():
        if found := _version(name):
            yield Check(part, name, found)
        else:
            advice = f'For {what}, run: pip install "napari-cxr[{extra}]"'
            yield Check(part, name, 'not installed (optional)', 'limited', advice)


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ''


def _torch() -> Iterator[Check]:
    """Check the pair torch and torchvision, the device, and the backends on a CPU."""
    from napari_cxr.networks.torch_pair import torch_pair_error

    part = 'Networks'
    status, out, err = _tried('import torch, torchvision; print(torch.__version__)')
    if status == 0:
        yield Check(part, 'torch and torchvision', 'load together')
        code = 'from napari_cxr.inference.device import choose_device as c; print(c().reason)'
        status, out, err = _tried(code)
        reason = out.strip() if status == 0 else _last_line(err)
        usable = '' if not reason.startswith('CPU') else _gpu_advice()
        yield Check(part, 'device', reason, 'ok' if status == 0 else 'broken', usable)
    else:
        text = torch_pair_error(err) or f'They do not load: {_last_line(err)}'
        yield Check(part, 'torch and torchvision', 'do not load', 'broken', text)
    for library, name in (('onnxruntime', 'ONNX Runtime'), ('openvino', 'OpenVINO')):
        if not _version(library):
            continue
        # The library's own import would report itself to its makers.
        module = 'napari_cxr.inference.backends.exported_network'
        status, _, err = _tried(f'from {module} import import_library as i; i("{library}")')
        if status == 0:
            yield Check(part, name, 'loads')
        else:
            advice = f'{_last_line(err)} Run: pip install --force-reinstall {library}'
            yield Check(part, name, 'does not load', 'broken', advice)


def _gpu_advice() -> str:
    if shutil.which('nvidia-smi'):
        return (
            'There is an NVIDIA driver here, but torch does not use it: install torch and '
            'torchvision for your CUDA version, both from pytorch.org.'
        )
    return ''


def _qt() -> Check:
    code = 'from qtpy import API_NAME, QT_VERSION, QtWidgets; print(API_NAME, QT_VERSION)'
    status, out, err = _tried(code)
    if status == 0:
        return Check('Viewer', 'Qt', out.strip())
    if re.search(r'No Qt bindings|QtBindingsNotFound|PythonQtError', err):
        return Check(
            'Viewer', 'Qt', 'not installed', 'broken', 'Run: pip install "napari-cxr[qt]"'
        )
    if missing := re.search(r'(lib[\w.+-]+\.so[\d.]*): cannot open shared object', err):
        advice = f'The system library {missing[1]} is missing. Install it with your system.'
        return Check('Viewer', 'Qt', 'does not load', 'broken', advice)
    return Check('Viewer', 'Qt', 'does not load', 'broken', _last_line(err))


def _decoders() -> Iterator[Check]:
    """Ask a decoder which packages it would read each compression with."""
    from napari_cxr.workers.decoder_pool import Decoder
    from napari_cxr.workers.worker_process import JobFailed, WorkerDied

    part = 'Compressed DICOM'
    try:
        with closing(Decoder()) as decoder:
            installed = decoder.installed_decoders()
    except (JobFailed, WorkerDied, OSError) as error:
        advice = f'{error} No file can be read: install napari-cxr again.'
        yield Check(part, 'decoder process', 'does not start', 'broken', advice)
        return
    for syntax, packages in installed.items():
        if packages:
            yield Check(part, syntax, ', '.join(packages))
            continue
        package = next(p for kind, p in _DECODER_PACKAGES.items() if kind in syntax)
        advice = f'Such files cannot be read here. Run: pip install {package}'
        yield Check(part, syntax, 'no decoder', 'limited', advice)


def _models() -> Iterator[Check]:
    from napari_cxr.checkpoint import catalog

    part = 'Models'
    for entry in catalog.entries():
        if entry.error:
            yield Check(part, entry.name, 'cannot be used', 'limited', entry.error)
        elif entry.path is not None:
            yield Check(part, entry.name, f'{entry.path.stat().st_size / 1e6:.1f} MB')
    if not catalog.default():
        yield Check(
            part, 'bundled models', 'missing', 'broken', 'Install napari-cxr again: pip install '
            '--force-reinstall --no-deps napari-cxr'
        )  # fmt: skip


def _resources() -> Iterator[Check]:
    import psutil
    from platformdirs import user_data_path

    from napari_cxr.checkpoint.catalog_entry import models_folder
    from napari_cxr.user_cache import cache_folder

    part = 'This computer'
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    yield Check(part, 'processor cores', str(cores))
    memory = psutil.virtual_memory()
    found = f'{memory.available / 2**30:.1f} GB free of {memory.total / 2**30:.1f} GB'
    little = memory.available < _LITTLE_MEMORY
    advice = 'Close other programs: less than 2 GB is little for large radiographs.'
    yield Check(
        part, 'memory', found, 'limited' if little else 'ok', advice if little else ''
    )  # fmt: skip
    folders = {
        'models': models_folder(),
        'data': user_data_path('napari-cxr', appauthor=False),
        'cache': cache_folder(),
        'temporary files': Path(tempfile.gettempdir()),
    }
    for name, folder in folders.items():
        yield _folder(part, name, folder)


def _folder(part: str, name: str, folder: Path) -> Check:
    """Check that a folder can be written to, without making it."""
    there = folder
    # Unlike the methods of Path, os.path raises nothing where a folder above may not be entered.
    while not os.path.exists(there) and there != there.parent:
        there = there.parent
    if not os.path.isdir(there) or not os.access(there, os.W_OK | os.X_OK):
        advice = (
            f'It cannot be written to. Change the permissions of {there}, or choose another '
            f'folder{_variable(name)}.'
        )
        return Check(part, name, str(folder), 'limited', advice)
    free = shutil.disk_usage(there).free
    found = f'{folder} ({free / 2**30:.0f} GB free)'
    if free < _LITTLE_DISK:
        return Check(part, name, found, 'limited', 'Less than 2 GB is free: make room.')
    return Check(part, name, found)


def _variable(name: str) -> str:
    variables = {
        'models': 'NAPARI_CXR_MODELS',
        'cache': 'NAPARI_CXR_CACHE',
        'temporary files': 'TMPDIR',
    }
    return f' by the variable {variables[name]}' if name in variables else ''


def _tried(code: str) -> tuple[int, str, str]:
    """Run a line of Python in a process of its own; return its status, output and errors."""
    try:
        done = subprocess.run(
            # -P: a folder of the same name as a module must not be imported for it.
            [sys.executable, '-P', '-c', code],
            capture_output=True,
            text=True,
            errors='replace',
            stdin=subprocess.DEVNULL,
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return -1, '', f'It did not answer within {_PATIENCE} s.'
    return done.returncode, done.stdout, done.stderr or f'It ended with status {done.returncode}.'


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ''
