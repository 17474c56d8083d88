"""What an account does by itself, and a freeze of its sending, by the API; an owner's token reaches his own account."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct, field

from admin_ui.api.operations import operation
from admin_ui.api.values import Body, Done, Query
from admin_ui.core.acts import act, actor, ask
from admin_ui.core.panel import panel
from mailstack.management import app_passwords, forwards, freezing, vacations
from mailstack.management.app_passwords import make_app_password
from mailstack.management.forwards import ForwardsView
from mailstack.management.vacations import Vacation

Moment = Annotated[datetime, Meta(tz=True, description="With its offset from UTC")]


class Forwards(Body):
    """Where an account's mail goes as well or, without a copy, instead."""

    targets: list[str] = field(default_factory=list)
    keeps_copy: bool = True


class Reply(Body):
    """What an account answers by itself while its owner is away (RFC 3834); without times at once, or for ever."""

    body: str
    subject: str = ""
    starts_at: Moment | None = None
    ends_at: Moment | None = None


class AppPassword(Struct):
    """A password for one device or program; the password itself is told only when it is made."""

    name: str
    created_at: datetime
    password: str | None = None


class NewAppPassword(Body):
    """What it is for."""

    name: str


class Why(Body):
    """The reason, which the account's owner reads."""

    why: str


class Fate(Query):
    """Whether what is held is dropped, without a word to anybody, instead of sent."""

    drop: bool = False


@operation("GET", "/accounts/{address}/forwards", "accounts:read", "Where an account's mail goes as well")
def get_forwards(address: str) -> Forwards:
    """No targets = it only keeps it."""
    return _forwards(ask(forwards.get, address))


@operation("PUT", "/accounts/{address}/forwards", "accounts:write", "Set an account's forwards anew")
def set_forwards(address: str, body: Forwards) -> Forwards:
    """No targets ends them."""
    return _forwards(act(forwards.change, address, body.targets, keeps_copy=body.keeps_copy))


@operation("GET", "/accounts/{address}/vacation", "accounts:read", "An account's vacation reply")
def get_vacation(address: str) -> Reply | None:
    """Null when there is none."""
    found = ask(vacations.get, address)
    return (
        None
        if found is None
        else Reply(body=found.body, subject=found.subject, starts_at=found.starts_at, ends_at=found.ends_at)
    )


@operation("PUT", "/accounts/{address}/vacation", "accounts:write", "Set the vacation reply", status=204)
def set_vacation(address: str, body: Reply) -> None:
    """Each sender is answered once a week at most."""
    act(vacations.change, address, Vacation(body.subject, body.body, body.starts_at, body.ends_at))


@operation("DELETE", "/accounts/{address}/vacation", "accounts:write", "Take the vacation reply back", status=204)
def end_vacation(address: str) -> None:
    """Harmless when there is none."""
    act(vacations.change, address, None)


@operation("GET", "/accounts/{address}/app-passwords", "accounts:read", "An account's app passwords")
def list_app_passwords(address: str) -> list[AppPassword]:
    """Without the passwords."""
    return [AppPassword(view.name, view.created_at) for view in ask(app_passwords.find, address)]


@operation("POST", "/accounts/{address}/app-passwords", "accounts:write", "Make an app password", status=201)
def add_app_password(address: str, body: NewAppPassword) -> AppPassword:
    """The answer tells the password, this once."""
    made = make_app_password()
    act(app_passwords.add, address, body.name, made)
    [view] = [view for view in ask(app_passwords.find, address) if view.name == body.name.strip()]
    return AppPassword(view.name, view.created_at, made)


@operation("DELETE", "/accounts/{address}/app-passwords/{name}", "accounts:write", "Revoke one", status=204)
def revoke_app_password(address: str, name: str) -> None:
    """Void at once."""
    act(app_passwords.revoke, address, name)


@operation("PUT", "/accounts/{address}/freeze", "accounts:write", "Hold all that an account sends", status=204)
def freeze_account(address: str, body: Why) -> None:
    """It receives and fetches as before."""
    act(freezing.freeze, address, body.why)


@operation("DELETE", "/accounts/{address}/freeze", "accounts:write", "Let an account send again")
def unfreeze_account(address: str, query: Fate) -> Done:
    """What is held leaves as its limits allow, or is dropped; tells how many were dropped."""
    dropped = freezing.drop_held(panel().database, actor(), address, panel().contents) if query.drop else 0
    act(freezing.unfreeze, address)
    panel().wake_queue()
    return Done(dropped)


def _forwards(view: ForwardsView) -> Forwards:
    return Forwards(targets=[str(target) for target in view.targets], keeps_copy=view.keeps_copy)
