"""Downloads: a card's files from a mirror, the network, a folder or code, verified and unpacked.

Others import `download` from here, and nothing from the modules inside.
"""

from earshot.datasets.download.dataset import download

__all__ = ["download"]
