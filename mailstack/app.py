"""The composition root: the only file that knows all parts; builds them for one config, on one reactor.

`serving` makes the `Host` once the process has the sockets and the rights it keeps.
"""

import gc
import os
import secrets
import socket
import string
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import blockingCallFromThread
from twisted.protocols.tls import TLSMemoryBIOFactory

from admin_ui.app import create_app
from admin_ui.core.panel import Panel
from mailstack import maillog
from mailstack.config import Config
from mailstack.config_changes import changed, take_live
from mailstack.config_file import ConfigError
from mailstack.delivery.remote import RemoteDelivery
from mailstack.housekeeping import Housekeeping, sweep
from mailstack.login import Logins
from mailstack.mail.address import Address
from mailstack.mail.envelope import Recipient
from mailstack.mail.reply import Reply
from mailstack.management.turnstile import Turnstile
from mailstack.net import systemd
from mailstack.net.bounds import ConnectionBounds
from mailstack.net.http import HttpService
from mailstack.net.listen import Listeners
from mailstack.net.pop3_server import Pop3ServerFactory
from mailstack.net.resolver import Resolver
from mailstack.net.smtp_server import SmtpServerFactory
from mailstack.net.tls import ServerTls, TlsFilesError
from mailstack.operations.health import LOOK_EACH, Health, HealthPage
from mailstack.operations.health import PATH as HEALTH_PATH
from mailstack.operations.metrics import Metrics, metrics_site
from mailstack.policy.retry import RetryPolicy
from mailstack.policy.slowdown import Slowdown
from mailstack.queue.attempt import Attempts, Ways
from mailstack.queue.release import HeldRelease
from mailstack.queue.routes import Routes
from mailstack.queue.runner import Bounds, QueueRunner
from mailstack.reception.allowances import Allowances
from mailstack.reception.handover import hand_over
from mailstack.reception.inbound import Inbound
from mailstack.reception.intake import Intake
from mailstack.reception.notices import Notices
from mailstack.reception.room import Room
from mailstack.reception.sender_domains import SenderDomains
from mailstack.reception.submission import Submission
from mailstack.reception.vacation import VacationReplies
from mailstack.reception.watch import SendingWatch
from mailstack.retrieval import Retrieval
from mailstack.smtp.questions import Reception, Service
from mailstack.store.content import ContentStore
from mailstack.store.database import Database
from mailstack.store.directory import Account, DirectoryKeeper
from mailstack.store.mailboxes import RENEW_LEASES_EACH, Mailboxes
from mailstack.store.passwords import Passwords
from mailstack.store.settings import SCRAM_SECRET, lasting_secret
from mailstack.store.spool import Spool, queue_sizes
from mailstack.store.submissions import Kept, Submitter, Terms
from mailstack.store.tally import catch_up

_chance = Random()  # noqa: S311 -- for jitter and queue IDs, which are no secrets: no system call each time


