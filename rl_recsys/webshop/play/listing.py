"""What the shop shows of one product: the blocks of it that pages are put together from."""

from __future__ import annotations

from functools import cached_property

from rl_recsys.webshop.data.catalog import Product
from rl_recsys.webshop.data.table import MappedTable
from rl_recsys.webshop.play.page import (
    ATTRIBUTES,
    BUY_NOW,
    DESCRIPTION,
    FEATURES,
    REVIEWS,
    Block,
    Element,
    ElementKind,
    button,
    text_elements,
)


class Listing:
    """One product's blocks, each made when it is first shown; a shop keeps the listings that were shown last."""

    def __init__(self, products: MappedTable, row: int):
        self._products, self.row = products, row
        self.asin: str = products.value(row, "asin")

    @cached_property
    def product(self) -> Product:
        """The whole product; search results do without it."""
        return Product.from_row(self._products.row(self.row))

    @cached_property
    def result(self) -> Block:
        """The product among search results."""
        return self._result(visited=False)

    @cached_property
    def visited_result(self) -> Block:
        """The product among search results, after a visit."""
        return self._result(visited=True)

    def _result(self, *, visited: bool) -> Block:
        link = Element(ElementKind.PRODUCT, self.asin, clicked=visited)
        return Block(
            link, *text_elements(*(self._products.value(self.row, field) for field in ("title", "price_text")))
        )

    @cached_property
    def options(self) -> Block:
        """Every option group with its values, none chosen."""
        return self.options_chosen("")

    def options_chosen(self, url: str) -> Block:
        """The same on the page of this URL: WebShop marks a value as chosen where it is quoted in the URL."""
        elements: list[Element] = []
        for group, values in self.product.options.items():
            elements += text_elements(group)
            elements += [Element(ElementKind.OPTION, value, group, f'"{value}"' in url) for value in values]
        return Block(*elements)

    @cached_property
    def offer(self) -> Block:
        """Title, price, rating and the buttons below them."""
        return self._offer(DESCRIPTION, FEATURES, REVIEWS, BUY_NOW)

    @cached_property
    def offer_with_attributes(self) -> Block:
        """The same with the button that shows the attributes."""
        return self._offer(DESCRIPTION, FEATURES, REVIEWS, ATTRIBUTES, BUY_NOW)

    def _offer(self, *labels: str) -> Block:
        texts = text_elements(self.product.title, f"Price: {self.product.price_text}", "Rating: N.A.")
        return Block(*texts, *map(button, labels))

    def detail(self, name: str) -> Block:
        """The content of a sub page. There are no reviews: the original never reads them."""
        product = self.product
        if name == DESCRIPTION:
            return Block(*text_elements(product.description))
        if name == FEATURES:
            return Block(*text_elements(*(f" {bullet}" for bullet in product.bullets)))
        if name == ATTRIBUTES:
            attributes = (f" {attribute}" for attribute in product.attributes)
            return Block(*text_elements(*attributes, product.category, product.query, product.product_category))
        return Block()
