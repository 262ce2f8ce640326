"""How a program ends: in one line where that is all that its user needs, with a traceback where it is our mistake."""

from __future__ import annotations

import errno
import socket
import subprocess
import sys

import pytest

from rl_recsys.errors import INTERRUPTED, UserError, plain_errors


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (UserError("beta is \x1b[1m"), "error: beta is "),
        (PermissionError(errno.EACCES, "Permission denied", "/a/b"), "error: /a/b: Permission denied"),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "/a"), "error: /a: Is a directory"),
        (OSError(errno.ENOSPC, "No space left on device"), "error: No space left on device"),
    ],
)
def test_what_a_user_can_mend_is_one_line(error, message):
    with pytest.raises(SystemExit) as ended, plain_errors():
        raise error
    assert str(ended.value.code).startswith(message) and "\x1b" not in str(ended.value.code)


def test_ctrl_c_is_one_line_with_its_own_status(capsys):
    with pytest.raises(SystemExit) as ended, plain_errors():
        raise KeyboardInterrupt
    assert ended.value.code == 130 and capsys.readouterr().err == INTERRUPTED


def test_output_that_nobody_reads_ends_in_silence_and_a_broken_connection_does_not():
    program = "from rl_recsys.errors import plain_errors\nwith plain_errors():\n    while True:\n        print('row')\n"
    job = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    job.stdout.readline()
    job.stdout.close()
    assert (job.stderr.read(), job.wait()) == (b"", 1)
    near, far = socket.socketpair()
    far.close()
    with near, pytest.raises(BrokenPipeError), plain_errors():
        near.send(b"metrics")


def test_a_mistake_keeps_its_traceback():
    for mistake in (KeyError("row"), OSError("no file at all"), ValueError("shape")):
        with pytest.raises(type(mistake)), plain_errors():
            raise mistake
