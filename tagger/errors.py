"""The one exception that means: the input is wrong, not the program."""


class InputError(ValueError):
    """Something that the user gave cannot be used.

    The message is one sentence that says what was wrong, where (``file:line`` if there is one) and what to
    do about it; the command line prints it as it is and exits with code 2.
    """
