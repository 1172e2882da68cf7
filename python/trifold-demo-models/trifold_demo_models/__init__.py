"""The demo models of trifold, as files: tiny, trained from scratch, for trying things out and for tests.

``demo:story``, ``demo:speech`` and ``demo:picture`` name them wherever trifold takes a model. The folder
``samples`` has spoken sentences.
"""

__version__ = "0.1.0"
