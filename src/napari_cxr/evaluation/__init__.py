"""Is a result worth anything: held-out sources, shortcut classifiers, abstention, the ledger.

Arrays in, numbers out; nothing here imports torch. Each name is imported when it is first
used. `__init__.pyi` lists the names.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
