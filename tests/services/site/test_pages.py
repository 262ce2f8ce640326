"""The site in a browser: buying with and without JavaScript, what is recorded of it, and that everybody can use it."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page

from algorithms.services.site.application import STATIC
from rl_recsys.core.trajectory import read_trajectories
from rl_recsys.evaluation.episodes_page import VIEWER, YOU
from rl_recsys.webshop import Shop
from rl_recsys.webshop.data.compile import Source, compile_shop
from rl_recsys.webshop.imports.episodes import logged_trajectory
from tests.services.site.conftest import follow, goal_of, page_of, require_accessible, wish_of

MOST_BYTES = 50_000  # of a page with its style sheet
PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def site(open_site, policy_folder) -> tuple[str, Path]:
    return open_site(policies=("heuristic", f"ppo={policy_folder}"))


def begin(page: Page, address: str) -> str:
    """Begin a session; its wish."""
    page.goto(address)
    follow(page.get_by_role("button", name="I agree"))
    return wish_of(page)


def search(page: Page, words: str) -> None:
    page.get_by_label("Words of the product").fill(words)
    follow(page.get_by_role("button", name="Search"))


def buy_what_is_wanted(page: Page, shop: Shop, goal: int) -> None:
    """Find a goal's product by its title, choose what is wished for, and buy it."""
    wanted = shop.goal(goal)
    search(page, wanted.name)
    follow(page.get_by_role("button", name=wanted.name).first)
    for name, value in wanted.goal_options.items():
        follow(page.get_by_role("group", name=name).get_by_role("button", name=value, exact=True))
    follow(page.get_by_role("button", name="Buy now"))


def size_of(page: Page) -> int:
    """Bytes of a page and of its style sheets."""
    sheets = page.locator("link[rel=stylesheet]").evaluate_all("links => links.map(link => link.href)")
    answered = page.request.get(page.url)
    return len(answered.body()) + sum(len(page.request.get(sheet).body()) for sheet in sheets)


def test_a_person_buys_and_everything_is_recorded(browser, site, shop):
    """Also: every page is small and accessible, on a phone and on a desktop."""
    address, record = site
    with page_of(browser, viewport=PHONE) as page:

        def looked_at() -> None:
            require_accessible(page)
            assert size_of(page) <= MOST_BYTES
            assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], page.url

        page.goto(address)
        looked_at()
        goal = goal_of(shop, begin(page, address))
        looked_at()
        wanted = shop.goal(goal)
        search(page, wanted.name)
        looked_at()
        follow(page.get_by_role("button", name="Next page"))
        follow(page.get_by_role("button", name="Earlier page"))
        follow(page.get_by_role("button", name=wanted.name).first)
        looked_at()
        follow(page.get_by_role("button", name="Features"))
        looked_at()
        follow(page.get_by_role("button", name="Back to the product"))
        follow(page.get_by_role("button", name="New search"))
        assert page.get_by_label("Words of the product").input_value() == wanted.name.lower()
        buy_what_is_wanted(page, shop, goal)
        looked_at()
        wider = "all => all.filter(one => one.scrollWidth > one.clientWidth).map(one => one.ariaLabel)"
        assert page.locator(".scroll").evaluate_all(wider) == []
        follow(page.get_by_role("link", name="What is recorded"))
        follow(page.get_by_role("link", name="Back to your session"))
        assert (
            page.get_by_text(
                re.compile(r"^Reward = 1\.0 \(kind of product\) x (\d) of \1 \(.*price\) = 1\.00$")
            ).count()
            == 1
        )
        reward = float(page.locator(".score span").inner_text())
        name = page.url.split("/")[-2]
        rows = page.get_by_role("region", name="You and the agents").get_by_role("row").all_inner_texts()
        assert [row.split()[0] for row in rows[1:]] == ["you", "ppo", "heuristic"]
        page.get_by_text("For whoever runs this shop").click()
        assert f"{record}/logs/{name}.jsonl" in page.inner_text("main")
        follow(page.get_by_role("link", name="Watch all of it"))
        page.get_by_role("article").nth(1).wait_for()
        looked_at()
        shown = page.get_by_role("article").all_inner_texts()
        assert shown[0].startswith(YOU) and shown[1].startswith("ppo")
    (written,) = [one for one in read_trajectories(record, sources=["human"]) if one.author == name]
    assert round(written.reward, 2) == reward and written.done and written.goal_index == goal
    chosen = [step.actions[step.chosen] for step in written.steps]
    assert chosen[1:3] == ["click[next >]", "click[< prev]"] and chosen[-1] == "click[buy now]"
    assert "click[features]" in chosen and "click[back to search]" in chosen
    pages = [json.loads(line) for line in (record / "logs" / f"{name}.jsonl").read_text().splitlines()]
    assert logged_trajectory(shop, pages, source="human", author=name).steps == written.steps
    assert pages[-1]["reward_info"] == written.reward_parts


