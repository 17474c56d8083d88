from mailstack.net.bounds import Admission, ConnectionBounds


def test_one_address_has_its_share_and_gets_it_back():
    bounds = ConnectionBounds(total=10, per_address=2)
    assert [bounds.enter("192.0.2.1") for _ in range(3)] == [
        Admission.WELCOME,
        Admission.WELCOME,
        Admission.TOO_MANY_FROM_ADDRESS,
    ]
    assert bounds.enter("192.0.2.2") is Admission.WELCOME
    bounds.leave("192.0.2.1")
    assert bounds.enter("192.0.2.1") is Admission.WELCOME


def test_all_together_are_bounded():
    bounds = ConnectionBounds(total=2, per_address=2)
    bounds.enter("192.0.2.1")
    bounds.enter("192.0.2.2")
    assert bounds.enter("192.0.2.3") is Admission.TOO_MANY
    assert len(bounds) == 2


def test_an_ipv6_peer_is_its_64():
    bounds = ConnectionBounds(total=10, per_address=1)
    assert bounds.enter("2001:db8::1") is Admission.WELCOME
    assert bounds.enter("2001:db8::ffff:2") is Admission.TOO_MANY_FROM_ADDRESS
    assert bounds.enter("2001:db8:0:1::1") is Admission.WELCOME
    assert bounds.enter("::ffff:192.0.2.1") is Admission.WELCOME
    assert bounds.enter("192.0.2.1") is Admission.TOO_MANY_FROM_ADDRESS
