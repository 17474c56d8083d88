"""What is wrong with a host, found without starting anything: `mailstack check`.

Neighbours: `config_file` has read the settings before; `inspect_files` and `inspect_ports` look at what their names
say; `certificates` reads the pair; `store/migrate` knows the database's version.
"""

import os
from collections.abc import Iterator
from datetime import datetime, timedelta

from mailstack.config import Config
from mailstack.mail.address import Address
from mailstack.operations.certificates import CertificateError, inspect_certificate
from mailstack.operations.findings import Finding
from mailstack.operations.inspect_files import inspect_files
from mailstack.operations.inspect_ports import inspect_ports
from mailstack.store import migrate
from mailstack.store.backup_runs import MEND, backup_trouble
from mailstack.store.database import Database, DatabaseUrlError, StoreTrouble
from mailstack.store.directory import Directory, DomainKind, load_directory

RENEW_BEFORE = timedelta(days=14)


def inspect_host(config: Config, now: datetime) -> list[Finding]:
    """Look at folders, certificate, ports, database and directory; the findings, in that order."""
    return [
        *inspect_files(config),
        *_certificate(config, now),
        *inspect_ports(config),
        *_smarthost(config),
        *_database(config, now),
    ]


def inspect_running(config: Config, now: datetime) -> list[Finding]:
    """What can go wrong with a host while it runs: folders, room on the disk, the certificate."""
    return [*inspect_files(config), *_certificate(config, now)]


def _certificate(config: Config, now: datetime) -> Iterator[Finding]:
    try:
        facts = inspect_certificate(config.tls.certificate, config.tls.key)
    except CertificateError as error:
        yield Finding(f"tls: {error}")
        return
    if facts.not_after <= now:
        yield Finding(f"tls: the certificate ended on {facts.not_after:%Y-%m-%d}; put a new one in its place")
    elif facts.not_after <= now + RENEW_BEFORE:
        yield Finding(f"tls: the certificate ends on {facts.not_after:%Y-%m-%d}; renew it", is_wrong=False)
    if facts.not_before > now:
        yield Finding(f"tls: the certificate begins on {facts.not_before:%Y-%m-%d}; check the clock")
    if not facts.covers(config.hostname):
        yield Finding(f"tls: the certificate is for {', '.join(facts.names)}, not {config.hostname}; get one for it")
    if facts.is_self_signed:
        yield Finding("tls: the certificate is self-signed; clients will ask before they trust it", is_wrong=False)


def _smarthost(config: Config) -> Iterator[Finding]:
    outbound = config.outbound
    if outbound.smarthost_user and not outbound.smarthost_password_file:
        yield Finding("outbound: smarthost_user has no password; name a file in smarthost_password_file")
    if outbound.smarthost_password_file and not os.access(outbound.smarthost_password_file, os.R_OK):
        yield Finding(f"outbound: {outbound.smarthost_password_file} cannot be read; check its path, owner and mode")


def _database(config: Config, now: datetime) -> Iterator[Finding]:
    try:
        database = Database.open(config.database, config.data)
    except DatabaseUrlError as error:
        yield Finding(f"database: {error}")
        return
    try:
        if database.is_sqlite and not os.path.exists(str(database.url.database)):
            yield Finding(f"database: {database.url.database} does not exist; make it with `mailstack db upgrade`")
        elif (missing := migrate.missing(migrate.current(config.database))) is not None:
            yield Finding(f"database: it is at {missing}")
        else:
            directory = database.read_now(lambda connection: load_directory(connection, config.hostname))
            if directory is not None:
                yield from _directory(directory)
            yield from _backup(*database.read_now(lambda connection: backup_trouble(connection, now)))
    except StoreTrouble as error:
        yield Finding(f"database: {error}; see that it runs and that we may use it")
    finally:
        database.close()


def _backup(trouble: str, error: str) -> Iterator[Finding]:
    if trouble:
        why = f" (the last run failed: {error})" if error else ""
        yield Finding(f"backup: {trouble}{why}; {MEND}", is_wrong=False)


def _directory(directory: Directory) -> Iterator[Finding]:
    if not directory.domains:
        yield Finding("there is no domain yet; add one with `mailstack domain add`", is_wrong=False)
    for key, targets in directory.aliases.items():
        dangling = [target for target in targets if _dangles(directory, target)]
        if dangling:
            names = ", ".join(target.for_people for target in dangling)
            yield Finding(f"the alias {key} points to {names}, which nobody has here; add or remove it")
    for domain in directory.domains:
        if domain.kind is DomainKind.RELAY and not domain.next_hop:
            yield Finding(f"the relay domain {domain.name} has no next hop; add it anew with --next-hop")


def _dangles(directory: Directory, target: Address) -> bool:
    domain = directory.domain(target.domain)
    return domain is not None and domain.kind is DomainKind.LOCAL and directory.resolve(target) is None
