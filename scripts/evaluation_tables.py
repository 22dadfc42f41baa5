"""The table of docs/evaluation.md, from the results of `napari-cxr evaluate`, and their reports.

python scripts/evaluation_tables.py RESULT [RESULT ...]

Each RESULT is a folder with report.html and metrics.json. Reports are copied to docs/reports under
the name of their folder; they must have been made with --no-gallery.
"""

import sys
from pathlib import Path

from marked_tables import fill

from napari_cxr.evaluation.metric_text import figure_text
from napari_cxr.evaluation.recomputing import metrics_of
from napari_cxr.evaluation.report import REPORT_FILE

DOCS = Path(__file__).resolve().parent.parent / 'docs'
COLUMNS = ('judged by', 'classifier', 'AUC', 'balanced accuracy', 'Brier score')


def rows(content):
    """Yield the lines of the table of one result: all images, then those not seen."""
    about = content['set']
    for name, own in content['models'].items():
        yield f'{about["images"]} test images', name, own
    for name, own in content['baselines'].items():
        yield '', f'baseline: {name}', own
    for name, own in content['models'].items():
        unseen = own['by'].get(f'whether {name} has seen it', {}).get('no')
        if unseen:
            yield f'{unseen["images"]} that it has not seen', name, unseen
        for source, part in own['by'].get('source', {}).items():
            if 'auc' in part:
                yield f'{part["images"]} of {source}', name, part


def main():
    lines = [f'| {" | ".join(COLUMNS)} |', f'| {" | ".join("---" for _ in COLUMNS)} |']
    (DOCS / 'reports').mkdir(exist_ok=True)
    for folder in map(Path, sys.argv[1:]):
        page = (folder / REPORT_FILE).read_text(encoding='utf-8')
        if '<img' in page:
            sys.exit(f'{folder} shows radiographs: make it with --no-gallery.')
        (DOCS / 'reports' / f'{folder.name}.html').write_text(page, encoding='utf-8')
        for judged, name, own in rows(metrics_of(folder)):
            figures = (figure_text(own.get(key)) for key in ('auc', 'balanced_accuracy', 'brier'))
            lines.append(f'| {judged} | {name} | {" | ".join(figures)} |')
    fill(DOCS / 'evaluation.md', {'bundled': '\n'.join(lines)}, 'evaluation_tables.py')


if __name__ == '__main__':
    main()
