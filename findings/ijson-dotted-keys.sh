#!/usr/bin/env bash
# ijson cannot tell a key "price.low" from low inside price, nor a key "item" from the members of a list
#
# ijson 3.6.0 (all backends build prefixes alike), Python 3.11.
# One would expect: items(file, "item.price.low") gives the low of the object price of each member of the top-level
#   list.
# What happens: the prefix is the path joined by dots, without escapes, and "item" is the name of a list's members.
#   Two places share one prefix, and both are given, in the order of the file:
#     [{"price": {"low": 1}, "price.low": 2}]   item.price.low -> [1, 2]
#     {"item": {"asin": "B1"}}                  item.asin      -> ["B1"], as for [{"asin": "B1"}]
#     {"item": [{"asin": "B1"}]}                item.asin      -> []; it is item.item.asin
# Why it matters: streaming is what one does with a catalogue too large to load, made by others. Shops do call keys
#   "item", and flattened exports have both "price" and "price.low". Values from the wrong place come through with the
#   right type.
# How to be right: take whole records (items(file, "item")) and read fields from the dicts; check that the first event
#   is start_array before "item" is trusted.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet ijson==3.6.0
"$folder/bin/python" - <<'PY'
import ijson

for text, prefix, expected in [
    (b'[{"price": {"low": 1}, "price.low": 2}]', "item.price.low", [1, 2]),
    (b'{"item": {"asin": "B1"}}', "item.asin", ["B1"]),
    (b'[{"asin": "B1"}]', "item.asin", ["B1"]),
    (b'{"item": [{"asin": "B1"}]}', "item.asin", []),
    (b'{"item": [{"asin": "B1"}]}', "item.item.asin", ["B1"]),
]:
    for backend in (ijson, ijson.get_backend("python")):
        assert list(backend.items(text, prefix)) == expected
    print(f"{text.decode():42} {prefix:15} -> {expected}")
PY
