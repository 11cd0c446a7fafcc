"""What nginx does with a way: a named location for each hop, and the `map`s that read its words.

Where an endpoint is passed over (`selection.is_passed_over`), `error_page` leads to the next hop's location. The last
one's answer reaches the client as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from oci_ns.export.nginx.text import Map, expressions, quoted, words


class Place(NamedTuple):
    """A location: which hop, how it is spoken to, and what comes behind it.

    `mode` is verified, unverified, or attempt (https without verification, with http behind it), `-patient` for what
    is no pull, and `-kept` where the client's credentials go along. `more` is `-more` where another endpoint comes
    behind it, `-5xx` where a 404 is no reason to ask that, `-once` where an attempt has only its own http behind it,
    '' where nothing is.
    """

    hop: int
    mode: str
    more: str

    @property
    def name(self) -> str:
        """The location's name."""
        return f"@oci-{self.hop}-{self.mode}{self.more}"

    @property
    def quick_name(self) -> str:
        """The name of the location for what `quick` finds."""
        return f"{self.name}-quick"


PATIENCE_SECONDS = 900
_FAILED = (502, 504)
_ERRORS = range(500, 600)


def hop_maps(hop: int, *, strips: set[int], has_references: bool, attempts: bool) -> Iterator[Map]:
    """The words of one hop as variables, the location that serves it (`$oci_go_HOP`), and what it asks for there."""
    authority = rf"(?<oci_authority_{hop}>(?<oci_server_{hop}>\[[^\]]*\]|[^:\s]*?)\.?(?::[0-9]*)?)"
    base = rf"(?<oci_base_{hop}>(?<oci_scheme_{hop}>https?)://\S+)"
    names = ("strip", "put", "reference", "edit", "namespace", "plain")
    fields = " ".join(
        [rf"(?<oci_mode_{hop}>[a-z-]+)", base, authority, *(rf"(?<oci_{each}_{hop}>\S+)" for each in names)]
    )
    rest = rf" \| (?<oci_rest_{hop}>"
    source = "$oci_absence $oci_way" if hop == 1 else f"$oci_go_{hop - 1} $oci_absence $oci_rest_{hop - 1}"
    before = "^" if hop == 1 else r"^\S* "
    go = f"@oci-{hop}-$oci_mode_{hop}"
    once = [(rf"{before}[!-] (?=attempt){fields}{rest}[^|]+)$", f"{go}-once")] if attempts else []
    found = [
        (rf"{before}[!-] {fields}$", go),
        *once,
        (rf"{before}- {fields}{rest}.+)$", f"{go}-more"),
        (rf"{before}! {fields}{rest}.+)$", f"{go}-5xx"),
    ]
    yield Map(source, f"oci_go_{hop}", default="@oci-unavailable", expressions=expressions(*found), about=f"Hop {hop}.")
    yield from _path_maps(hop, strips, has_references)
    put = f"${{oci_query_before}}ns=$oci_namespace_{hop}"
    same = expressions((rf"^(?<oci_same_{hop}>\S+) \k{{oci_same_{hop}}}$", "$oci_query"))
    yield Map(f"$oci_alone $oci_plain_{hop}", f"oci_set_{hop}", default=put, expressions=same)
    edits = words(("leave", "$oci_query"), ("drop", "$oci_query_without"), ("first", "$oci_query_first"))
    yield Map(f"$oci_edit_{hop}", f"oci_asks_{hop}", edits, default=f"$oci_set_{hop}")


def _path_maps(hop: int, strips: set[int], has_references: bool) -> Iterator[Map]:
    left, put, cut = f"oci_left_{hop}", f"oci_new_{hop}", f"oci_cut_{hop}"
    moves = []
    for strip in sorted(strips):
        begin = rf"(?<{cut}>(?:[^/]*+/){{{strip}}})" if strip else ""
        if strip:
            moves.append((rf"^{strip} - {begin}(?<{left}>.+)$", f"/v2/${left}"))
        moves.append((rf"^{strip} (?<{put}>(?!- )\S+) {begin}(?<{left}>.+)$", f"/v2/${put}/${left}"))
        if strip:
            whole = rf"(?<{cut}>(?:[^/]*+/){{{strip - 1}}}[^/]*+)/?$"
            moves.append((rf"^{strip} (?<{put}>(?!- )\S+) {whole}", f"/v2/${put}"))
    source = f"$oci_strip_{hop} $oci_put_{hop} $oci_below"
    yield Map(source, f"oci_moved_{hop}", default="$oci_path", expressions=expressions(*moves))
    ends = []
    if has_references:
        other, kept = f"oci_other_{hop}", f"oci_kept_{hop}"
        ends = [(rf"^(?<{other}>(?!- )\S+) (?:tag|manifest) (?<{kept}>.*/)[^/]*$", f"${kept}${other}")]
    source = f"$oci_reference_{hop} $oci_parsed $oci_moved_{hop}"
    yield Map(source, f"oci_path_{hop}", default=f"$oci_moved_{hop}", expressions=expressions(*ends))


