"""Documents that registries and token services send, and the lines that the content views make of them."""

from __future__ import annotations

import base64
import json
from typing import Any

from oci_ns.manifests import OCI_CONFIG, OCI_INDEX, OCI_MANIFEST

NOW = 1_700_000_000.0
A, B, C = (f"sha256:{letter * 64}" for letter in "abc")
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
SBOM = "application/vnd.cyclonedx+json"

MANIFEST: dict[str, Any] = {
    "schemaVersion": 2,
    "mediaType": OCI_MANIFEST,
    "artifactType": SBOM,
    "config": {"mediaType": OCI_CONFIG, "digest": C, "size": 1470},
    "layers": [
        {"mediaType": LAYER, "digest": A, "size": 29_126_484, "annotations": {"org.example.part": "base"}},
        {"mediaType": FOREIGN, "digest": B, "size": 120, "urls": ["https://example.com/layer"]},
    ],
    "subject": {"mediaType": OCI_MANIFEST, "digest": B, "size": 7},
    "annotations": {"org.opencontainers.image.version": "1.2"},
}
MANIFEST_LINES = [
    "image manifest",
    f"media type     {OCI_MANIFEST}",
    f"artifact type  {SBOM}",
    f"config         {C}  image config, 1.5 kB (1,470 bytes)",
    f"subject        {B}  image manifest, 7 B (7 bytes)",
    "annotations",
    "  org.opencontainers.image.version: 1.2",
    "",
    "2 layers, 29.1 MB (29,126,604 bytes)",
    "#     size       bytes  type" + " " * 55 + "digest",
    "1  29.1 MB  29,126,484  layer tar+gzip" + " " * 45 + A,
    "     org.example.part: base",
    f"2    120 B         120  {FOREIGN}  {B}",
    "     urls: https://example.com/layer",
]
SCHEMA_1 = {"schemaVersion": 1, "name": "library/alpine", "tag": "3.2", "fsLayers": [{"blobSum": A}, {"blobSum": B}]}
INDEX: dict[str, Any] = {
    "schemaVersion": 2,
    "mediaType": OCI_INDEX,
    "manifests": [
        {
            "mediaType": OCI_MANIFEST,
            "digest": A,
            "size": 1022,
            "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"},
        },
        {
            "mediaType": OCI_MANIFEST,
            "digest": B,
            "size": 566,
            "platform": {"os": "unknown", "architecture": "unknown"},
            "annotations": {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": A},
        },
    ],
}
REFERRERS = {
    "schemaVersion": 2,
    "mediaType": OCI_INDEX,
    "manifests": [
        {"mediaType": OCI_MANIFEST, "digest": B, "size": 2000, "artifactType": "application/vnd.z"},
        {"mediaType": OCI_MANIFEST, "digest": A, "size": 500, "artifactType": SBOM, "annotations": {"by": "scanner"}},
    ],
}
CONFIG: dict[str, Any] = {
    "architecture": "amd64",
    "os": "linux",
    "created": "2024-05-01T00:00:00Z",
    "author": "builder",
    "config": {
        "User": "101",
        "Entrypoint": ["/entry.sh"],
        "Cmd": ["nginx", "-g", "daemon off;"],
        "Env": ["PATH=/bin", "LANG=C"],
        "WorkingDir": "/srv",
        "ExposedPorts": {"80/tcp": {}, "443/tcp": {}},
        "Volumes": {"/data": {}},
        "Labels": {"org.example": "label"},
        "StopSignal": "SIGQUIT",
        "Healthcheck": {"Test": ["CMD", "true"], "Interval": 1_500_000_000, "Timeout": 3_000_000_000, "Retries": 3},
    },
    "rootfs": {"type": "layers", "diff_ids": [A, B]},
    "history": [
        {"created": "2024-04-01T00:00:00Z", "created_by": "ADD rootfs.tar /"},
        {"created": "2024-04-01T00:00:01Z", "created_by": 'CMD ["nginx"]', "empty_layer": True},
        {"created": "2024-05-01T00:00:00Z", "created_by": "RUN a &&\n\tb", "comment": "buildkit"},
    ],
}
SETTINGS_LINES = [
    "image config",
    "platform       linux/amd64",
    "created        2024-05-01T00:00:00Z",
    "author         builder",
    'entrypoint     ["/entry.sh"]',
    'cmd            ["nginx", "-g", "daemon off;"]',
    "working dir    /srv",
    "user           101",
    "stop signal    SIGQUIT",
    "exposed ports  80/tcp, 443/tcp",
    "volumes        /data",
    'healthcheck    ["CMD", "true"], every 1.5 s, timeout 3 s, retries 3',
    "env",
    "  PATH=/bin",
    "  LANG=C",
    "labels",
    "  org.example: label",
    "",
]
ONE_STEP = {"architecture": "arm64", "rootfs": {"diff_ids": [A, B]}, "history": [{"created_by": "ADD x"}]}
NO_HISTORY = {"architecture": "arm64", "rootfs": {"diff_ids": [A]}}
ERRORS = {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown", "detail": {"Tag": "x"}}]}
TAGS = {"name": "library/alpine", "tags": ["3.20", "latest"]}

MANIFESTS_AT = "/v2/library/alpine/manifests/latest"
BLOBS_AT = f"/v2/library/alpine/blobs/{C}"
TAGS_AT = "/v2/library/alpine/tags/list"
REFERRERS_AT = f"/v2/library/alpine/referrers/{C}"
TOKEN_AT = "/token?service=registry.docker.io&scope=repository%3Alibrary%2Falpine%3Apull"
OPAQUE = "djE6c2VjcmV0LXRva2VuLW5vYm9keS1tYXktc2Vl"


def body(document: object) -> bytes:
    return json.dumps(document).encode()


def jwt(header: object, claims: object, signature: str = "c2lnbmF0dXJl") -> str:
    parts = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (header, claims))
    return ".".join((*parts, signature))


CLAIMS: dict[str, Any] = {
    "iss": "auth.docker.io",
    "sub": "someone",
    "aud": ["registry.docker.io"],
    "iat": NOW,
    "nbf": NOW - 300,
    "exp": NOW + 300,
    "access": [
        {"type": "repository", "name": "library/alpine", "actions": ["pull", "push"]},
        {"type": "registry", "name": "catalog", "actions": ["*"]},
    ],
    "private": {"key": "hidden"},
}
JWT = jwt({"alg": "RS256", "typ": "JWT", "kid": "K:1", "x5c": ["hidden"]}, CLAIMS)
JWT_LINES = [
    f"Bearer token: JWT, {len(JWT)} characters",
    "alg  RS256",
    "typ  JWT",
    "kid  K:1",
    "iss  auth.docker.io",
    "sub  someone",
    'aud  ["registry.docker.io"]',
    "iat  2023-11-14T22:13:20Z",
    "nbf  2023-11-14T22:08:20Z",
    "exp  2023-11-14T22:18:20Z (expires in 290 s)",
    "access",
    "  type        name            actions",
    "  repository  library/alpine  pull,push",
    "  registry    catalog         *",
    "also in the header: x5c",
    "other claims: private",
]
