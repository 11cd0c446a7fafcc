"""Short names of the media types that images are made of (image-spec, "OCI Image Media Types"; Docker's own).

What has no short name, foreign and non-distributable layers among them, is called what it is.
"""

from __future__ import annotations

from oci_ns.manifests import DOCKER_CONFIG, DOCKER_LIST, DOCKER_MANIFEST, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST

_NAMES = {
    OCI_MANIFEST: "image manifest",
    OCI_INDEX: "image index",
    OCI_CONFIG: "image config",
    DOCKER_MANIFEST: "docker manifest",
    DOCKER_LIST: "docker manifest list",
    DOCKER_CONFIG: "docker config",
    "application/vnd.oci.empty.v1+json": "empty",
    "application/vnd.oci.image.layer.v1.tar": "layer tar",
    "application/vnd.oci.image.layer.v1.tar+gzip": "layer tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd": "layer tar+zstd",
    "application/vnd.docker.image.rootfs.diff.tar": "docker layer tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip": "docker layer tar+gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd": "docker layer tar+zstd",
}


def short_name(media_type: str) -> str:
    """What people call the media type; itself where there is no such name, `(none)` where it is not said."""
    return _NAMES.get(media_type, media_type) or "(none)"