def test_without_javascript_by_keyboard(browser, site, shop):
    address, record = site
    with page_of(browser, java_script_enabled=False) as page:
        page.goto(address)
        follow(page.get_by_role("button", name="I agree"), by_key=True)
        goal = goal_of(shop, wish_of(page))
        page.keyboard.type(shop.goal(goal).name)  # the field has the focus
        follow(page.locator(":focus"), by_key=True)
        follow(page.get_by_role("button", name=shop.goal(goal).name).first, by_key=True)
        follow(page.get_by_role("button", name="Buy now"), by_key=True)
        name = page.url.split("/")[-2]
        assert page.locator(".score span").inner_text()
        follow(page.get_by_role("link", name="Watch all of it"), by_key=True)
        assert page.locator("details").count() == 3 and "click" not in page.title()
    assert name in [one.author for one in read_trajectories(record)]


def test_two_tabs_are_two_sessions_and_neither_goes_back_nor_sends_twice_in_vain(browser, site, shop):
    address, record = site
    with page_of(browser) as page, page_of(browser) as other:
        names = []
        for tab in (page, other):
            goal = goal_of(shop, begin(tab, address))
            search(tab, shop.goal(goal).query)
            names.append(tab.url.split("/")[-2])
        assert names[0] != names[1]
        titles = page.locator(".product .title").all_inner_texts()
        follow(page.locator(".product").nth(0))
        page.go_back()
        assert page.locator(".product .title").all_inner_texts() == titles
        follow(page.locator(".product").nth(1))
        assert page.get_by_role("heading", level=1).inner_text() == titles[1]
        page.get_by_role("button", name="Buy now").dblclick(no_wait_after=True)
        page.locator(".score").wait_for()
        page.go_back()
        page.locator(".score").wait_for()  # what is bought is bought
        follow(other.get_by_role("button", name="Leave, and delete"))
        assert "is deleted" in other.get_by_role("status").inner_text()
    written = [one for one in read_trajectories(record) if one.author in names]
    assert [one.author for one in written] == names[:1] and not (record / "logs" / f"{names[1]}.jsonl").exists()
    actions = [step.actions[step.chosen] for step in written[0].steps]
    assert actions[2] == "click[< prev]" and actions.count("click[buy now]") == 1 and len(actions) == 5


def test_what_cannot_be_is_said_on_a_page(browser, site, open_site):
    address, _ = site
    with page_of(browser) as page:
        begin(page, address)
        page.get_by_label("Words of the product").fill("[ ]")
        answer = page.request.post(page.url, form={"query": "[ ]"})
        assert answer.status == 422 and "Type what to search for." in answer.text()
        assert page.request.post(page.url, form={"click": "99999"}).status == 422
        assert page.request.post(page.url).status == 422
        for path, status, said in (
            ("/visit/nobody/0", 410, "This session is over"),
            ("/nowhere", 404, "Not here"),
            ("/?goal=999999", 404, "a wish of this number"),
            ("/watch", 404, "--watch FOLDER"),
            ("/health", 200, "ok"),
        ):
            answered = page.request.get(address + path)
            assert answered.status == status and said in answered.text()
    small, _ = open_site(sessions=1)
    with page_of(browser) as page, httpx.Client(base_url=small) as client:
        begin(page, small)
        refused = client.post("/begin")
        assert refused.status_code == 503 and int(refused.headers["retry-after"]) > 0 and "full" in refused.text


def test_folders_are_watched_on_the_site(browser, open_site, scripted):
    address, _ = open_site(watch=(scripted(4),))
    with page_of(browser) as page:
        page.goto(address)
        follow(page.get_by_role("link", name="Watch recorded sessions"))
        page.get_by_role("article").wait_for()
        assert page.get_by_role("navigation", name="Episodes").get_by_role("button").count() == 4
        require_accessible(page)
    with page_of(browser, java_script_enabled=False) as page:
        page.goto(f"{address}/watch")
        assert page.locator("details").count() == 4


def test_a_session_that_is_idle_ends_and_is_kept(open_site):
    address, record = open_site(idle_seconds=0.5)
    with httpx.Client(base_url=address, follow_redirects=True) as client:
        where = client.post("/begin").url
        client.post(where, data={"query": "shirt"})
        while not list(record.glob("part-*.arrows")):
            time.sleep(0.1)
        over = client.get(where)
    assert over.status_code == 410 and "This session is over" in over.text
    (written,) = read_trajectories(record)
    assert not written.done and written.reward == 0 and written.author == where.path.split("/")[-2]


