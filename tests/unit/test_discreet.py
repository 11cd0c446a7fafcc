"""What is left out of what people and logs get to see."""

from __future__ import annotations

import pytest

from oci_ns.discreet import discreet, shown_url, without_logins
from oci_ns.printable import LENGTH_MAX, printable

DIGEST = f"sha256:{'0a' * 32}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("user:secret@proxy.example.com:5000/a", "…@proxy.example.com:5000/a"),
        ("https://user:secret@proxy.example.com/", "https://…@proxy.example.com/"),
        ("secret@proxy.example.com", "…@proxy.example.com"),
        ('location "user:secret@quay.io" is', 'location "…@quay.io" is'),
        ("[[registry]] 2 (user:secret@a.io): x", "[[registry]] 2 (…@a.io): x"),
        ("a user:secret@b and c:secret@d", "a …@b and …@d"),
        (f"quay.io/a/b:v1@{DIGEST}", f"quay.io/a/b:v1@{DIGEST}"),
        (f"quay.io/a/b@{DIGEST}", f"quay.io/a/b@{DIGEST}"),
        ("quay.io/a/b@sha256:short", "quay.io/a/b@sha256:short"),
        ("REPOSITORY[:TAG][@DIGEST]", "REPOSITORY[:TAG][@DIGEST]"),
        ("nothing", "nothing"),
    ],
)
def test_a_login_before_a_host_is_left_out_and_a_digest_is_none(text: str, shown: str) -> None:
    assert without_logins(text) == shown
    assert printable(text) == shown
    assert discreet({"a": [text, (text,)], "b": 1, "c": None}) == {"a": [shown, [shown]], "b": 1, "c": None}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("é\n\x1b[31m", "é\\n\\x1b[31m"),
        ("\udcff", "\\udcff"),
        ("x" * LENGTH_MAX, "x" * LENGTH_MAX),
        ("x" * (LENGTH_MAX + 1), "x" * LENGTH_MAX + "…"),
    ],
)
def test_a_text_becomes_one_line_that_moves_no_cursor_and_is_not_too_long(text: str, line: str) -> None:
    assert printable(text) == line


def test_a_login_is_left_out_where_a_text_is_cut_in_the_middle_of_it() -> None:
    assert "secret" not in printable(f"{'x ' * (LENGTH_MAX // 2 - 4)}user:secretsecret@host")


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("ns=quay.io&n=5&last=a", "ns=quay.io&n=5&last=a"),
        ("digest=sha256:0a&mount=x&from=y", "digest=sha256:0a&mount=x&from=y"),
        ("X-Amz-Signature=secret&ns=quay.io", "X-Amz-Signature=…&ns=quay.io"),
        ("_state=secret", "_state=…"),
        ("access_token=secret=&x", "access_token=…&…"),
        ("secret", "…"),
        ("%6es=quay.io&tok%65n=secret", "%6es=quay.io&tok%65n=…"),
        ("x=&ns=", "x=&ns="),
        ("", ""),
    ],
)
def test_of_a_query_only_what_holds_no_secret_is_shown(query: str, shown: str) -> None:
    assert shown_url(f"https://quay.io/v2/?{query}") == f"https://quay.io/v2/?{shown}"
    assert shown_url("https://quay.io/v2/") == "https://quay.io/v2/"
