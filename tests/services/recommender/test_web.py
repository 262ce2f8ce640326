"""The recommender over HTTP: a real server on loopback, real clients."""

from __future__ import annotations

import asyncio
import json
import shutil

import httpx
import pytest

from algorithms.services.recommender.ledger import TRAJECTORIES, Ledger, world_of
from algorithms.services.recommender.metrics import Metrics
from algorithms.services.recommender.service import Recommender, in_threads
from algorithms.services.recommender.web import make_app
from algorithms.services.server import Guard
from policies.base import load_policy
from rl_recsys.core.trajectory import read_trajectories
from tests.services.running import serving

TOKEN = "a secret of enough characters".replace(" ", "-")


@pytest.fixture(scope="module")
def served(tmp_path_factory, policy_folder, task):
    """(address, folder of the feedback) of a service behind its guard, without Serve."""
    folder, policy = tmp_path_factory.mktemp("service"), load_policy(policy_folder)
    ledger = Ledger(folder, task=task.name, world=world_of(task), arms={"one": "w", "other": "w"})
    authors = {"one": str(policy_folder), "other": str(policy_folder)}
    recommender = Recommender(
        task, {"one": policy, "other": policy}, in_threads(ledger), episodes=6, authors=authors, waiting=4
    )
    with serving(Guard(make_app(recommender, Metrics()), token=TOKEN, local=False, max_body=10_000)) as address:
        yield address, folder
    ledger.close()


@pytest.fixture
def client(served):
    with httpx.Client(base_url=served[0], headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60) as client:
        yield client


def test_a_request_its_list_and_its_feedback(client, served, shop):
    text = shop.goal(5).instruction_text
    answer = client.post("/recommend", json={"text": text, "k": 3})
    assert answer.status_code == 200
    said = answer.json()
    assert said["status"] == "ok" and said["stage"] == "done" and len(said["products"]) == 3
    for product in said["products"]:
        low, high = product["interval"]
        assert 0 <= low <= product["share"] <= high <= 1 and product["price"] and {"meets", "lacks"} <= product.keys()
    with client.stream("POST", "/recommend/stream", json={"text": text, "k": 3}) as stream:
        assert stream.headers["content-type"].startswith("application/x-ndjson")
        lines = [json.loads(line) for line in stream.iter_lines()]
    assert lines[0]["stage"] == "search" and lines[-1]["products"] == said["products"]
    item = said["products"][0]["item"]
    told = client.post("/feedback", json={"id": said["id"], "bought": [item]})
    assert told.status_code == 200 and told.json()["reward"] == 1
    episodes = list(read_trajectories(served[1] / TRAJECTORIES))
    assert len(episodes) == told.json()["episodes"] > 0
    assert client.post("/feedback", json={"id": said["id"], "clicked": [item]}).status_code == 409
    standings = client.get("/policies").json()
    assert sum(one["reports"] for one in standings.values()) == 1 and standings.keys() == {"one", "other"}


@pytest.mark.parametrize(
    "body, status, reason",
    [
        ({"text": ""}, 422, "at least 1 character"),
        ({"text": "x" * 1001}, 422, "at most 1000 characters"),
        ({"text": "  "}, 422, "names nothing to search for"),
        ({"text": "shirts", "k": 0}, 422, "greater than or equal to 1"),
        ({"text": "shirts", "k": 51}, 422, "less than or equal to 50"),
        ({"text": "shirts", "colour": "red"}, 422, "Extra inputs are not permitted"),
        ({"text": "shirts", "filters": {"price_min": 9, "price_max": 5}}, 422, "price_min is above price_max"),
        ({"text": "shirts", "filters": {"price_max": -1}}, 422, "greater than or equal to 0"),
        ({"text": "shirts", "options": {"size\n": "x"}}, 422, "match pattern"),
        ({"text": "long " * 199}, 422, "too long: 201 tokens, the policy reads 128"),
        ({"text": "shirts", "options": {str(n): "x" for n in range(11)}}, 422, "at most 10 items"),
    ],
)
def test_a_bad_request_is_refused_with_a_reason(client, body, status, reason):
    for route in ("/recommend", "/recommend/stream"):
        answer = client.post(route, json=body)
        assert answer.status_code == status and reason in answer.text


