"""The mailboxes that mail is imported from: `maildir` (with `dovecot_uids`) and `mbox`."""
