"""Backends: what runs the stages of a network, and which of them is chosen.

`backend` lists them and their order, `selection` chooses one, `backend_network` makes the
network that runs on it, `conversion` makes the ONNX model and runs it.
"""