def test_who_may_ask_and_how_much(client, served, shop):
    anonymous = httpx.Client(base_url=served[0])
    assert anonymous.post("/recommend", json={"text": "shirts"}).status_code == 401
    assert anonymous.get("/health").json() == {"status": "healthy"}
    assert client.post("/recommend", headers={"Origin": "http://evil"}, json={"text": "shirts"}).status_code == 403
    assert client.post("/recommend", content=b"{" + b" " * 20_000).status_code == 413
    assert client.post("/recommend", content=b"no json").status_code == 422
    assert client.post("/feedback", json={"id": "nobody's"}).status_code == 404
    assert client.get("/ready").json() == {"status": "ready"}
    batch = client.post("/recommend/batch", json={"requests": [{"text": "shirts", "k": 2}, {"text": " "}]}).json()
    assert [one["status"] for one in batch["answers"]][0] == "ok"
    assert "names nothing" in batch["answers"][1]["status"]
    assert client.post("/recommend/batch", json={"requests": [{"text": "x"}] * 33}).status_code == 422
    paths = client.get("/openapi.json").json()["paths"]
    assert paths.keys() >= {"/recommend", "/recommend/batch", "/recommend/stream", "/feedback", "/ready", "/policies"}


def test_what_cannot_wait_is_told_when_to_come_again(served, shop):
    async def flood():
        options = {"base_url": served[0], "headers": {"Authorization": f"Bearer {TOKEN}"}, "timeout": 120}
        async with httpx.AsyncClient(**options, limits=httpx.Limits(max_connections=100)) as client:
            texts = [shop.goal(goal).instruction_text for goal in range(100, 160)]
            return await asyncio.gather(*(client.post("/recommend", json={"text": text}) for text in texts))

    found = asyncio.run(flood())
    assert {answer.status_code for answer in found} == {200, 503}
    for answer in found:
        if answer.status_code == 503:
            assert int(answer.headers["Retry-After"]) >= 1 and "requests are waiting" in answer.json()["detail"]


def test_the_page_shows_lists_as_text_and_notes_what_is_taken_without_a_script(client, shop):
    page = client.get("/", params={"q": f"{shop.goal(0).query} <b>shirts</b>"})
    assert page.status_code == 200 and "default-src 'none'" in page.headers["content-security-policy"]
    assert "&lt;b&gt;" in page.text and "<b>" not in page.text and page.text.count("<li>") >= 1
    assert len(page.content) < 50_000
    hidden = dict(part.split('"')[:3:2] for part in page.text.split('type="hidden" name="')[1:3])
    assert hidden.keys() == {"id", "item"}
    assert "what you took is noted" in client.post("/take", data=hidden).text
    assert client.post("/take", data={"id": "nobody's", "item": "x"}).status_code == 404
    assert client.get("/", params={"q": "??"}).status_code == 422
    for kind in ("css", "js"):
        assert client.get(f"/page.{kind}").status_code == 200
    assert client.get("/page.py").status_code == 404


def test_in_a_browser_the_list_comes_while_the_agent_shops_and_what_is_taken_is_noted(served, shop):
    playwright = pytest.importorskip("playwright.sync_api")
    address, folder = served
    before = len(list(read_trajectories(folder / TRAJECTORIES)))
    chromium = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("no browser here")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"])
        context = browser.new_context(http_credentials={"username": "me", "password": TOKEN})
        page, amiss = context.new_page(), []
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: amiss.append(str(error)))
        page.on("console", lambda message: amiss.append(message.text) if message.type == "error" else None)
        page.goto(f"{address}/")
        page.get_by_label("Say it in words").fill(f"{shop.goal(7).query} <img src=x onerror=alert(1)>")
        page.keyboard.press("Enter")
        page.get_by_text("from 6 sessions of the agent").wait_for()
        page.locator("summary").first.click()
        page.get_by_role("button", name="Take this one").first.click()
        page.get_by_text("what you took is noted").wait_for()
        page.reload()  # the server's own page, whose forms a browser sends itself
        page.get_by_role("button", name="Take this one").first.click()
        page.get_by_text("what you took is noted").wait_for()
        browser.close()
    assert not amiss
    assert len(list(read_trajectories(folder / TRAJECTORIES))) > before
