"""Errors, named by what can be done about them."""


class Refused(Exception):
    """No retry will help: a person should look. The worker loop buries the message at once."""


class Unreadable(Refused):
    """Bytes that are no message of ours, or of a version that nobody here knows."""


class NotYet(Exception):
    """What this message needs has not arrived; it comes again shortly."""


class Unavailable(Exception):
    """
    The bus, the database or the disk did not confirm in time, whatever was asked. It may have been
    done or not: ask again. The worker loop waits with what it has in hand until they answer.
    """
