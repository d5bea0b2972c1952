"""What a hash of a password costs whoever guesses: in a process of its own, because those of tests are cheap."""

import subprocess
import sys

from argon2 import extract_parameters
from argon2.profiles import RFC_9106_LOW_MEMORY

HASH = "from control_plane import passwords; print(passwords.hashed('a tall tale of two boxes'), end='')"


def test_server_hashes_by_argon2id_at_the_cost_that_rfc_9106_asks_for() -> None:
    made = subprocess.run([sys.executable, "-c", HASH], capture_output=True, text=True, check=True).stdout
    assert made.startswith("$argon2id$")
    assert extract_parameters(made) == RFC_9106_LOW_MEMORY