def location(place: Place, *, challenges: bool) -> Iterator[str]:
    """The location's lines; `challenges` tells whether a challenge may name the listener's destination."""
    hop = place.hop
    yield f"location {place.name} {{"
    yield f"    proxy_pass $oci_base_{hop}$oci_path_{hop}$oci_asks_{hop};"
    names = (f"{name}_{hop}" for name in ("authority", "server", "location", "link", "challenge"))
    yield from _served(place, Names(*names), challenges=challenges)
    yield "}"


class Names(NamedTuple):
    """The variables of a location, without what all names begin with."""

    authority: str
    server: str
    location: str
    link: str
    challenge: str


_QUICK = Names("quick_host", "quick_server", "quick_location", "quick_link", "quick_challenge")


def quick_location(place: Place, *, challenges: bool) -> Iterator[str]:
    """The same for what was found the short way."""
    yield f"location {place.quick_name} {{"
    yield "    proxy_pass $oci_quick_more;"
    yield from quick_inside(place, challenges=challenges)
    yield "}"


def quick_inside(place: Place, *, challenges: bool) -> Iterator[str]:
    """What the location has besides its `proxy_pass`."""
    yield from _served(place, _QUICK, challenges=challenges)


def quick_maps(*, challenges: bool) -> Iterator[Map]:
    """The variables of these locations, but for those that are looked up. What is rare is found the long way."""
    server = r"^(?<oci_quick_server_>\[[^\]]*\]|[^:]*?)\.?(?::[0-9]*)?$"
    yield Map("$oci_quick_host", "oci_quick_server", expressions=expressions((server, "$oci_quick_server_")))
    told = [("location", "location"), ("link", "link")]
    if challenges:
        told.append(("challenge", "www_authenticate"))
    for name, field in told:
        back = f"oci_quick_{name}_back"
        yield Map(f"$upstream_http_{field}", f"oci_quick_{name}", words(("", "")), default=f"${back}")
        # The words of the hop are to be read before its answer is.
        yield Map("$oci_go_1$oci_path_1$oci_asks_1", back, default=f"$oci_{name}_1")


def _served(place: Place, names: Names, *, challenges: bool) -> Iterator[str]:
    hop, mode = place.hop, place.mode
    yield f"    proxy_set_header Host $oci_{names.authority};"
    yield '    proxy_set_header Connection "";'
    yield '    proxy_set_header Proxy-Authorization "";'
    yield '    proxy_set_header Proxy-Connection "";'
    if "-patient" in mode:
        # A registry takes its time to read a large upload, and to put it in its place.
        yield f"    proxy_read_timeout {PATIENCE_SECONDS}s;"
        yield f"    proxy_send_timeout {PATIENCE_SECONDS}s;"
    if not mode.endswith("-kept"):
        yield '    proxy_set_header Authorization "";'
        yield '    proxy_set_header Cookie "";'
        yield "    proxy_hide_header WWW-Authenticate;"
    elif challenges:
        yield "    proxy_hide_header WWW-Authenticate;"
        yield f"    add_header WWW-Authenticate $oci_{names.challenge} always;"
    yield f"    proxy_ssl_name $oci_{names.server};"
    yield f"    proxy_ssl_verify {'on' if mode.startswith('verified') else 'off'};"
    if hop > 1 or place.more:
        # What is asked of several endpoints is a pull, which has no body.
        yield "    proxy_pass_request_body off;"
        yield '    proxy_set_header Content-Length "";'
        yield "    proxy_request_buffering on;"
    yield "    proxy_hide_header Location;"
    yield f"    add_header Location $oci_{names.location} always;"
    yield "    proxy_hide_header Link;"
    yield f"    add_header Link $oci_{names.link} always;"
    yield from (f"    {line}" for line in _errors(place))


def _errors(place: Place) -> Iterator[str]:
    following = place.hop + 1
    if not place.more:
        yield "error_page 500 502 504 = @oci-unavailable;"
        return
    if place.mode.startswith("attempt"):
        yield f"error_page {' '.join(map(str, _FAILED))} = $oci_go_{following};"
        if place.more == "-once":
            return
        following += 1
        errors = [each for each in _ERRORS if each not in _FAILED]
    else:
        errors = list(_ERRORS)
    missing = "404 " if place.more == "-more" else ""
    yield "proxy_intercept_errors on;"
    yield f"error_page {missing}{' '.join(map(str, errors))} = $oci_go_{following};"


def refused(status: str, body: str) -> str:
    """What answers with an error."""
    return f"return {status} {quoted(body)};"
