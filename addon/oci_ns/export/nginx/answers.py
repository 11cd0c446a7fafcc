"""The way back in nginx's `map`s: `Location` and `Link` of an endpoint's answer as the client can follow them.

The rules are those of `way_back`, for a listener. Of a `Link` with several targets, and of several fields of a name,
nginx sees too little: the first is passed on as it is.
"""

from __future__ import annotations

from collections.abc import Iterator

from oci_ns.export.nginx.request import NAMESPACE_CUTS, OTHERS
from oci_ns.export.nginx.text import Map, expressions, words


def answer_maps(hop: int, *, cuts: bool) -> Iterator[Map]:
    """The maps for the answer of one hop, to `$oci_location_HOP` and `$oci_link_HOP`.

    `cuts` is whether anything is cut off repositories on the way there.
    """
    cut = f"$oci_cut_{hop}" if cuts else ""
    same = expressions(("^pass ", "="), (rf"(?i)^\S+ (?<oci_at_{hop}>\S+) \k{{oci_at_{hop}}}$", "-"))
    about = "Whether the endpoint is another host than the client addressed; = for what is not below /v2, and stays."
    asked = f"$oci_parsed $oci_authority_{hop} $oci_addressed"
    yield Map(asked, f"oci_rerouted_{hop}", default="+", expressions=same, about=about)
    yield from _reference_maps(hop, "location", "$upstream_http_location", cut)
    told, same = (
        f"$oci_location_back_{hop}",
        expressions((rf"3[0-9][0-9] (?<oci_to_{hop}>\S+) \k{{oci_to_{hop}}}$", "$upstream_http_location")),
    )
    # A redirect from http to https at the endpoint, say, would lead the client to where it has just been.
    yield Map(f"$upstream_status $request_uri {told}", f"oci_location_told_{hop}", default=told, expressions=same)
    yield Map("$upstream_http_location", f"oci_location_{hop}", words(("", "")), default=f"$oci_location_told_{hop}")
    target, rest = f"oci_link_target_{hop}", f"oci_link_tail_{hop}"
    split = expressions((rf"^<(?<{target}_>[^<>]*)>(?<{rest}>[^<]*)$", f"${target}_"))
    yield Map("$upstream_http_link", target, expressions=split)
    yield from _reference_maps(hop, "link", f"${target}", cut)
    mapped = f"<$oci_link_back_{hop}>${rest}"
    yield Map(f"${target}", f"oci_link_{hop}", words(("", "$upstream_http_link")), default=mapped)


def challenge_maps(hop: int, scheme: str) -> Iterator[Map]:
    """The map to `$oci_challenge_HOP`: a realm at the host that the client addressed is one at the listener.

    `scheme` is that host's. What shall go by https is not to leave here by http.
    """
    name = f"oci_challenge_{hop}"
    at, before, rest = f"{name}_at", f"{name}_before", f"{name}_rest"
    named = "https?" if scheme == "https" else "http"
    realm = rf"(?<{before}>.*?\b(?i:realm)\s*=\s*\"){named}://(?i:\k{{{at}}})(?::(?:80|443))?(?<{rest}>[/\"].*)$"
    mapped = expressions((rf"^- (?<{at}>\S+) {realm}", f"${{{before}}}$scheme://$oci_listener${rest}"))
    told = "$upstream_http_www_authenticate"
    yield Map(f"$oci_rerouted_{hop} $oci_authority_{hop} {told}", name, default=told, expressions=mapped)


def _reference_maps(hop: int, field: str, told: str, cut: str) -> Iterator[Map]:
    name = f"oci_{field}"
    there, at, query = f"{name}_there_{hop}", f"{name}_at_{hop}", f"{name}_query_{hop}"
    endpoint = rf"(?<{at}>\S+) (?i:(?:https?:)?//\k{{{at}}}(?::(?:80|443))?)"
    yield Map(
        f"$oci_rerouted_{hop} $oci_authority_{hop} {told}",
        there,
        expressions=expressions(
            (rf"^[+-] {endpoint}(?<{there}_>/v2(?:[/?][^#]*)?)$", f"${there}_"),
            (rf"^- {endpoint}(?<{there}_>/[^#]*)$", f"${there}_"),
            (rf"^[+-] \S+ (?<{there}_>/(?!/)[^#]*)$", f"${there}_"),
            (rf"^[+-] \S+ (?<{there}_>(?![A-Za-z][A-Za-z0-9+.-]*:)[^/?#][^#]*)$", f"${there}_"),
        ),
        about=f"{field.capitalize()}: the path and query of what is at the endpoint.",
    )
    put, rest = f"{name}_put_{hop}", f"{name}_rest_{hop}"
    tail = rf"(?<{query}>\?.*)?$"
    whole = f"$oci_scheme_{hop}://$oci_authority_{hop}${rest}"
    yield Map(
        f"$oci_rerouted_{hop} $oci_put_{hop} ${there}",
        f"{name}_path_{hop}",
        expressions=expressions(
            (rf"^[+-] \S+ (?<{rest}>/v2/?|/v2/_catalog){tail}", f"${rest}"),
            (rf"^[+-] - /v2/(?<{rest}>[^?]+){tail}", f"/v2/{cut}${rest}"),
            (rf"^[+-] (?<{put}>\S+) /v2/\k{{{put}}}/(?<{rest}>[^?]*){tail}", f"/v2/{cut}${rest}"),
            (rf"^[+-] \S+ (?<{rest}>(?!/)[^?]+){tail}", f"${rest}"),
            (rf"^\+ \S+ (?<{rest}>/.*)$", f"!{whole}"),
            (rf"^- \S+ (?<{rest}>/v2/.*)$", f"!{told}"),
            (rf"^- \S+ (?<{rest}>/.*)$", f"!${rest}"),
        ),
    )
    parameters, kept = f"{name}_parameters_{hop}", f"{name}_kept_{hop}"
    strip = expressions((rf"^[^|]*\|\?(?<{parameters}_>.*)$", f"${parameters}_&"))
    yield Map(f"${name}_path_{hop}|${query}", parameters, expressions=strip)
    cuts = [
        (pattern.replace("oci_dropped_", f"{kept}_"), value.replace("oci_dropped_", f"{kept}_"))
        for pattern, value in NAMESPACE_CUTS
    ]
    yield Map(f"${parameters}", kept, default=f"${parameters}", expressions=expressions(*cuts))
    bare, before = f"{name}_bare_{hop}", f"{name}_before_{hop}"
    yield Map(f"${kept}", bare, expressions=expressions((f"^(?<{bare}_>.+)&$", f"?${bare}_")))
    yield Map(f"${bare}", before, words(("", "?")), default=f"${bare}&")
    spoken = f"{name}_spoken_{hop}"
    same = rf"^\S+ (?<{spoken}>\S+) {OTHERS}ns=\k{{{spoken}}}&{OTHERS}$"
    yield Map(
        f"$oci_edit_{hop} $oci_spoken ${parameters}",
        f"{name}_asks_{hop}",
        default=f"${query}",
        expressions=expressions(
            (same, f"${query}"),
            ("^(?:set|first)  ", f"${bare}"),
            ("^(?:set|first) ", f"${{{before}}}ns=$oci_spoken"),
        ),
        about="Its ns is the client's own, or none.",
    )
    end, back = f"{name}_end_{hop}", f"{name}_back_{hop}"
    yield Map(
        f"${name}_path_{hop}",
        back,
        words(("", told)),
        default=f"${name}_path_{hop}${name}_asks_{hop}",
        expressions=expressions((rf"^!(?<{end}>.*)$", f"${end}")),
    )
