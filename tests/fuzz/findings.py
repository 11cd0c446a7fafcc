"""Inputs that showed a fault once, each under what it showed. They are seeds, and rows of the tests."""

from __future__ import annotations

FINDINGS: dict[str, dict[str, bytes]] = {
    "request-target": {
        "an ns that only ends like a host of a wildcard prefix led anywhere": (
            b"000https://proxy.example.com:5000/v2/a/manifests/1?ns=evil.com/a.example.net"
        ),
    },
    "namespace-editor": {
        "a namespace with a percent sign that Go drops as it stood": b"a%zz\nns=a%zz",
        "a namespace with a semicolon that Go drops as it stood": b"a;b\nns=a;b",
    },
    "reference-grammar": {
        "brackets around what is no IPv6 address were a host without them": b"[.A1]",
    },
    "configuration": {
        "a number that Python does not read": b"a = " + b"1" * 5000,
        "a number that Python does not write": b"[[registry]]\nlocation = 0x" + b"f" * 5000,
        "an error of several lines": b'[aliases]\n"a\\nb\\u001b" = 1\n',
        "a location that ends a request line": b'[[registry]]\nprefix = "a.com"\nlocation = "b.com/x\\ny"\n',
        "a scheme was a host": b'[[registry]]\nprefix = "quay.io"\nlocation = "docker://b.com/a"\n',
        "mirrors in another case": b'[[registry]]\nlocation = "e"\n[[registry.mirrOr]]\nlocaton = "x"\n',
        "a location with a query": (
            b'[[registry]]\nlocation = "a.com"\n[[registry.mirror]]\nlocation = "b.com/x y?z#"\n'
        ),
        "a reference in a location that is no part of a URL": (
            b'[[registry]]\nprefix = "a.com"\nlocation = "b.com/x:v 1"\n'
        ),
    },
}
"""By target."""
