"""Worker processes: one primitive, and the two roles that use it.

The napari process never imports torch and never hands a compressed stream to a
native codec; these processes do. See `docs/architecture.md`.
"""
