"""Requests and answers for tests, as they go over the wire: an image of one configuration and two layers."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from oci_ns.findings import Finding
from oci_ns.manifests import OCI_CONFIG, OCI_INDEX, OCI_MANIFEST
from oci_ns.record import Record
from oci_ns.transfer import Transfer


def digest(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def descriptor(media_type: str, body: bytes, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest(body), "size": len(body), **more}


CONFIG = json.dumps({"architecture": "arm64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}).encode()
LAYERS = (b"one layer", b"another layer")
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(OCI_CONFIG, CONFIG),
        "layers": [descriptor(LAYER, layer) for layer in LAYERS],
    }
).encode()
OTHER_MANIFEST = MANIFEST.replace(b'"schemaVersion": 2', b'"schemaVersion":  2')
INDEX = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [
            descriptor(OCI_MANIFEST, MANIFEST, platform={"os": "linux", "architecture": "amd64"}),
            descriptor(OCI_MANIFEST, OTHER_MANIFEST, platform={"os": "linux", "architecture": "arm64"}),
        ],
    }
).encode()


def record(operation: str, reference: str, **more: Any) -> Record:
    values: dict[str, Any] = {
        "action": "rewrite",
        "addressed": "https://quay.io/v2/",
        "upstream": "https://proxy.example.com/v2/",
        "image": f"quay.io/coreos/etcd{reference}",
        "registry": "quay.io",
        "repository": "coreos/etcd",
        "reference": reference,
        "namespace": "quay.io",
        "source": "host",
        "endpoint": "proxy.example.com",
    }
    return Record(operation, **(values | more))


def transfer(
    what: str,
    begun: float,
    *,
    seconds: float = 0.1,
    status: int | None = 200,
    body: bytes | None = None,
    received: int | None = None,
    client: str = "10.0.0.1",
    agent: str = "docker/20.10.24",
    error: str = "",
    findings: tuple[Finding, ...] = (),
    challenged: bool = False,
    **more: Any,
) -> Transfer:
    """`what` is `METHOD operation reference`, `GET manifest :v1` for example. `body` is what came."""
    method, operation, reference = what.split()
    came = len(body) if body is not None else 0
    return Transfer(
        client=client,
        agent=agent,
        method=method,
        record=record(operation, reference, **more),
        begun=begun,
        status=status,
        headed=begun + seconds / 2 if status is not None else None,
        ended=begun + seconds,
        received=(came if method == "GET" else 0) if received is None else received,
        body=body if method == "GET" else None,
        digest=digest(body) if body is not None and status == 200 else "",
        error=error,
        challenged=challenged,
        findings=findings,
    )
