"""One pull of an image: what the client asked for, what came of it, and whether it has all that it needs.

Knows manifests and transfers; which transfers belong to it is told by `pulls`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from oci_ns.distribution import Operation
from oci_ns.findings import Finding, Kind
from oci_ns.manifests import ImageManifest, Index, config_in, manifest_in
from oci_ns.meter import digest_of
from oci_ns.record import Record
from oci_ns.transfer import Transfer

SETTLED_SECONDS = 1.0
"""How long a pull that has everything, or no manifest, stays open: for the next platform, or for another try."""
QUIET_SECONDS = 10.0
"""How long any other stays open without a request: the client has what it did not ask for."""
RETRY_SECONDS = 30.0
"""How long one stays open whose last blob failed: clients wait longer before each try."""

REQUESTS_MAX = 2000
"""After so many it is over, and what comes then is another: who asks without end must not be remembered without end."""
_BROKEN = frozenset({Kind.WRONG_DIGEST, Kind.WRONG_SIZE, Kind.TRUNCATED, Kind.NOT_A_MANIFEST})
"""No client takes this for the image."""
_REMARKS = frozenset({Kind.WRONG_NAMESPACE, Kind.WRONG_MEDIA_TYPE, Kind.NAMESPACE_UNCONFIRMED})
_MANIFEST = Operation.MANIFEST.value


@dataclass(slots=True)
class Pull:
    """One pull. `reference` is `:tag`, `@digest`, or '' where only blobs were asked for. Times as in Transfer.

    `digest` is that of the manifest or index which the reference names; `platforms` are those of the manifests that
    were asked for, `blobs` what these list (digest to size), `arrived` how many bytes of each came, and `complete`
    those that are there as a whole. `errors` says what failed and has not worked since.
    """

    client: str
    agent: str
    registry: str
    repository: str
    reference: str
    begun: float
    ended: float
    digest: str = ""
    platforms: list[str] = field(default_factory=list)
    manifests: dict[str, int] = field(default_factory=dict)
    """The images that were asked for: digest to number of layers."""
    blobs: dict[str, int | None] = field(default_factory=dict)
    arrived: dict[str, int] = field(default_factory=dict)
    complete: set[str] = field(default_factory=set)
    received: int = 0
    endpoints: list[str] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)
    remarks: dict[str, str] = field(default_factory=dict)
    """What was found besides: kind to text."""
    transfers: list[Transfer] = field(default_factory=list)
    """Where they are kept."""
    requests: int = 0
    """How many of its requests have come to their end."""
    is_challenged: bool = False
    """Whether the last of them was asked for a login."""
    children: dict[str, str] = field(default_factory=dict)
    """What the indexes list: digest to platform."""
    fetched: set[str] = field(default_factory=set)
    """The references whose manifests came."""
    asked: set[str] = field(default_factory=set)
    """The references that were asked for by GET."""
    under_way: int = 0

    @property
    def layers(self) -> int:
        """How many layers the images have."""
        return sum(self.manifests.values())

    @property
    def image(self) -> str:
        """The name of the image, in full."""
        return f"{self.registry}/{self.repository}{self.reference}"

    @property
    def result(self) -> str:
        """`failed`, `complete`, `partial` (the client had the other blobs), or `resolved` (no blob was asked for)."""
        if self.errors:
            return "failed"
        if self.blobs and self.complete >= self.blobs.keys():
            return "complete"
        return "partial" if self.arrived or self.complete else "resolved"

    @property
    def seconds(self) -> float:
        """From the first request to the end of the last answer."""
        return max(self.ended - self.begun, 0.0)

    @property
    def patience(self) -> float:
        """Seconds without a request after which it is over."""
        result = self.result
        if result == "complete":
            return SETTLED_SECONDS
        if result != "failed":
            return QUIET_SECONDS
        if self.is_challenged:
            return QUIET_SECONDS
        return SETTLED_SECONDS if not self.fetched else RETRY_SECONDS

    def lacks(self, reference: str) -> bool:
        """Whether the client may still ask for it on behalf of this pull: it did not, or in vain."""
        return reference not in self.asked or reference in self.errors

    def take(self, transfer: Transfer) -> None:
        """See what came of one of its requests."""
        self.ended = max(self.ended, transfer.ended or transfer.begun)
        self.received += transfer.received
        record = transfer.record
        if record.endpoint and record.endpoint not in self.endpoints:
            self.endpoints.append(record.endpoint)
        self.passed_over += [each for each in record.passed_over if each not in self.passed_over]
        self.requests += 1
        self.is_challenged = transfer.challenged
        self.remarks.update({each.kind.value: each.text for each in transfer.findings if _is_remark(each, record)})
        problem = _problem(transfer)
        if problem:
            # Clients ask by HEAD whether they need to ask for a blob at all.
            if transfer.method == "GET" or record.operation == _MANIFEST:
                self.errors[record.reference] = problem
            return
        self.errors.pop(record.reference, None)
        if record.operation == _MANIFEST:
            self._manifest(transfer)
        elif transfer.method == "GET":
            self._blob(transfer)

    def _manifest(self, transfer: Transfer) -> None:
        reference, digest = transfer.record.reference, transfer.digest
        if transfer.body is not None and transfer.method == "GET":
            self.fetched.add(reference)
            digest = digest or digest_of(transfer.body, "sha256:") or ""
            document = manifest_in(transfer.body)
            if isinstance(document, Index):
                self.children.update({each.digest: str(each.platform or "") for each in document.manifests})
            elif isinstance(document, ImageManifest):
                self._image(document, reference[1:] if reference.startswith("@") else digest)
        if reference == self.reference and digest:
            self.digest = digest

    def _image(self, manifest: ImageManifest, digest: str) -> None:
        self.manifests[digest] = len(manifest.layers)
        self.blobs.update({each.digest: each.size for each in manifest.blobs})
        platform = self.children.get(digest, "")
        if platform and platform not in self.platforms:
            self.platforms.append(platform)

    def _blob(self, transfer: Transfer) -> None:
        digest = transfer.record.reference[1:]
        arrived = self.arrived[digest] = self.arrived.get(digest, 0) + transfer.received
        size = self.blobs.get(digest)
        elsewhere = transfer.status is not None and 300 <= transfer.status < 400
        if transfer.status == 200 or elsewhere or (size is not None and arrived >= size):
            self.complete.add(digest)
        config = config_in(transfer.body) if transfer.body is not None and not self.platforms else None
        if config is not None and str(config.platform):
            self.platforms.append(str(config.platform))


def _is_remark(finding: Finding, record: Record) -> bool:
    """Whether the client may well have taken it; not all of them look at what the registry calls a tag's manifest."""
    by_tag = finding.kind is Kind.WRONG_DIGEST and record.reference.startswith(":")
    return by_tag or finding.kind in _REMARKS


def _problem(transfer: Transfer) -> str:
    """Why the transfer did not bring what was asked for; '' where it did."""
    for finding in transfer.findings:
        if finding.kind in _BROKEN and not _is_remark(finding, transfer.record):
            return finding.text
    if transfer.error:
        return transfer.error
    if transfer.status is None:
        return "no answer"
    if transfer.status < 400:
        return ""
    return next((finding.text for finding in transfer.findings), str(transfer.status))
