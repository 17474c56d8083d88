"""When a disk is too full to take mail: Postfix's rule, and a share for a disk that fills by other ways."""

MIN_FREE_SHARE = 0.10
MESSAGES_OF_ROOM = 1.5


def is_disk_low(free_octets: int, all_octets: int, max_message_size: int) -> bool:
    """Whether mail is to be refused for now: a tenth must be free, and room for one and a half of the largest mail."""
    return free_octets < MIN_FREE_SHARE * all_octets or free_octets < MESSAGES_OF_ROOM * max_message_size
