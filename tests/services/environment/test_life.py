"""The life of the server: it starts by its job, its shop is replaced under it, forgotten sessions end."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from envs.webshop_remote import RemoteWebShopEnv
from envs.webshop_served import ServedShop
from jobs import serve_environment
from rl_recsys.webshop.data.compile import Source, compile_shop
from rl_recsys.webshop.data.demo import write_demo_files
from rl_recsys.webshop.shop import ShopError

ROOT = Path(__file__).parents[3]


def test_the_job_serves_until_it_is_told_to_end(shop_folder, tmp_path):
    token = tmp_path / "token"
    token.write_text("a-secret-of-some-length\n")
    command = [sys.executable, "jobs/serve_environment.py", "--shop", str(shop_folder), "--port", "0"]
    command += ["--token-file", str(token), "--processes", "2"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as job:
        for line in job.stdout:
            if found := re.search(r"serving at (http://\S+) ", line):
                break
        url = found[1]
        assert httpx.get(f"{url}/health", timeout=60).json() == {"status": "healthy"}
        assert httpx.get(f"{url}/sessions").status_code == 401
        envs = [RemoteWebShopEnv(url.replace("http", "ws"), token=token.read_text().strip()) for _ in range(4)]
        first = [env.reset(options={"goal": 3})[0] for env in envs]
        assert len(set(first)) == 1
        job.send_signal(signal.SIGTERM)
        assert job.wait(60) in (0, 143, -signal.SIGTERM)


def test_a_shop_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ShopError, match="no shop here"):
        serve_environment.main(serve_environment.Arguments(shop=str(tmp_path), port=0))


def test_a_session_survives_a_reload_of_its_shop(shop_folder, tmp_path):
    folder = tmp_path / "shop"
    shutil.copytree(shop_folder, folder)
    served = ServedShop(folder)
    session, other = served.session(), served.session()
    query = served.shop.goal(3).query
    page = session.reset(goal=3)["text"]
    assert not served.open_what_replaced_it()
    raw = tmp_path / "raw"
    raw.mkdir()
    items, attributes, _ = write_demo_files(raw, products=60, seed=9)
    compile_shop(Source(items, attributes), folder, seed=5)
    before = session.step(f"search[{query}]")[0]
    assert served.open_what_replaced_it() and not served.open_what_replaced_it()
    assert served.shop.product_count == 60
    while not (label := before["available_actions"]["clickables"][-1]).startswith("b0"):
        before = session.step(f"click[{label}]")[0]
    observed, _, _ = session.step(f"click[{label}]")  # of a product that only the old shop has
    assert "Buy Now" in observed["text"]
    bought, reward, done = session.step("click[buy now]")
    assert done and set(bought["reward_parts"]) >= {"r_type", "r_att"} and reward >= 0
    assert other.reset(goal=3)["text"] != page
    (folder / "products.arrow").unlink()
    assert not served.open_what_replaced_it(), "the manifest is what says that another is there"
    shutil.rmtree(folder)
    with pytest.raises((ShopError, OSError)):
        served.open_what_replaced_it()
    assert other.step("search[shirt]")[0]["available_actions"]["clickables"]
