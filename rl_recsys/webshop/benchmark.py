"""How fast and how small the shop is. Every measurement runs in a fresh process that has loaded nothing else.

``shop_figures`` is what `jobs/benchmark.py shop` prints. The functions below it that a child process runs take and
return plain JSON values.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

import psutil

from rl_recsys.runs.measurement import MEGABYTE, Figure, child, command, in_child, own_memory
from rl_recsys.webshop.data.compile import Source, compile_shop
from rl_recsys.webshop.data.demo import write_demo_files
from rl_recsys.webshop.play.page import PageKind
from rl_recsys.webshop.shop import Shop

WALK_GOALS = 200
FEW_PRODUCTS = 1_000
REPEATS = 5
WORKERS = 3  # processes whose memory is measured while all are alive
SAMPLES = 100  # memory readings of a soak
PART_PRODUCTS = 1_000  # products of a generated catalogue that are held at a time

Part = Literal["walk", "open", "memory", "soak", "catalog", "stream"]
PARTS: tuple[Part, ...] = get_args(Part)


def shop_figures(
    shop: Path, work: Path, *, parts: tuple[Part, ...], products: int, megabytes: int, sessions: int
) -> Iterator[Figure]:
    """The figures of some parts (names of ``PARTS``), each as soon as it is measured.

    ``work`` is a folder for generated catalogues of ``products`` products and of ``megabytes``; ``sessions`` is the
    length of the soak.
    """
    if "walk" in parts:
        yield from _walk_figures(shop, "")
    if "open" in parts:
        yield from _open_figures(shop)
    if "memory" in parts:
        yield Figure("memory of a further worker, Lucene and Java included", _worker_megabytes(shop), "MB (USS)", 150)
    if "soak" in parts:
        yield from _soak_figures(shop, sessions)
    if "catalog" in parts:
        yield from _catalog_figures(work, products)
    if "stream" in parts:
        yield from _stream_figures(work, megabytes)


def _walk_figures(shop: Path, of: str, target: float | None = 2_800) -> Iterator[Figure]:
    walk = in_child(__name__, "measure_walk", str(shop), one_core=True)
    spread = f"{min(walk['rates']):,.0f} to {max(walk['rates']):,.0f} in {REPEATS} walks of {walk['steps']} steps"
    rate = statistics.median(walk["rates"])
    yield Figure(f"random walk{of}, query cache off", rate, "steps/s", target, at_least=True, note=spread)
    yield Figure(f"  of it search (Lucene, and the calls to it){of}", 100 * walk["search_share"], "%")
    yield Figure(f"  without search, the queries being cached{of}", statistics.median(walk["cached"]), "steps/s")


def _open_figures(shop: Path) -> Iterator[Figure]:
    first = f"import sys; from rl_recsys import Shop; session = Shop.open({str(shop)!r}).session(0); "
    for name, code, target in (
        ("fresh process to the first observation, without search", "print(len(session.page.text_rich))", 0.5),
        ("the same with a search", "print(len(session.step('search[shirt]').page.text_rich))", 2.0),
    ):
        taken = []
        for _ in range(REPEATS):
            start = time.perf_counter()
            with child([sys.executable, "-c", first + code + "; sys.stdout.flush()"], one_core=True) as run:
                run.stdout.readline()
                taken.append(time.perf_counter() - start)
        yield Figure(name, statistics.median(taken), "s", target, note=f"{min(taken):.2f} to {max(taken):.2f}")


def _soak_figures(shop: Path, sessions: int) -> Iterator[Figure]:
    soak = in_child(__name__, "soak", str(shop), sessions)
    memory = soak["megabytes"]
    settled = memory[len(memory) // 10]
    growth = 100 * (max(memory[len(memory) // 10 :]) / settled - 1)
    note = f"{soak['steps']:,} steps, {soak['seconds']:.0f} s; {settled:.0f} MB after the first tenth"
    yield Figure(f"memory growth over {sessions:,} sessions", growth, "%", 2, note=note)
    yield Figure("files of the shop open or mapped after close()", soak["left"], "files", 0)


def _catalog_figures(work: Path, products: int) -> Iterator[Figure]:
    source, size = write_catalog(work / f"catalog-{products}", products)
    folder = work / f"shop-{products}"
    seconds, peak = _prepare(source, folder)
    of = f", {products:,} products"
    note = f"{size / MEGABYTE:,.0f} MB of raw JSON, 2 processes"
    yield Figure(f"prepare{of}", seconds / 60, "min", 4, note=note)
    yield Figure(f"prepare{of}: memory of all its processes at most", peak, "MB (RSS)", 2_000)
    yield from _walk_figures(folder, of, None)
    few, _ = write_catalog(work / "catalog-few", FEW_PRODUCTS)
    _prepare(few, work / "shop-few")
    small, large = _worker_megabytes(work / "shop-few"), _worker_megabytes(folder)
    note = f"{small:.0f} MB with {FEW_PRODUCTS:,} products of the same kind: {large / small - 1:+.0%}"
    yield Figure(f"memory of a further worker{of}", large, "MB (USS)", 1.1 * small, note=note)


def _stream_figures(work: Path, megabytes: int) -> Iterator[Figure]:
    source, size = write_catalog(work / f"stream-{megabytes}", 2**62, megabytes=megabytes)
    seconds, peak = _prepare(source, work / f"shop-stream-{megabytes}")
    note = f"prepared in {seconds / 60:.1f} min, 2 processes"
    yield Figure(f"prepare a raw file of {size / MEGABYTE:,.0f} MB: memory at most", peak, "MB (RSS)", 2_000, note=note)


# What is measured, each in a process of its own


def random_walk(shop: Shop, goals: Iterable[int], rng: random.Random) -> int:
    """A random available click at every step, and the goal's query on the search page; returns the number of steps.

    The available actions are listed before each step and the page is written after it.
    """
    steps = 0
    for goal in goals:
        session = shop.session(goal)
        while labels := session.available_actions["clickables"]:
            searching = session.kind is PageKind.SEARCH
            action = f"search[{session.goal.query}]" if searching else f"click[{rng.choice(labels)}]"
            session.step(action).page.observe("text_rich")
            steps += 1
    return steps


def _walk(shop: Shop) -> int:
    """The same walk every time."""
    return random_walk(shop, range(min(WALK_GOALS, shop.goal_count)), random.Random(0))


def _without_query_cache(folder: str) -> Shop:
    shop = Shop.open(folder)
    shop.ranked = lru_cache(maxsize=0)(shop._ranked)
    return shop


def measure_walk(folder: str) -> dict:
    """{"steps", "rates" [steps/s] without a query cache, "cached" [steps/s] with all queries in it, "search_share"}."""
    shop = _without_query_cache(folder)

    def rates() -> list[float]:
        measured = []
        for _ in range(REPEATS):
            start = time.perf_counter()
            steps = _walk(shop)
            measured.append(steps / (time.perf_counter() - start))
        return measured

    for _ in range(REPEATS):  # warm: the products, and Java's compiler, which works beside for some thousand searches
        steps = _walk(shop)
    searching = 0.0

    def timed_search(query: str) -> object:
        nonlocal searching
        start = time.perf_counter()
        results = shop._ranked(query)
        searching += time.perf_counter() - start
        return results

    shop.ranked = timed_search
    start = time.perf_counter()
    uncached = rates()
    share = searching / (time.perf_counter() - start)
    shop.ranked = lru_cache(shop._ranked)
    _walk(shop)
    cached = rates()
    return {"steps": steps, "rates": uncached, "cached": cached, "search_share": share}


def soak(folder: str, sessions: int) -> dict:
    """{"megabytes" [samples], "steps", "seconds", "left"}: ``left`` files of the shop after it was closed."""
    shop, process = _without_query_cache(folder), psutil.Process()
    rng, steps, memory, start = random.Random(0), 0, [], time.perf_counter()
    batch = max(sessions // SAMPLES, 1)
    for _ in range(0, sessions, batch):
        steps += random_walk(shop, (rng.randrange(shop.goal_count) for _ in range(batch)), rng)
        memory.append(own_memory(process) / MEGABYTE)
    seconds = time.perf_counter() - start
    shop.close()
    return {"megabytes": memory, "steps": steps, "seconds": seconds, "left": len(files_in_use(folder))}


def files_in_use(folder: str | Path) -> list[str]:
    """The files of a folder that this process has open or mapped into its memory."""
    process, inside = psutil.Process(), str(Path(folder).resolve())
    paths = [file.path for file in (*process.open_files(), *process.memory_maps())]
    return sorted({path for path in paths if path.startswith(inside)})


def hold(folder: str) -> None:
    """A worker that has walked through the shop and then waits for the end of its input."""
    shop = _without_query_cache(folder)
    for _ in range(REPEATS):  # some thousand searches: Java's heap is as full as it gets
        _walk(shop)
    print("ready", flush=True)
    sys.stdin.read()


def prepare(items: str, attributes: str, out: str) -> dict:
    """Compile a shop with two processes; {"products": their number}."""
    manifest = compile_shop(Source(Path(items), Path(attributes)), out, processes=2)
    return {"products": manifest["counts"]["products"]}


def write_catalog(folder: Path, products: int, megabytes: float = float("inf")) -> tuple[Source, int]:
    """Write raw files of the demo's products, at most so many or of at most so many megabytes, part by part.

    Returns them and the bytes of the items file. With ``megabytes`` a product is as long as in WebShop's full file,
    4.4 kB: half in its description, half in a field that is not read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng, count, size = random.Random(0), 0, 0
    long = megabytes < float("inf")
    words = [f"w{rng.randrange(10**6)}" for _ in range(20_000)]
    attributes: dict[str, dict] = {}
    items, part = folder / "items.json", folder / "part"
    part.mkdir(exist_ok=True)
    with open(items, "w") as file:
        while count < products and size < megabytes * MEGABYTE:
            part_products = min(PART_PRODUCTS, products - count)
            part_items, part_attributes, _ = write_demo_files(part, products=part_products, seed=count)
            for item in json.loads(part_items.read_text()):
                if size >= megabytes * MEGABYTE:
                    break
                if long:
                    item["full_description"] += " ".join(rng.choices(words, k=200))
                    item["product_information"] = {"text": " ".join(rng.choices(words, k=230))}
                size += file.write(("[" if count == 0 else ",") + json.dumps(item) + "\n")
                count += 1
            attributes |= json.loads(part_attributes.read_text())
        file.write("]")
    (folder / "attributes.json").write_text(json.dumps(attributes))
    return Source(items, folder / "attributes.json"), size


