#!/usr/bin/env bash
# pint reads "12 fl oz" as femtolitre-ounces, "5 ft 3 in" as an area and "6 pc" as light years
#
# pint 0.25.3, Python 3.11.
# One would expect: a units library reads sizes as products state them, or refuses (it does refuse "32 gb" and "2
#   pack").
# What happens: words beside each other are multiplied, and short marks are prefixes or units of physics:
#     12 fl oz   -> 12 femtoliter * ounce      5 ft 3 in -> 15 foot * inch, of dimension [length] ** 2
#     6 pc       -> 6 parsec                   8 ct      -> 8 carat (a mass)
#     3 pk       -> 3 peck (a volume)          5 a       -> 5 year
#     5 mb       -> 5 millibarn (an area)      14k       -> 14 boltzmann_constant
#   "12 fl oz" has the dimension [length] ** 3 * [mass]; its fluid ounces would be fluid_ounce or floz.
# Why it matters: comparing the wanted with the offered size by dimension and quantity seems the clean way, and no
#   error shows that it went wrong: "6 pc" is longer than "5 ft", "12 fl oz" fits no bottle. Lower-casing, which shops
#   and uncased models do, makes units as well: "5 MB" is megabytes, "5 mb" an area.
# How to be right: a table of the twenty units that the catalogue has, each mapped to one spelling of pint; never free
#   text.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet pint==0.25.3
"$folder/bin/python" - <<'PY'
import pint

units = pint.UnitRegistry()
for text, read in {
    "12 fl oz": "12 femtoliter * ounce",
    "5 ft 3 in": "15 foot * inch",
    "6 pc": "6 parsec",
    "8 ct": "8 carat",
    "3 pk": "3 peck",
    "5 a": "5 year",
    "5 MB": "5 megabyte",
    "5 mb": "5 millibarn",
    "14k": "14 boltzmann_constant",
}.items():
    print(f"{text:10} -> {units(text)}  {units(text).dimensionality}")
    assert str(units(text)) == read
assert units("6 pc") > units("5 ft") and units("5 ft 3 in").check("[length] ** 2")
assert str(units("12 floz")) == "12 fluid_ounce"
for text in ("32 gb", "2 pack"):
    try:
        raise SystemExit(f"{text} is read now: {units(text)}")
    except pint.UndefinedUnitError as error:
        print(error)
PY
