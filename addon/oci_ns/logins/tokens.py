"""The Authorization for pulls: from the logins and what an endpoint wants to see, with tokens kept while they are good.

Knows when an endpoint or a token service is asked, and when not again; what is asked is in `token_request`. A login is
used at the registry that it is written for, and at the token service which that registry names; and for pulls only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from oci_ns.expiring import Expiring
from oci_ns.fetch import Fetch, FetchError
from oci_ns.logins.authfile import Authfile
from oci_ns.logins.challenge import Challenge, parse_challenges
from oci_ns.logins.login import Login
from oci_ns.logins.token_request import (
    CATALOG_SCOPE,
    AuthenticationError,
    Token,
    TokenQuestion,
    get_request,
    has_no_oauth2,
    narrowed,
    post_request,
    pull_scope,
    question_of,
    token_in,
)
from oci_ns.printable import printable
from oci_ns.pull_access import PullAccess, Site
from oci_ns.single_flight import SingleFlight

LEARNED = 3600.0
"""In seconds: what an endpoint wants to see is asked again after this. When it changes before, a 401 tells."""
FAILED = 10.0
"""In seconds: what could not be had is not asked for again before this."""
_SITES_MAX = 1000
_TOKENS_MAX = 10_000

_Challenges = tuple[Challenge, ...]
_TokenKey = tuple[Site, TokenQuestion, Login]


@dataclass(frozen=True, slots=True)
class _Failed:
    reason: str


class Authenticator:
    """Authorizes pulls. Belongs to one event loop. `now` is the time in seconds since 1970."""

    def __init__(self, authfile: Authfile, fetch: Fetch, now: Callable[[], float] = time.time) -> None:
        self._authfile = authfile
        self._fetch = fetch
        self._now = now
        self._learned: Expiring[Site, _Challenges] = Expiring(now, _SITES_MAX)
        # The scope that an endpoint has named itself, where its repositories have other names at its token service.
        self._scopes: Expiring[PullAccess, str] = Expiring(now, _TOKENS_MAX)
        self._tokens: Expiring[_TokenKey, Token | _Failed] = Expiring(now, _TOKENS_MAX)
        self._pings: SingleFlight[_Challenges] = SingleFlight()
        self._requests: SingleFlight[Token] = SingleFlight()

    def has_login(self, registry: str, path: str) -> bool:
        """Whether there is a login for a repository, or ('' as `path`) for a ping or catalog. Costs a few look-ups.

        `registry` is in the normal form of `reference.canonical_registry`.
        """
        return self._login(registry, path) is not None

    async def authorization(self, access: PullAccess) -> bytes | None:
        """The Authorization to send along; None where there is no login, or the endpoint does not ask for one.

        Raises AuthenticationError where a token is needed and cannot be had.
        """
        login = self._login(access.site.registry, access.repository)
        if login is None:
            return None
        return await self._authorization(access, login, await self._challenges(access.site))

    async def answer(self, access: PullAccess, challenges: Sequence[str], refused: bytes | None) -> bytes | None:
        """The Authorization for a request that was answered with 401 and these WWW-Authenticate values.

        `refused` is the Authorization that was sent along, None where there was none. None where there is nothing
        better to send: no login, no challenge that it is good for, or the same has been refused just now. Raises
        AuthenticationError where a token is needed and cannot be had.
        """
        login = self._login(access.site.registry, access.repository)
        parsed = parse_challenges(challenges)
        if login is None or not parsed:
            return None
        self._learned.put(access.site, parsed, self._now() + LEARNED)
        bearer = _bearer_in(parsed)
        if bearer is not None:
            scope = narrowed(bearer.parameters.get("scope", ""), catalog=access.catalog)
            if scope:
                self._scopes.put(access, scope, self._now() + LEARNED)
            if not self._forget_refused(access, login, bearer, refused):
                return None
        fresh = await self._authorization(access, login, parsed)
        return None if fresh == refused else fresh

    def close(self) -> None:
        """End what goes on."""
        self._pings.close()
        self._requests.close()

    def _login(self, registry: str, path: str) -> Login | None:
        return self._authfile.login_for(registry, path) if path else self._authfile.login_at(registry)

    def _scope(self, access: PullAccess) -> str:
        named = self._scopes.get(access)
        if named is not None:
            return named
        if access.repository:
            return pull_scope(access.repository)
        return CATALOG_SCOPE if access.catalog else ""

    async def _challenges(self, site: Site) -> _Challenges:
        learned = self._learned.get(site)
        return learned if learned is not None else await self._pings.share(site, lambda: self._ping(site))

    async def _ping(self, site: Site) -> _Challenges:
        """What the endpoint wants to see. Where it does not answer, the pull itself will tell."""
        challenges: _Challenges = ()
        lifetime = FAILED
        try:
            answer = await self._fetch(site.ping())
        except FetchError:
            pass
        else:
            if answer.status == 401:
                challenges = parse_challenges(answer.all_headers("www-authenticate"))
            if answer.status in (200, 401):
                lifetime = LEARNED
        self._learned.put(site, challenges, self._now() + lifetime)
        return challenges

    async def _authorization(self, access: PullAccess, login: Login, challenges: _Challenges) -> bytes | None:
        """A token where one will do: it is good for less, and not as long, as the login."""
        bearer = _bearer_in(challenges)
        if bearer is not None:
            try:
                question = question_of(bearer.parameters, self._scope(access), access.site.scheme)
                return (await self._token((access.site, question, login))).authorization()
            except AuthenticationError as error:
                reason = f"the login for {printable(login.entry)} cannot be used: {error}"
                raise AuthenticationError(reason) from None
        if login.has_password and any(challenge.scheme == "basic" for challenge in challenges):
            return login.basic()
        return None

    def _forget_refused(self, access: PullAccess, login: Login, bearer: Challenge, refused: bytes | None) -> bool:
        """See to it that a refused token is not used again; False where it is so new that another will not do, too."""
        try:
            question = question_of(bearer.parameters, self._scope(access), access.site.scheme)
        except AuthenticationError:
            # To be raised where it is used.
            return True
        key = (access.site, question, login)
        held = self._tokens.get(key)
        if isinstance(held, Token) and held.authorization() == refused:
            if self._now() - held.received < FAILED:
                return False
            self._tokens.drop(key)
        return True

    async def _token(self, key: _TokenKey) -> Token:
        held = self._tokens.get(key)
        if isinstance(held, Token):
            return held
        if held is not None:
            raise AuthenticationError(held.reason)
        return await self._requests.share(key, lambda: self._request(key))

    async def _request(self, key: _TokenKey) -> Token:
        site, question, login = key
        asked = self._now()
        try:
            token = await self._ask(site, question, login, asked)
        except AuthenticationError as error:
            self._tokens.put(key, _Failed(str(error)), self._now() + FAILED)
            raise
        self._tokens.put(key, token, token.expires)
        return token

    async def _ask(self, site: Site, question: TokenQuestion, login: Login, asked: float) -> Token:
        # Elsewhere than at the endpoint itself, nobody has said that a certificate need not be verified.
        insecure = site.insecure and question.host == site.host
        try:
            if login.identity_token:
                answer = await self._fetch(post_request(question, login, insecure=insecure))
                if has_no_oauth2(answer) and login.has_password:
                    answer = await self._fetch(get_request(question, login, insecure=insecure))
            else:
                answer = await self._fetch(get_request(question, login, insecure=insecure))
        except FetchError as error:
            raise AuthenticationError(f"{question.place} does not answer: {printable(str(error))}") from None
        return token_in(answer, question, asked, self._now())


def _bearer_in(challenges: _Challenges) -> Challenge | None:
    return next((challenge for challenge in challenges if challenge.scheme == "bearer"), None)
