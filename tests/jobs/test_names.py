"""A catalogue whose names are markup, commands to a terminal, buttons and paths goes through the jobs as text."""

from __future__ import annotations

import json
import unicodedata
from html.parser import HTMLParser

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rl_recsys.console.escaping import for_markdown, for_terminal
from rl_recsys.console.table import Table
from rl_recsys.core.trajectory import read_trajectories
from rl_recsys.evaluation.report_page import Report, write_report
from rl_recsys.webshop import Shop
from rl_recsys.webshop.observe.example_sessions import example_session
from tests.jobs.test_jobs import main_of

TITLES = {
    "A000000001": "[red]Alarm[/red] clock [pack of 2] [link=http://e]click[/link]",
    "A000000002": "Coffee mug [/bold] large",
    "A000000003": "<script>document.title='owned'</script><b>Lamp</b> desk",
    "A000000004": '=HYPERLINK("http://e","y") ball pen',
    "A000000005": "steel pot\n[button] Buy Now [button_]\x1b[2J\x1b]0;owned\x07",
    "A000000006": "wool | hat `code` **bold** $x_1$ {{ 7 * 7 }}",
    "A000000007": "scarf \u202eevil \u200d👟",
    "buy now": "button asin belt",
    "a|b`c": "pipe asin | `tie`",
    "<b>q": "markup asin sock",
    "search": "search asin glove",
}
OPTIONS = ["red", "[/red]", "<i>x</i>", "\x1b[31mblue", "a|b"]


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    """Items and attributes in WebShop's form."""
    folder = tmp_path_factory.mktemp("names")
    items = [
        {
            "asin": asin, "name": title, "category": "kitchen", "query": "kitchen thing", "pricing": "$10",
            "product_category": "Home › Kitchen › Thing", "full_description": f"{title} thing", "images": ["x"],
            "small_description": [title, "good thing"],
            "customization_options": {"color [x]": [{"value": value} for value in OPTIONS]},
        }
        for asin, title in TITLES.items()
    ]  # fmt: skip
    goals = {
        asin: {
            "attributes": ["easy clean", "red", "<b>"], "instruction_attributes": ["easy clean"],
            "instruction": f"i want a kitchen thing {title}",
        }
        for asin, title in TITLES.items()
    }  # fmt: skip
    (folder / "items.json").write_text(json.dumps(items))
    (folder / "ins.json").write_text(json.dumps(goals))
    return folder


class Elements(HTMLParser):
    """The elements of a page."""

    def __init__(self, page: str):
        super().__init__()
        self.found: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.found.add(tag)


def is_plain(said: str) -> bool:
    return not [char for char in said if char != "\n" and unicodedata.category(char) in ("Cc", "Zl", "Zp", "Cs")] and (
        "\u202e" not in said
    )


def test_names_of_a_catalogue_are_texts_everywhere(
    tmp_path, catalogue, policy_folder, encoder_folder, ray_session, capsys
):
    shop_folder, out = tmp_path / "shop [/bold]", tmp_path / "shöp"
    said = main_of("prepare", capsys)(
        "--items", catalogue / "items.json", "--attributes", catalogue / "ins.json", "--out", shop_folder,
        "--protocol", "product-disjoint",
    )  # fmt: skip
    shop = Shop.open(shop_folder)
    assert "[/bold]" in said and shop.product_count >= 8
    recorded = out / "demonstrations"
    said += main_of("demonstrate", capsys)("--shop", shop_folder, "--out", recorded, "--trajectories", 6)
    said += main_of("trajectories", capsys)(recorded)
    flags = ["--shop", shop_folder, "--policy", policy_folder, "--episodes", 3, "--top", 11]
    answers = tmp_path / "answers"
    said += main_of("recommend", capsys)(
        *flags, "--out", answers, "--requests", "kitchen thing", "[red]thing[/red] \x1b[2J [pack of 2]", "thing [/bold]"
    )
    trained = out / "imitation 👟"
    said += main_of("imitate", capsys)(
        "--shop", shop_folder, "--encoder", encoder_folder, "--trajectories", recorded, "--out", trained,
        "--iterations", 1, "--batch", 2, "--frozen-layers", 0, "--num-workers", 1, "--evaluate-every", 1,
        "--evaluation-goals", 2, "--state-tokens", 192,
    )  # fmt: skip
    (events,) = (trained / "tensorboard").glob("events.out.tfevents.*")
    assert "evaluation/score" in EventAccumulator(str(events)).Reload().Tags()["scalars"]
    arm = "a [b] $x$"
    said += main_of("evaluate", capsys)(
        "--shop", shop_folder, "--policies", f"{arm}={trained / 'policy'}", "--out", out / "played", "--goals", 2,
        "--modes", "greedy", "--num-workers", 1,
    )  # fmt: skip
    table = (out / "played" / "table.md").read_text()
    assert is_plain(table) and for_markdown(arm, cell=True) in table
    assert is_plain(said)
    words = " ".join(said.split())
    assert arm in words
    assert "[pack of 2]" in words and "[/bold]" in words and "\\x1b[2J" in words and "<script>" in words
    for answer in json.loads((answers / "recommendations.json").read_text())["requests"]:
        assert answer["status"] == "ok" and len(answer["products"]) > 5
        for one in answer["products"]:
            assert one["title"] == shop.product(one["asin"]).title

    sessions = [example_session(episode, quote=True) for episode in read_trajectories(recorded)]
    table = Table("Titles", ["product"], [[title] for title in TITLES.values()])
    write_report(Report("Names", ["-"], table, table, [], [], [], sessions, "all"), tmp_path)
    page, text = (tmp_path / "report.html").read_text(), (tmp_path / "report.md").read_text()
    assert is_plain(page) and is_plain(text)
    assert not Elements(page).found & {"script", "i", "img"} and "49" not in text
    assert for_terminal(TITLES["A000000002"]).replace("[", "\\[").replace("]", "\\]") in text
