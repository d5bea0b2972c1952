"""The layout of a USB stick for boxes without a network: `neopro usb` writes it, the agent reads it.

Nothing on a stick is believed: heads, roots and lists are verified as if they came over the network, blobs by their
digest.
"""

from typing import Final

from schemas.names import Digest, SiteId

FOLDER: Final = "neopro-fleet"
"""At the top of a stick; any number of sites share what is in it."""


def head_path(site: SiteId) -> str:
    """The newest signed head of a site."""
    return f"heads/{site}.json"


def kept_path(site: SiteId) -> str:
    """Which of the blobs are videos of the site's club, encrypted, for its replaced box: for `neopro usb` alone."""
    return f"kept/{site}.json"


def root_path(version: int) -> str:
    """A trust root."""
    return f"trust/root-{version}.json"


def list_path(version: int) -> str:
    """A release list."""
    return f"trust/release-list-{version}.json"


def blob_path(digest: Digest) -> str:
    """A manifest, a listing, a video, a file of a release; in 256 folders, since FAT has little room in one."""
    name = digest.partition(":")[2]
    return f"blobs/{name[:2]}/{name}"
