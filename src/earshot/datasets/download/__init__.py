"""Downloads: a card's files from a mirror, the network, a folder or code, verified and unpacked.

Others import from here, and nothing from the modules inside.
"""

from earshot.datasets.download.dataset import download
from earshot.datasets.download.single import fetch_file

__all__ = ["download", "fetch_file"]
