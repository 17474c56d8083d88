from mailstack.mail import address
from mailstack.mail.envelope import Body, Envelope, Notify, Recipient, Ret
from mailstack.smtp.client_commands import mail_command, rcpt_command, xtext
from mailstack.smtp.client_extensions import NO_EXTENSIONS, Extensions

ALL = Extensions(size=True, eight_bit=True, dsn=True, smtputf8=True)
ANNA = address.parse_address("anna@example.org")


def test_only_what_is_offered_is_said():
    envelope = Envelope(ANNA, ret=Ret.HEADERS, envid="a+b")
    plain = mail_command(envelope, NO_EXTENSIONS, size_octets=9, body=Body.EIGHT_BIT, smtputf8=False)
    assert plain == b"MAIL FROM:<anna@example.org>\r\n"
    full = mail_command(envelope, ALL, size_octets=9, body=Body.EIGHT_BIT, smtputf8=True)
    assert full == b"MAIL FROM:<anna@example.org> SIZE=9 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=a+2Bb\r\n"


def test_null_sender():
    command = mail_command(
        Envelope(address.NULL_SENDER), NO_EXTENSIONS, size_octets=1, body=Body.SEVEN_BIT, smtputf8=False
    )
    assert command == b"MAIL FROM:<>\r\n"


def test_recipient_with_dsn():
    recipient = Recipient(ANNA, Notify.SUCCESS | Notify.DELAY, "rfc822;o=ne@example.org")
    assert rcpt_command(recipient, ALL) == (
        b"RCPT TO:<anna@example.org> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;o+3Dne@example.org\r\n"
    )
    assert rcpt_command(Recipient(ANNA, Notify.NEVER), ALL) == b"RCPT TO:<anna@example.org> NOTIFY=NEVER\r\n"
    assert rcpt_command(recipient, NO_EXTENSIONS) == b"RCPT TO:<anna@example.org>\r\n"


def test_quoted_local_part():
    recipient = Recipient(address.parse_address('"two words"@example.org'))
    assert rcpt_command(recipient, ALL) == b'RCPT TO:<"two words"@example.org>\r\n'


def test_xtext_never_breaks_the_line():
    assert xtext("a b\r\n+=") == "a+20b+0D+0A+2B+3D"
    assert xtext("bü\\r") == r"b\x{FC}\x{5C}r"
