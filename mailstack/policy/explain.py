"""What another host's reply means, in plain words, and what to do next: pure tables over codes and known phrases.

The enhanced codes of RFC 3463 (registry: RFC 5248) that mail meets daily, and the codes by which Gmail, Yahoo and
Outlook.com enforce their rules for senders. The most telling comes first: a provider's phrase, then the exact code,
then its subject, then the reply code alone. Neighbours: the panel's timeline and queue show it.
"""

import re
from dataclasses import dataclass

from mailstack.mail.reply import Reply
from mailstack.mail.status import EnhancedStatus, take_status


@dataclass(frozen=True, slots=True)
class Explanation:
    """What happened, and the mend."""

    meaning: str
    next_step: str


_E = Explanation

_PHRASES: tuple[tuple[re.Pattern[str], Explanation], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), explanation)
    for pattern, explanation in (
        (
            r"greylist|graylist|greylisted",
            _E(
                "The other host asks every unknown sender to come back a little later.",
                "Nothing to do: the next try will most likely pass.",
            ),
        ),
        (
            r"spamhaus|spamcop|barracuda|blocked using|block ?list|blacklist|dnsbl|\brbl\b",
            _E(
                "This host's address stands on a block list that the other side uses.",
                "Look the address up at the list that the reply names, mend the cause (a stolen password, an open"
                " form), then ask the list for removal.",
            ),
        ),
        (
            r"\[?TSS?0[4-9]\]?|unusual rate|rate limit|too many (?:connections|messages|recipients)|throttl",
            _E(
                "The other side has had more mail from this host than it wants for now.",
                "Nothing to do at once: it is tried again more slowly. If it comes often, spread large mailings over"
                " hours and look at complaints.",
            ),
        ),
        (
            r"user unknown|no such (?:user|mailbox|recipient)|does not exist|unknown (?:user|recipient|mailbox)"
            r"|recipient (?:address )?rejected: (?:user|undeliverable)",
            _E(
                "The other host has no mailbox of this name.",
                "Check the address for a typing error; take it off your lists if it was right once.",
            ),
        ),
        (
            r"mailbox (?:is )?full|over ?quota|quota exceeded|insufficient (?:system )?storage",
            _E("The recipient's mailbox is full.", "Reach the recipient another way; the mail is tried again."),
        ),
    )
)

_NO_PTR = _E(
    "This host's IP address has no name in the DNS that leads back to it (PTR).",
    "Ask whoever gives you the address to set its PTR record to this host's name, and let that name have the same"
    " address.",
)
_SPF = _E(
    "The receiver asks for SPF, and this mail did not pass it.",
    "Add this host's address to the SPF record of the sender's domain.",
)
_TLS = _E(
    "The receiver takes mail over encrypted connections only.",
    "Let connections out to port 25 pass untouched, so that STARTTLS can be used.",
)
_DKIM = _E(
    "The receiver asks for a DKIM signature, and this mail had no valid one.",
    "Sign the sender's domain: publish its DKIM record as the domain's page shows it.",
)
_DMARC = _E(
    "The sender's domain publishes no DMARC policy, which the receiver asks of those who send much.",
    "Publish a TXT record at _dmarc. of the domain; “v=DMARC1; p=none” is enough to begin with.",
)
_ALIGNMENT = _E(
    "The domain in From is not the one that SPF or DKIM vouch for.",
    "Send with a From address of the domain that is signed, or sign with the From address's domain.",
)
_UNAUTHENTICATED = _E(
    "The receiver could not tell that the mail is really from the domain in From: neither SPF nor DKIM passed.",
    "Publish SPF and DKIM for the sender's domain. If the mail was forwarded, the forwarder has to sign or rewrite it.",
)
_OUTLOOK = _E(
    "Outlook.com asks senders of many mails for SPF, DKIM and DMARC, and this mail did not pass all three.",
    "Publish all three for the From domain, let them align, then send again.",
)
_SECURITY = _E(
    "The receiver's rules do not allow this mail: its content, its sender or this host's reputation.",
    "Read the other side's own words; they often name a page. Send from an address that the recipient knows.",
)

