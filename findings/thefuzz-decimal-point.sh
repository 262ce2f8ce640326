#!/usr/bin/env bash
# thefuzz: "1.5 oz" equals "5.1 oz" at 100, and rapidfuzz under it says 67
#
# thefuzz 0.22.1 on rapidfuzz 3.14.6, Python 3.11.
# One would expect: token_set_ratio forgives the order of words and repeats; two different numbers in two texts of one
#   word each cost points; and thefuzz is rapidfuzz by another name, so both give the same up to rounding.
# What happens: thefuzz first turns everything that is no letter or digit into a space. A decimal point, a minus, a
#   fraction bar then separate "words", whose order is forgiven and whose number does not matter:
#     1.5 oz     / 5.1 oz       thefuzz 100   rapidfuzz 66.67
#     2.5 x 1 in / 1.5 x 2 in   thefuzz 100   rapidfuzz 80.0
#     3-5 years  / 5-3 years    thefuzz 100   rapidfuzz 77.78
#     size 9     / size 9.5     thefuzz 100   rapidfuzz 85.71
#     $$         / $$           thefuzz 0     rapidfuzz 100.0 (equal texts, nothing left of them)
#   thefuzz also rounds to whole numbers, so a threshold "> 85" rejects 85.4 in one and takes it in the other.
# Why it matters: WebShop pays for an option if this ratio is above 85. Buying 5.1 oz for 1.5 oz, or 9.5 for 9, is a
#   full success there, and moving to rapidfuzz "because it is faster" changes rewards.
# How to be right: keep thefuzz where scores have to agree with WebShop's; compare sizes as numbers with units
#   elsewhere.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet thefuzz==0.22.1 rapidfuzz==3.14.6
"$folder/bin/python" - 2> /dev/null <<'PY'
from rapidfuzz import fuzz as plain
from thefuzz import fuzz

for one, other, first, second in [
    ("1.5 oz", "5.1 oz", 100, 66.67),
    ("2.5 x 1 in", "1.5 x 2 in", 100, 80.0),
    ("3-5 years", "5-3 years", 100, 77.78),
    ("size 9", "size 9.5", 100, 85.71),
    ("$$", "$$", 0, 100.0),
]:
    found = fuzz.token_set_ratio(one, other), round(plain.token_set_ratio(one, other), 2)
    print(f"{one:10} / {other:12} thefuzz {found[0]:3}   rapidfuzz {found[1]}")
    assert found == (first, second)
PY
