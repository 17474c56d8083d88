"""The command `mailstack`: a thin face on `management/`, `operations/` and `app`, one file per noun.

A noun's file is imported when it is called, so that no command pays for another's parts: `domain list` starts no
reactor. `root` knows the nouns and turns every failure into one line; `host` is what the nouns share.
"""


def main() -> None:
    """Run the command line of this process and exit: 0 done, 1 refused, 2 usage."""
    from mailstack.cli.root import cli

    cli(prog_name="mailstack")
