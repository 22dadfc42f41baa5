"""Export the networks of the bundled models, which then run without torch.

    python scripts/export_bundled.py [--check]

Writes a graph beside each file of weights, after comparing it with torch; to be run whenever a
bundled model or its card has changed. With --check it says which are out of date, and ends with
status 1.
"""

import os
import sys
import tempfile
from pathlib import Path

import napari_cxr
from napari_cxr.checkpoint import digest
from napari_cxr.inference.backends.exported_network import GRAPH_SUFFIX, find_graph

WEIGHTS = Path(napari_cxr.__file__).parent / 'weights'


def main() -> None:
    models = sorted(WEIGHTS.glob('*.safetensors'))
    if '--check' in sys.argv[1:]:
        old = [path.stem for path in models if find_graph(digest(path), path.stem) is None]
        print('\n'.join(f'{name} must be exported again' for name in old))
        sys.exit(bool(old))
    for path in models:
        export(path)


def export(path: Path) -> None:
    """Write one graph."""
    from napari_cxr.inference.classifier import Classifier

    target = path.with_suffix(GRAPH_SUFFIX)
    target.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as cache:
        os.environ['NAPARI_CXR_CACHE'] = cache  # so that it is made here, and compared
        Classifier.load(path, 'cpu', 'ONNX Runtime')
        graph = find_graph(digest(path))
    assert graph is not None
    target.write_bytes(graph.to_bytes())
    print(f'{target.name}: {target.stat().st_size:,} bytes')


if __name__ == '__main__':
    main()
