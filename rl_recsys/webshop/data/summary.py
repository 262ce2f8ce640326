"""What is said of a shop that was made, or of raw files that were checked: its size, splits, and what to mend."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rl_recsys.webshop.data.catalog import RawDataError
from rl_recsys.webshop.data.record_findings import described
from rl_recsys.webshop.goals.splits import RANGES, TEST_GOALS


def described_shop(manifest: Mapping[str, Any], *, name: str, protocol: str, every_field: bool) -> Iterator[str]:
    """Lines about what ``compile_shop`` or ``check_source`` returned. ``name`` is what the first calls it.

    ``protocol`` is that of the shop's rules. ``every_field``: name all fields that are not read.
    """
    counts, findings = manifest["counts"], manifest["findings"]
    records, products, goals = findings["records"], counts["products"], counts["goals"]
    of_records = f" of {records} records" if records != products else ""
    yield f"{name}: {products} products{of_records}, {goals} {manifest['goals']} goals"
    for rule, won in counts["winnable"].items():
        yield f"  {won} goals ({won / goals:.1%}) can be won by buying their own product, under the {rule} reward"
    splits = ", ".join(f"{split} {count or 'none'}" for split, count in manifest["splits"].items())
    yield f"  goals of protocol {protocol}: {splits}"
    for line in described(findings, every_field=every_field):
        yield f"  {line}"
    for line in _warnings(manifest["splits"], protocol, counts):
        yield f"  warning: {line}"


def _warnings(splits: Mapping[str, int], protocol: str, counts: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with a shop's splits, and the flag that helps."""
    empty = [split for split, count in splits.items() if not count]
    if empty or splits["train"] < splits["test"]:
        lack = f"no goal is for {' or '.join(empty)}" if empty else "fewer goals are for training than for the test"
        if protocol in RANGES:
            remedy = f"protocol {protocol} keeps the first {TEST_GOALS} of {counts['goals']} goals for the test"
            yield f"{lack}: {remedy}; give --protocol product-disjoint, or more products"
        else:
            yield f"{lack}: a digest of its asin decides a product's side; give more products"
    if not counts["winnable"]["original"]:
        yield "no goal can be won under the original reward"


def require_good_records(manifest: Mapping[str, Any], items: Path) -> None:
    """Raise ``RawDataError`` where records of the items file were left out because they are bad."""
    if bad := manifest["findings"]["found"].get("bad"):
        raise RawDataError(f"{items}: {bad['count']} records are bad: mend them, or give --skip-bad as well")
