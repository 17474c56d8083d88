"""Who may log in: one door for submission, POP3 and the panel.

`attempt` looks a name up in the directory, waits as long as earlier failures ask for, has the password verified off
the reactor thread and counts what came of it. A name that does not exist takes the same road and the same time. SCRAM
goes by `admit`, `verifier` and then `proven` or `disproven`. Neighbours: `policy/slowdown` decides the wait,
`store/passwords` verifies, `store/directory` knows accounts.
"""

from collections import Counter
from collections.abc import Callable
from enum import Enum

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from mailstack.mail.address import AddressError, parse_address
from mailstack.policy.slowdown import Slowdown, name_key, network_of
from mailstack.store.directory import Account, AccountState, DirectoryKeeper
from mailstack.store.passwords import Passwords
from mailstack.wire.scram import ScramVerifier

MAX_WAITING = 200
MAX_WAITING_PER_NETWORK = 5
"""Log-ins that wait for their turn at a time: one guesser must not fill the house."""


class LoginRefusal(Enum):
    """Why a log-in is refused."""

    WRONG = "the name or the password is wrong"
    SUSPENDED = "the account is suspended"
    TOO_MANY_FAILURES = "too many failed log-ins, try again later"


class Logins:
    """Checks log-ins; one for all services, so that failures at one count at the others.

    Args:
        keeper: the directory.
        passwords: verifies.
        clock: times the waits.
        slowdown: how long to wait after failures.
        logged_in: told the account and the client's address of each log-in that succeeds.
    """

    def __init__(
        self,
        keeper: DirectoryKeeper,
        passwords: Passwords,
        clock: IReactorTime,
        slowdown: Slowdown | None = None,
        logged_in: Callable[[Account, str], None] = lambda _account, _client_address: None,
    ) -> None:
        self._keeper = keeper
        self._passwords = passwords
        self._clock = clock
        self._slowdown = slowdown or Slowdown()
        self._logged_in = logged_in
        self._waiting: Counter[str] = Counter()

    async def check(self, username: str, password: str, client_address: str) -> Account | None:
        """The account when it may log in; None for any other outcome of `attempt`."""
        outcome = await self.attempt(username, password, client_address)
        return outcome if isinstance(outcome, Account) else None

    async def attempt(self, username: str, password: str, client_address: str) -> Account | LoginRefusal:
        """Check a name and its password, after the wait that earlier failures ask for.

        Args:
            username: the account's full address; its domain may be in U-label form.
            password: as the user gave it.
            client_address: the client's IP address.

        Raises:
            StoreTrouble: the credentials cannot be read just now.
        """
        if not await self.admit(username, client_address):
            return LoginRefusal.TOO_MANY_FAILURES
        account = self.account(username)
        right = await self._passwords.verify(account.id if account else None, password)
        if account is None or not right:
            return self.disproven(username, client_address)
        return self.proven(username, client_address)

    async def admit(self, username: str, client_address: str) -> bool:
        """Wait for one's turn; False = refused without a check. SCRAM starts with this."""
        delay = self.delay_before(username, client_address)
        if delay is None:
            return False
        if not delay:
            return True
        network = network_of(client_address)
        if self._waiting.total() >= MAX_WAITING or self._waiting[network] >= MAX_WAITING_PER_NETWORK:
            return False
        self._waiting[network] += 1
        try:
            await self._sleep(delay)
        finally:
            self._waiting[network] -= 1
            if not self._waiting[network]:
                del self._waiting[network]
        return True

    def delay_before(self, username: str, client_address: str) -> float | None:
        """Seconds that the next check of this name from this address waits; None = it is refused."""
        return self._slowdown.delay(name_key(username), client_address, self._clock.seconds())

    async def verifier(self, username: str) -> ScramVerifier | None:
        """The SCRAM verifier of a name; None when there is no such account (`wire/sasl` then goes on with a fake one).

        Raises:
            StoreTrouble: the credentials cannot be read just now.
        """
        account = self.account(username)
        return await self._passwords.verifier(account.id if account else None)

    def proven(self, username: str, client_address: str) -> Account | LoginRefusal:
        """The password was right: note it. The account, unless it is suspended."""
        account = self.account(username)
        if account is None:  # removed while the exchange went on
            return LoginRefusal.WRONG
        self._slowdown.note_success(name_key(username), client_address)
        if account.state is AccountState.SUSPENDED:
            return LoginRefusal.SUSPENDED
        self._logged_in(account, client_address)
        return account

    def disproven(self, username: str, client_address: str) -> LoginRefusal:
        """The password was wrong, or there is no such account: count it."""
        self._slowdown.note_failure(name_key(username), client_address, self._clock.seconds())
        return LoginRefusal.WRONG

    def account(self, username: str) -> Account | None:
        """The account of a log-in name: its full address, exactly."""
        try:
            address = parse_address(username)
        except AddressError:
            return None
        return self._keeper.current.account(address)

    def _sleep(self, seconds: float) -> Deferred[None]:
        waiting: Deferred[None] = Deferred()
        self._clock.callLater(seconds, waiting.callback, None)
        return waiting
