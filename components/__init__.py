"""The components of hueshift, each in a file of its own; `service.py` composes them."""
