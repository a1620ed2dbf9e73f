"""Passwords of tests."""

from django.contrib.auth.hashers import PBKDF2PasswordHasher


class QuickPBKDF2PasswordHasher(PBKDF2PasswordHasher):
    """Takes no half a second for each of a thousand people. Real processes can read what it makes."""

    iterations = 1
