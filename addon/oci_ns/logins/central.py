"""Central credentials on the way: which requests get an Authorization of the addon's own, and what a 401 leads to.

A client's own Authorization, where it may travel, always wins. How a login becomes an Authorization is in `tokens`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from oci_ns.decision import Decision
from oci_ns.fetch import Answer, Fetch, NotAuthorizedError, Outgoing
from oci_ns.logins.token_request import AuthenticationError
from oci_ns.logins.tokens import Authenticator
from oci_ns.pull_access import PullAccess, access_of

_AUTHORIZATION = b"authorization"


class CentralCredentials:
    """Authorizes pulls with the logins of `ns_authfile`; without any, everything goes as it is."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self.authenticator: Authenticator | None = None

    def access(self, decision: Decision, question: Callable[[Decision], Outgoing]) -> PullAccess | None:
        """What has to be authorized; None where there is no login for it, or where the client brings its own.

        `question` is the client's request as it goes to where a decision says.
        """
        authenticator = self.authenticator
        if authenticator is None:
            return None
        outgoing = question(decision)
        if any(name.lower() == _AUTHORIZATION for name, _ in outgoing.fields):
            return None
        access = access_of(decision, outgoing.method, outgoing.connect_to)
        if access is None or not authenticator.has_login(access.site.registry, access.repository):
            return None
        return access

    async def authorization(self, access: PullAccess) -> bytes | None:
        """The Authorization to send along. Raises NotAuthorizedError where it cannot be had."""
        if self.authenticator is None:
            return None
        try:
            return await self.authenticator.authorization(access)
        except AuthenticationError as error:
            raise NotAuthorizedError(str(error)) from None

    async def renewed(self, access: PullAccess, challenges: list[str], refused: bytes | None) -> bytes | None:
        """A better Authorization where this one was answered with 401; None where there is none.

        Raises NotAuthorizedError where it cannot be had.
        """
        if self.authenticator is None:
            return None
        try:
            return await self.authenticator.answer(access, challenges, refused)
        except AuthenticationError as error:
            raise NotAuthorizedError(str(error)) from None

    async def fetch(self, decision: Decision, outgoing: Outgoing) -> Answer:
        """Bring the answer, authorized where there is a login for it. Raises FetchError."""
        access = self.access(decision, lambda _: outgoing)
        if access is None:
            return await self._fetch(outgoing)
        sent = await self.authorization(access)
        answer = await self._fetch(_with(outgoing, sent))
        if answer.status != 401:
            return answer
        better = await self.renewed(access, answer.all_headers("www-authenticate"), sent)
        return answer if better is None else await self._fetch(_with(outgoing, better))


def _with(outgoing: Outgoing, authorization: bytes | None) -> Outgoing:
    if authorization is None:
        return outgoing
    return replace(outgoing, fields=(*outgoing.fields, (b"Authorization", authorization)))
