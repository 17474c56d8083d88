"""The way through the panel: which pages a person sees in the menu, and the mark on the present one."""

from dataclasses import dataclass

from flask import Flask, current_app, g, request

from admin_ui.core.access import Role, has_role


@dataclass(frozen=True, slots=True)
class Link:
    """One line of the menu; marked on all pages of its blueprint."""

    text: str
    endpoint: str
    role: Role


MENU = (
    Link("Home", "home.show", Role.ADMINISTRATOR),
    Link("My account", "me.show", Role.OWNER),
    Link("Domains", "domains.index", Role.ADMINISTRATOR),
    Link("Accounts", "accounts.index", Role.ADMINISTRATOR),
    Link("Aliases", "aliases.index", Role.ADMINISTRATOR),
    Link("Limits", "limits.index", Role.ADMINISTRATOR),
    Link("Queue", "queue.index", Role.ADMINISTRATOR),
    Link("Where is my mail?", "trace.index", Role.PERSON),
    Link("Administrators", "administrators.index", Role.SUPERADMINISTRATOR),
    Link("Audit", "audit.index", Role.PERSON),
    Link("API tokens", "tokens.index", Role.PERSON),
)


def menu() -> list[tuple[Link, bool]]:
    """The links of the person who is signed in, and whether the present page is below one."""
    blueprint = request.blueprint
    return [
        (link, link.endpoint.partition(".")[0] == blueprint)
        for link in MENU
        if link.endpoint in current_app.view_functions and g.person and has_role(g.person, link.role)
    ]


def add_menu(app: Flask) -> None:
    """Make it known to templates."""
    app.context_processor(lambda: {"menu": menu, "person": g.get("person")})