_CODES: dict[tuple[int, int], Explanation] = {
    (1, 0): _E("Something is wrong with the address.", "Check it and send again."),
    (1, 1): _E(
        "The other host has no mailbox of this name.",
        "Check the address for a typing error; take it off your lists if it was right once.",
    ),
    (1, 2): _E(
        "The domain of the address does not exist, or takes no mail.", "Check the part after the @ for a typing error."
    ),
    (1, 3): _E("The address is not written as addresses are.", "Check it for blanks, commas and missing parts."),
    (1, 6): _E("The mailbox has moved, and left no new address.", "Ask the recipient for the new address."),
    (1, 7): _E("The sender's address is not written as addresses are.", "Correct the sender's address and send again."),
    (1, 8): _E(
        "The domain of the sender's address cannot be found.",
        "Check that the sender's domain has MX or address records in the DNS.",
    ),
    (1, 10): _E(
        "The domain says that it takes no mail at all (null MX).", "Check the part after the @ for a typing error."
    ),
    (2, 0): _E("Something is wrong with the recipient's mailbox.", "Reach the recipient another way."),
    (2, 1): _E("The mailbox is closed for now or for good.", "Reach the recipient another way."),
    (2, 2): _E("The recipient's mailbox is full.", "Reach the recipient another way; the mail is tried again."),
    (2, 3): _E("The mail is larger than this mailbox takes.", "Send a smaller mail, or a link to the file."),
    (2, 4): _E("The mailing list could not pass the mail on.", "Tell whoever runs the list."),
    (3, 0): _E("The other host has trouble of its own.", "Nothing to do: it is tried again."),
    (3, 1): _E("The other host's disk is full.", "Nothing to do: it is tried again."),
    (3, 2): _E("The other host takes no mail at the moment.", "Nothing to do: it is tried again."),
    (3, 4): _E("The mail is larger than the other host takes.", "Send a smaller mail, or a link to the file."),
    (4, 0): _E("Something went wrong on the way.", "Nothing to do: it is tried again."),
    (4, 1): _E(
        "No host of the domain answers.",
        "Nothing to do if it is one domain. If all domains fail, port 25 out of this network is closed: ask the"
        " provider to open it.",
    ),
    (4, 2): _E("The connection broke before the mail was through.", "Nothing to do: it is tried again."),
    (4, 3): _E("The DNS did not say where the domain's mail goes.", "Check that this host's name servers answer."),
    (4, 4): _E(
        "There is no way to the domain: it has no host for mail.", "Check the part after the @ for a typing error."
    ),
    (4, 5): _E("The other host is too busy.", "Nothing to do: it is tried again."),
    (4, 6): _E(
        "The mail goes round in a circle between hosts.",
        "Look at the forwards and aliases of the address, and at the domain's MX records.",
    ),
    (4, 7): _E(
        "The other side could not be served for the whole time that mail is kept.",
        "Look at the last reply for the reason; send again once it is mended.",
    ),
    (5, 0): _E("The two hosts did not understand each other.", "Send the timeline to the other side's postmaster."),
    (5, 3): _E("The mail has more recipients than the other host takes at once.", "Send it to fewer at a time."),
    (6, 0): _E("Something in the mail's content is not taken.", "Look at attachments and send a simpler mail."),
    (6, 1): _E("The other host does not take this kind of content.", "Send the attachment in another format."),
    (6, 3): _E("The mail had to be converted for the other host, and cannot be.", "Send it as plain text."),
    (6, 7): _E(
        "The other host cannot take addresses beyond plain letters (SMTPUTF8).", "Use an address in plain letters."
    ),
    (7, 0): _SECURITY,
    (7, 1): _SECURITY,
    (7, 2): _E("You may not write to this mailing list.", "Ask whoever runs the list to let you in."),
    (7, 8): _E("The name or the password was wrong.", "Correct the password of the smarthost or of the mail program."),
    (7, 13): _E("The account is disabled.", "Ask whoever runs the other host."),
    (7, 20): _DKIM,
    (7, 23): _E("The receiver asks for SPF, and SPF forbids this host to send for the domain.", _SPF.next_step),
    (7, 24): _E("The SPF record of the sender's domain cannot be read.", "Correct the SPF record: it must be valid."),
    (7, 25): _NO_PTR,
    (7, 26): _UNAUTHENTICATED,
    (7, 27): _SPF,
    (7, 28): _E(
        "The receiver has seen too much unwanted mail from this domain or address.",
        "Stop large mailings, look for a stolen password, and let the rate fall for some days.",
    ),
    (7, 29): _TLS,
    (7, 30): _DKIM,
    (7, 31): _DMARC,
    (7, 32): _ALIGNMENT,
    (7, 509): _ALIGNMENT,
    (7, 515): _OUTLOOK,
    (7, 606): _E("Outlook blocks this host's address.", "Ask at the page that the reply names to be let in again."),
    (7, 705): _E("The sender's host has sent too much to Microsoft's customers.", "Send less, find what was unwanted."),
}
_TEMPORARY_CODES: dict[tuple[int, int], Explanation] = {
    (7, 23): _NO_PTR,  # Gmail: 4.7.23 is the PTR where 5.7.25 is
    (7, 0): _E(
        "The receiver does not trust this host or this mail yet.",
        "It is tried again. If it goes on, check PTR, SPF, DKIM and DMARC of the sender's domain.",
    ),
    (7, 1): _E(
        "The receiver's rules hold this mail off for now.",
        "It is tried again. If it goes on, check PTR, SPF, DKIM and DMARC of the sender's domain.",
    ),
    (7, 650): _E(
        "Outlook slows this host down for its reputation.", "Send less for some days, and look at complaints."
    ),
}
_REPLY_CODES: dict[int, Explanation] = {
    421: _E("The other host is closing or too busy.", "Nothing to do: it is tried again."),
    450: _E("The mailbox cannot be reached at the moment.", "Nothing to do: it is tried again."),
    451: _E("The other host has a passing trouble.", "Nothing to do: it is tried again."),
    452: _E("The other host is out of room, or takes fewer recipients at once.", "Nothing to do: it is tried again."),
    550: _E("The other host does not take this mail.", "Read its own words for the reason."),
    552: _E(
        "The mail is too large, or the mailbox is full.", "Send a smaller mail, or reach the recipient another way."
    ),
    553: _E("The other host does not accept the address.", "Check it for a typing error."),
    554: _E("The other host refuses the mail as a whole.", "Read its own words for the reason."),
}
_LATER = _E("The other host did not take the mail for now.", "Nothing to do: it is tried again.")
_NEVER = _E("The other host refuses the mail for good.", "Read its own words; correct what they name, then send again.")


def explain(reply: Reply) -> Explanation | None:
    """What a refusal means; None for a positive reply."""
    if reply.is_positive:
        return None
    status = reply.status
    if status is not None and status.subject == 7:  # a named rule says more than the words around it
        found = _by_code(status)
        if found is not None and status.detail >= 20:
            return found
    for pattern, explanation in _PHRASES:
        if pattern.search(reply.text):
            return explanation
    found = _by_code(status) if status is not None else None
    return found or _REPLY_CODES.get(reply.code) or (_LATER if reply.is_transient else _NEVER)


def _by_code(status: EnhancedStatus) -> Explanation | None:
    key = (status.subject, status.detail)
    if status.klass == 4 and key in _TEMPORARY_CODES:
        return _TEMPORARY_CODES[key]
    return _CODES.get(key)


_REPLY_IN_TEXT = re.compile(r"(?:^|[\s:])([245]\d\d)[ -](?=\S)")


def explain_text(text: str) -> Explanation | None:
    """What a reply within a line of the timeline (`mx1.example.org said: 550 5.1.1 …`) means; None without one."""
    found = _REPLY_IN_TEXT.search(text)
    if found is None:
        return None
    status, words = take_status(text[found.end() :])
    return explain(Reply(int(found[1]), status, words))
