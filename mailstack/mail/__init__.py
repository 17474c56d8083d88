"""Values of mail: addresses, domains, envelopes, statuses, replies and outcomes.

Everything above speaks in these words; nothing here knows a protocol, a database or a clock.
"""
