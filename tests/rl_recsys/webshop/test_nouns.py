from __future__ import annotations

import os
import subprocess
import sys
from signal import SIGKILL

import psutil
import pytest

from rl_recsys.errors import UserError
from rl_recsys.webshop.data.nouns import CHUNK, CHUNKS_AHEAD, nouns_of, title_nouns


def titles(count: int) -> list[tuple[str, int]]:
    kinds = ("Men's Slim Fit Dress Shirt", "Wireless Charger with USB Cable", "Organic Green Tea, 20 Bags")
    return [(f"{kinds[number % 3]} {number}", number) for number in range(count)]


def test_several_processes_find_the_nouns_that_one_finds():
    some = titles(CHUNK * (2 * CHUNKS_AHEAD + 2) + 7)
    alone = list(nouns_of(some))
    assert [number for number, _ in alone] == list(range(len(some)))
    assert list(nouns_of(iter(some), processes=2)) == alone
    assert alone[1][1] == title_nouns(some[1][0]) == ("wireless", "charger", "usb", "cable")


def test_a_killed_tagging_process_is_an_error_that_names_the_remedy():
    before = psutil.Process().children()

    def killing():
        for number, title in enumerate(titles(CHUNK * 20)):
            if number == CHUNK * (2 * CHUNKS_AHEAD + 1):
                new = [child for child in psutil.Process().children() if child not in before]
                os.kill(next(child for child in new if "resource_tracker" not in str(child.cmdline())).pid, SIGKILL)
            yield title

    with pytest.raises(UserError, match="fewer --processes"):
        list(nouns_of(killing(), processes=2))
    with pytest.raises(UserError, match="at least one"):
        list(nouns_of(titles(1), processes=0))


ENDLESS = """
import itertools, sys
from rl_recsys.webshop.data.nouns import nouns_of
if __name__ == "__main__":
    for found in nouns_of((("a red shirt", number) for number in itertools.count()), processes=2):
        print("tagged", flush=True)
"""


def test_the_processes_of_a_killed_prepare_end_too(tmp_path):
    script = tmp_path / "endless.py"
    script.write_text(ENDLESS)
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout.readline() == b"tagged\n"
        children = psutil.Process(parent.pid).children(recursive=True)
        parent.kill()
        parent.wait()
        _, alive = psutil.wait_procs(children, timeout=20)
    assert len(children) >= 2
    assert not [child for child in alive if child.status() != psutil.STATUS_ZOMBIE]
