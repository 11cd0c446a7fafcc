"""An image configuration for people: what is run and how, and which step of the history made which layer.

Knows the image-spec's "Image Configuration", and Docker's HealthCheck beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

from oci_ns.distribution import Operation
from oci_ns.manifests import CONFIGS, ImageConfig, Step, config_in
from oci_ns.printable import printable
from oci_ns.views.envelope import Envelope, may_be_object
from oci_ns.views.text import broken, compact, counted, fields, table

_SETTINGS = {
    "entrypoint": "Entrypoint",
    "cmd": "Cmd",
    "working dir": "WorkingDir",
    "user": "User",
    "stop signal": "StopSignal",
}
_NO_LAYER = "(no layer)"


def is_config(body: bytes, envelope: Envelope) -> bool:
    """Whether it is an image's configuration. Registries serve it as a blob, so that its media type tells nothing."""
    if envelope.media_type in CONFIGS:
        return bool(body)
    # A blob may also come from another server, by redirect and with a path that says nothing.
    if not (envelope.is_opaque or (envelope.is_vague and envelope.operation is Operation.BLOB)):
        return False
    # Two searches are cheaper than to read JSON that is something else.
    if not may_be_object(body) or b'"rootfs"' not in body or b'"architecture"' not in body:
        return False
    return config_in(body) is not None


def config_lines(body: bytes, envelope: Envelope) -> list[str] | None:
    """The configuration in a body; where it is broken, the reason and the text. None where it is none. Never raises."""
    config = config_in(body)
    if config is not None:
        return ["image config", *_settings(config), "", *_history(config)]
    if envelope.media_type in CONFIGS and body:
        return broken("image config", body, "it has no rootfs, or no architecture")
    return None


def _settings(config: ImageConfig) -> list[str]:
    settings = config.settings
    pairs = [("platform", str(config.platform)), ("created", config.created), ("author", config.author)]
    pairs += [(name, compact(settings.get(key))) for name, key in _SETTINGS.items()]
    pairs += [("exposed ports", _keys(settings.get("ExposedPorts"))), ("volumes", _keys(settings.get("Volumes")))]
    pairs.append(("healthcheck", _healthcheck(settings.get("Healthcheck"))))
    return [*fields(pairs), *_env(settings.get("Env")), *_labels(settings.get("Labels"))]


def _keys(value: object) -> str:
    """What is a set in Go is an object with empty values in JSON."""
    return ", ".join(value) if isinstance(value, dict) else compact(value)


def _env(value: object) -> list[str]:
    if not value:
        return []
    variables = value if isinstance(value, list) else [value]
    return ["env", *(f"  {printable(compact(each))}" for each in variables)]


def _labels(value: object) -> list[str]:
    if not value:
        return []
    if not isinstance(value, dict):
        return ["labels", f"  {printable(compact(value))}"]
    return ["labels", *(f"  {printable(key)}: {printable(compact(text))}" for key, text in value.items())]


def _healthcheck(value: object) -> str:
    """The command and its times, which are in nanoseconds; 0 means the default and is left out."""
    if not isinstance(value, dict):
        return compact(value)
    parts = [compact(value.get("Test"))]
    for name, key in (("every", "Interval"), ("timeout", "Timeout"), ("start period", "StartPeriod")):
        time = value.get(key)
        if isinstance(time, int) and time > 0:
            parts.append(f"{name} {_seconds(time)}")
    retries = value.get("Retries")
    if isinstance(retries, int) and retries > 0:
        parts.append(f"retries {compact(retries)}")
    return ", ".join(part for part in parts if part)


def _seconds(nanoseconds: int) -> str:
    whole, rest = divmod(nanoseconds, 10**9)
    return f"{whole}.{rest:09}".rstrip("0").rstrip(".") + " s"


def _history(config: ImageConfig) -> list[str]:
    making = sum(not step.empty for step in config.history)
    told = f"{counted(len(config.history), 'step')} of history, {counted(len(config.diff_ids), 'layer')}"
    matched = making == len(config.diff_ids)
    lines = [told]
    if config.history and not matched:
        lines.append(f"not matched: {making:,} of the steps say that they made a layer")
    if config.history:
        lines += _steps(config.history, config.diff_ids if matched else None)
    if config.diff_ids and not (config.history and matched):
        lines += ["", *table([("#", "diff_id"), *((str(n), each) for n, each in enumerate(config.diff_ids, 1))], {0})]
    return lines


def _steps(history: Sequence[Step], diff_ids: Sequence[str] | None) -> list[str]:
    """The history as a table; the layer's number is its place in the manifest. `diff_ids` is None where unmatched."""
    rows: list[Sequence[str]] = [("layer", "created", "diff_id", "step")]
    number = 0
    for step in history:
        layer, diff_id = "", _NO_LAYER
        if not step.empty:
            number += 1
            layer, diff_id = (str(number), diff_ids[number - 1]) if diff_ids is not None else ("?", "?")
        rows.append((layer, step.created, diff_id, _told(step)))
    return table(rows, right={0})


def _told(step: Step) -> str:
    command = " ".join(step.created_by.split())
    return f"{command}  ({step.comment})" if step.comment else command