# Children


def _worker_megabytes(shop: Path) -> float:
    """The memory that is a worker's own (unique set size), median of ``WORKERS`` that are alive together."""
    workers = [child(command(__name__, "hold", str(shop))) for _ in range(WORKERS)]
    for worker in workers:
        if worker.stdout.readline().strip() != "ready":
            raise RuntimeError("a worker of the memory benchmark failed; its traceback is above")
    memory = [psutil.Process(worker.pid).memory_full_info().uss / MEGABYTE for worker in workers]
    for worker in workers:
        worker.communicate("")
    return statistics.median(memory)


def _prepare(source: Source, out: Path) -> tuple[float, float]:
    """(seconds, megabytes): how long a prepare takes and the most that its processes hold together."""
    start = time.perf_counter()
    run = subprocess.Popen(
        command(__name__, "prepare", str(source.items), str(source.attributes), str(out)), stdout=subprocess.DEVNULL
    )
    process, peak = psutil.Process(run.pid), 0
    while run.poll() is None:
        try:
            family = [process, *process.children(recursive=True)]
            peak = max(peak, sum(member.memory_info().rss for member in family))
        except psutil.NoSuchProcess:
            pass
        time.sleep(0.2)
    if run.returncode:
        raise RuntimeError(f"prepare ended with exit status {run.returncode}; its traceback is above")
    return time.perf_counter() - start, peak / MEGABYTE
