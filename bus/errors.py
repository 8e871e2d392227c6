"""Errors, named by what can be done about them."""


class Refused(Exception):
    """No retry will help: a person should look. The worker loop buries the message at once."""


class Unreadable(Refused):
    """Bytes that are no message of ours, or of a version that nobody here knows."""


class NotYet(Exception):
    """What this message needs has not arrived; it comes again shortly."""


class Unavailable(Exception):
    """The bus did not confirm in time. The message may or may not be stored: tell it again."""
