"""An answer to a request as it is shown on a terminal."""

from __future__ import annotations

from rl_recsys.console.table import Table
from rl_recsys.console.terminal import say
from rl_recsys.webshop.recommending import Answer, Recommendation

COLUMNS = ("product", "asin", "price", "options", "from", "lacks")


def show_answer(answer: Answer, top: int) -> None:
    """Print what was understood of a request, its list of ``top`` products at most, and why it is shorter."""
    if answer.status == "too long":
        say(f"{answer.request}: too long ({answer.tokens} tokens, the policy reads {answer.most}), left out")
        return
    if answer.status == "empty":
        say(f"{answer.request!r} names nothing to search for, left out")
        return
    understood = str(answer.wish)
    title = answer.request if understood == answer.request else f"{answer.request} (understood: {understood})"
    if answer.products:
        Table(title, COLUMNS, [_cells(answer, product) for product in answer.products]).show()
    else:
        say(f"{title}: nothing found")
    if len(answer.products) < top and answer.left_out:
        reasons = ", ".join(f"{count} {reason}" for reason, count in answer.left_out.items())
        say(f"{len(answer.products)} of {top}: of what the search found, {reasons}")


def _cells(answer: Answer, product: Recommendation) -> tuple[str, ...]:
    return (
        product.title,
        product.asin,
        product.price + _doubt(answer, product),
        ", ".join(f"{name}: {value}" for name, value in product.options.items()),
        f"bought in {product.share:.0%}" if product.share else product.source,
        ", ".join(product.lacks) or "-",
    )


def _doubt(answer: Answer, product: Recommendation) -> str:
    """What a range of prices, or none, leaves open."""
    above = ["above the limit"] if answer.wish.limit is not None and product.within_limit is None else []
    below = ["below the floor"] if answer.wish.floor is not None and product.reaches_floor is None else []
    return f" (may be {' or '.join(above + below)})" if above or below else ""