class Host:
    """All parts of one config.

    Args:
        config: the settings.
        read_config: reads them anew for `reload`; raises ConfigError.
        reactor: the one reactor.
        listeners: bound, not yet adopted.
        tls: the server's certificate.
    """

    def __init__(
        self, config: Config, read_config: Callable[[], Config], reactor: Any, listeners: Listeners, tls: ServerTls
    ) -> None:
        self._config = config
        self._read_config = read_config
        self._reactor = reactor
        self._listeners = listeners
        self._tls = tls
        self._database = Database.open(config.database, config.data)
        self._contents = ContentStore(config.data / config.content, config.inline_content)
        self._keeper = DirectoryKeeper(self._database, reactor, hostname=config.hostname)
        self._passwords = Passwords(self._database, reactor)
        self._slowdown = Slowdown()
        self._logins = Logins(self._keeper, self._passwords, reactor, self._slowdown, logged_in=self._note_login)
        self._resolver = Resolver(reactor, config.outbound.nameservers)
        self._remote = RemoteDelivery(reactor, config.outbound, config.hostname, self._resolver)
        self._mailboxes = Mailboxes(
            self._database,
            self._contents,
            node=f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}",
            shared=not self._database.is_sqlite,
        )
        self._intake = Intake(
            self._database,
            self._keeper,
            self._contents,
            wake=self._wake,
            arrived=self._arrived,
            random_bits=_chance.getrandbits,
            terms=_terms(config),
            submitted=self._note_submission,
        )
        self._vacation_replies = VacationReplies(
            self._database,
            self._keeper,
            self._contents,
            accept=self._intake.accept_report,
            hostname=config.hostname,
            now=_now,
            token=_token,
        )
        notices = Notices(self._database, self._intake.accept_report, hostname=config.hostname, now=_now, token=_token)
        self._watch = SendingWatch(self._database, self._keeper, notices, config.limits, now=_now)
        self._runner = self._make_runner()
        self._smtp: dict[str, SmtpServerFactory] = {}
        self._pop3: dict[str, Pop3ServerFactory] = {}
        self._http: HttpService | None = None
        self._housekeeping = Housekeeping(reactor)
        self._health = Health(self._database, reactor.seconds)

    def _wake(self) -> None:
        self._runner.wake()

    def _arrived(self, queue_id: str, sender: Address, recipients: Sequence[Recipient]) -> None:
        self._vacation_replies.consider(queue_id, sender, recipients)

    def _note_login(self, account: Account, client_address: str) -> None:
        self._watch.logged_in(account, client_address)

    def _note_submission(self, who: Submitter, kept: Kept) -> None:
        self._watch.submitted(who, kept)

    def _make_runner(self) -> QueueRunner:
        config, queue = self._config, self._config.queue
        spool = Spool(self._database, self._contents)
        policy = _retry_policy(config)
        attempts = Attempts(
            spool,
            Ways(
                remote=self._remote,
                expand_local=self._intake.expand_local,
                accept_report=self._intake.accept_report,
                arrived=self._arrived,
            ),
            policy,
            hostname=config.hostname,
            now=_now,
            chance=_chance.random,
            token=_token,
            clock=self._reactor,
        )
        secret = config.outbound.smarthost_password_file
        password = secret.read_text(encoding="utf-8").strip() if secret else ""
        return QueueRunner(
            spool,
            attempts,
            Routes(config.outbound, lambda: self._keeper.current, password),
            policy,
            Bounds(config.outbound.connections_per_destination, config.outbound.connections, queue.keep_history),
            clock=self._reactor,
            now=_now,
            chance=_chance.random,
            release_held=HeldRelease(self._database, self._keeper, _now).take_turn,
        )

    async def start(self) -> None:
        """Read the directory, take connections, start the queue."""
        await self._keeper.start()
        secret = await self._database.write(lambda connection: lasting_secret(connection, SCRAM_SECRET))
        self._make_smtp_services(secret.encode())
        self._make_pop3_services(secret.encode())
        self._make_panel()
        self._make_metrics()
        await self._runner.start()
        self._keep_house()
        gc.collect()
        gc.freeze()  # what lives as long as the process need not be looked at again

    def _keep_house(self) -> None:
        house = self._housekeeping
        house.each(timedelta(days=1), self._sweep)
        house.each(LOOK_EACH, self._health.look)
        house.each(timedelta(minutes=1), lambda: catch_up(self._database, _now()))
        house.each(RENEW_LEASES_EACH, lambda: self._mailboxes.renew_leases(_now()))

    async def _sweep(self) -> None:
        await sweep(self._database, self._contents, self._mailboxes, self._config.pop3.expire, _now())

    def _make_smtp_services(self, secret: bytes) -> None:
        config = self._config
        room = Room((config.data, Path(config.content)), self._database, config.smtp.max_message_size)
        domains = SenderDomains(self._resolver.sender_domain_status, self._reactor)
        inbound = Inbound(config, self._keeper, self._intake, room, domains.find)
        submission = Submission(
            config, self._keeper, self._intake, room, logins=self._logins, allowances=Allowances(self._database)
        )
        self._room, self._inbound, self._submission = room, inbound, submission
        # One bound for strangers and one for our own people: a flood on port 25 keeps nobody from sending.
        from_world, from_us = (_smtp_bounds(config) for _ in range(2))
        self._listen_smtp("smtp", inbound, Service.MX, from_world, secret)
        self._listen_smtp("submission", submission, Service.SUBMISSION, from_us, secret)
        self._listen_smtp("submissions", submission, Service.SUBMISSION, from_us, secret, implicit_tls=True)

    def _listen_smtp(
        self,
        name: str,
        reception: Reception,
        service: Service,
        bounds: ConnectionBounds,
        secret: bytes,
        *,
        implicit_tls: bool = False,
    ) -> None:
        factory = SmtpServerFactory(
            reception,
            self._config.smtp,
            service=service,
            hostname=self._config.hostname,
            tls=self._tls,
            clock=self._reactor,
            report_bug=maillog.bug,
            bounds=bounds,
            implicit_tls=implicit_tls,
            secret=secret,
        )
        self._smtp[name] = factory
        self._listeners.adopt(self._reactor, name, factory)

    def _make_pop3_services(self, secret: bytes) -> None:
        settings = self._config.pop3
        self._retrieval = retrieval = Retrieval(self._logins, self._mailboxes, self._keeper, settings, _now)
        bounds = ConnectionBounds(settings.max_connections, settings.max_connections_per_address)
        for name in ("pop3", "pop3s"):
            factory = Pop3ServerFactory(
                retrieval.visit,
                settings,
                tls_options=self._tls,
                implicit_tls=name == "pop3s",
                bounds=bounds,
                clock=self._reactor,
                on_bug=maillog.bug,
                secret=secret,
            )
            self._pop3[name] = factory
            self._listeners.adopt(self._reactor, name, factory)

    def _make_panel(self) -> None:
        listen = self._config.listen
        if not listen.http and not listen.https:
            return
        panel = Panel(
            self._database,
            self._contents,
            self._config,
            wake_queue=lambda: self._reactor.callFromThread(self._wake),
            submit=self._submit_from_thread,
            destination_state=self._runner.destination_state,
            turnstile=Turnstile(
                self._slowdown, self._reactor.seconds, lambda work: blockingCallFromThread(self._reactor, work)
            ),
        )
        pages = {HEALTH_PATH: HealthPage(self._health, tells_why=False)}
        self._http = HttpService(self._reactor, create_app(panel), pages=pages)
        self._listeners.adopt(self._reactor, "http", self._http.factory)
        over_tls: Any = TLSMemoryBIOFactory(self._tls, False, self._http.factory)
        self._listeners.adopt(self._reactor, "https", over_tls)

    def _submit_from_thread(
        self, account: str, client: str, sender: Address, recipients: Sequence[Address], content: bytes
    ) -> Reply:
        def submit() -> Any:
            return Deferred.fromCoroutine(hand_over(self._submission, account, client, sender, recipients, content))

        answer: Reply = blockingCallFromThread(self._reactor, submit)
        return answer

    def _make_metrics(self) -> None:
        if not self._config.listen.metrics:
            return
        metrics = Metrics()
        maillog.watch(metrics.note)
        metrics.watch_health(self._health)
        metrics.watch_certificate(self._tls.ends_at)
        self._database.watch_commits(metrics.commit_took)
        for name, smtp in self._smtp.items():
            metrics.watch_sessions(name, smtp.connections)
        for name, pop3 in self._pop3.items():
            metrics.watch_sessions(name, pop3.connections)
        site = metrics_site(metrics, lambda: self._database.read(queue_sizes), self._health)
        self._listeners.adopt(self._reactor, "metrics", site)

    def reload(self) -> None:
        """Read config and certificate anew; connections that stand go on. When either is wrong, nothing is taken."""
        systemd.notify(systemd.reloading())
        try:
            wanted = self._read_config()
            self._tls.reload(wanted.tls.certificate, wanted.tls.key)
        except (ConfigError, TlsFilesError) as error:
            maillog.trouble("config" if isinstance(error, ConfigError) else "certificate", error)
            systemd.notify(systemd.status(f"the reload changed nothing: {error}"))
        else:
            self._take(wanted)
        systemd.notify(systemd.READY)

    def _take(self, wanted: Config) -> None:
        running = take_live(self._config, wanted)
        taken = ", ".join(changed(self._config, running)) or "nothing"
        left = ", ".join(changed(running, wanted)) or "nothing"
        self._config = running
        for smtp in self._smtp.values():
            smtp.take_settings(running.smtp)
        for pop3 in self._pop3.values():
            pop3.take_settings(running.pop3)
        self._room.take_settings(running.smtp.max_message_size)
        self._inbound.take_settings(running)
        self._submission.take_settings(running)
        self._retrieval.take_settings(running.pop3)
        self._intake.take_settings(_terms(running))
        self._watch.take_settings(running.limits)
        self._runner.take_settings(_retry_policy(running), running.queue.keep_history)
        maillog.log_event("reloaded", certificate="read", changed=taken, needs_restart=left)
        systemd.notify(systemd.status(f"reloaded; changed: {taken}; needs a restart: {left}"))

    async def stop(self) -> None:
        """Stop listening, let what runs come to its end within the grace, close the store."""
        maillog.stopping("asked to")
        systemd.notify(systemd.STOPPING)
        await self._listeners.stop()
        self._housekeeping.stop()
        grace: timedelta = self._config.smtp.shutdown_grace
        ending: list[Deferred[Any]] = [Deferred.fromCoroutine(factory.shutdown()) for factory in self._smtp.values()]
        ending += [Deferred.fromCoroutine(factory.shutdown(grace)) for factory in self._pop3.values()]
        ending.append(Deferred.fromCoroutine(self._runner.stop(grace)))
        if self._http is not None:
            ending.append(Deferred.fromCoroutine(self._http.stop()))
        self._remote.stop_opening()
        for end in ending:
            await end
        await self._watch.stop()
        await self._remote.close()
        self._keeper.stop()
        self._passwords.stop()
        self._database.close()


def _smtp_bounds(config: Config) -> ConnectionBounds:
    return ConnectionBounds(config.smtp.max_connections, config.smtp.max_connections_per_address)


def _terms(config: Config) -> Terms:
    return Terms(config.limits.held_backlog, config.limits.bulk_recipients, config.limits.bulk_per_hour)


def _retry_policy(config: Config) -> RetryPolicy:
    return RetryPolicy(config.queue.retry, config.queue.warn_after, config.queue.give_up_after)


def _now() -> datetime:
    return datetime.now(UTC)


def _token() -> str:
    return "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(16))