def test_a_wish_can_be_named_and_comes_from_the_split(browser, site, shop):
    address, _ = site
    goal = shop.split("train")[7]
    assert begin_named(address, goal) == shop.goal(goal).instruction_text
    assert httpx.get(address, params={"goal": shop.split("test")[0]}).status_code == 404
    assert httpx.post(f"{address}/begin", data={"goal": shop.split("test")[0]}).status_code == 404


def begin_named(address: str, goal: int) -> str:
    with httpx.Client(base_url=address, follow_redirects=True) as client:
        assert f'name="goal" value="{goal}"' in client.get("/", params={"goal": goal}).text
        page = client.post("/begin", data={"goal": goal}).text
    return re.search(r'id="wish">Your wish</h2><p>(.*?)</p>', page)[1].replace("&#39;", "'")


PICTURES = "https://pictures.shop"
MARKUP = "<img src=x onerror=alert(1)></title><script>alert(2)</script>&lt;b&gt;{{7*7}}\"'><h1 id=evil>"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> Path:
    """A shop in which every text is markup, and pictures lead to places of every kind."""
    folder = tmp_path_factory.mktemp("hostile")
    images = [
        f"{PICTURES}/x.png", "javascript:alert(3)", "data:text/html,<script>alert(4)</script>", "https://a.test/x.png",
        'https://pictures.invalid/x.png"; script-src *', "https://e.com;script-src/x.png", "https://[/x.png",
    ]  # fmt: skip
    items = [
        {
            "asin": f"<b>{n}</b>", "name": f"lamp {MARKUP} {n}", "category": "kitchen", "query": f"lamp {MARKUP}",
            "pricing": "$10", "product_category": f"Home › {MARKUP} › Lamp", "full_description": f"lamp {MARKUP}",
            "images": [images[n % len(images)]], "small_description": [f"lamp {MARKUP}", MARKUP],
            "customization_options": {f"color {MARKUP}": [{"value": f"{MARKUP} {v}"} for v in ("red", "blue")]},
        }
        for n in range(12)
    ]  # fmt: skip
    goals = {
        item["asin"]: {
            "attributes": [MARKUP], "instruction_attributes": [MARKUP], "instruction": f"i want a lamp {MARKUP}",
        }
        for item in items
    }  # fmt: skip
    (folder / "items.json").write_text(json.dumps(items))
    (folder / "attributes.json").write_text(json.dumps(goals))
    compile_shop(Source(folder / "items.json", folder / "attributes.json"), folder / "shop")
    return folder / "shop"


def test_no_text_of_a_catalogue_becomes_markup(browser, open_site, hostile):
    address, record = open_site(shop=hostile, split="all")
    with page_of(browser) as page:

        def is_text() -> None:
            for made in ("#evil", "main script", "main b:not(.won, .lost, .bought b, li b)", "img[onerror]"):
                assert page.locator(made).count() == 0, (page.url, made)
            answered = page.request.get(page.url)
            policy = dict(one.strip().split(" ", 1) for one in answered.headers["content-security-policy"].split(";"))
            assert policy["default-src"] == "'self'" and "evil" not in policy and len(policy) == 7
            assert policy["script-src"] == ("'self'" if "watch" in page.url else "'none'")
            assert set(policy["img-src"].split()) <= {"'self'", PICTURES}
            require_accessible(page)

        assert "<script>" in begin(page, address)
        page.route(f"{PICTURES}/**", lambda route: route.fulfill(path=STATIC / "shop.svg"))
        search(page, f"lamp {MARKUP}")
        is_text()
        pictures = page.locator(".picture img")
        assert pictures.evaluate_all("all => all.map(one => one.src)") == [f"{PICTURES}/x.png"] * pictures.count() != []
        follow(page.get_by_text("alert(2)").last)
        is_text()
        follow(page.get_by_role("button", name=re.compile("red$")))
        follow(page.get_by_role("button", name="Description"))
        is_text()
        assert "<script>alert(2)</script>" in page.inner_text("main")
        follow(page.get_by_role("button", name="Back to the product"))
        follow(page.get_by_role("button", name="Buy now"))
        is_text()
        follow(page.get_by_role("link", name="Watch all of it"))
        page.get_by_role("article").first.wait_for()
        is_text()
        assert "<script>" in page.inner_text("#goal")
    (written,) = read_trajectories(record)
    assert MARKUP.lower() in written.steps[0].actions[0]


def test_nothing_of_a_page_is_asked_of_elsewhere_and_styles_are_small():
    for path in (*STATIC.iterdir(), *VIEWER.iterdir()):
        text = path.read_text()
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|@import|url\(", text), path
    assert sum(path.stat().st_size for folder in (STATIC, VIEWER) for path in folder.glob("*.css")) < MOST_BYTES / 2
