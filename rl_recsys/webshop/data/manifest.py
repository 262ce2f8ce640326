"""What a shop's folder says of itself: its manifest, which files belong to it, and what identifies it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from rl_recsys.console.progress import phase
from rl_recsys.errors import UserError
from rl_recsys.storage.checksums import verify_once
from rl_recsys.storage.files import are_file_entries, read_json, read_object
from rl_recsys.storage.folders import CONTENTS, read_contents, verify_file, verify_folder, within
from rl_recsys.webshop.data.catalog import PRODUCT_SCHEMA
from rl_recsys.webshop.data.table import REMEDY, MappedTable, ShopError
from rl_recsys.webshop.goals.goal import GOAL_SCHEMA
from rl_recsys.webshop.rules import ShopRules

FORMAT_VERSION = 3
KIND = "shop"
MANIFEST, PRODUCTS, GOALS, INDEX = "manifest.json", "products.arrow", "goals.arrow", "index"
QUERIES = "queries.json"  # where there is one: what a query model would search for, by instruction
RECALL = "recall.json"  # beside it: what those searches find
#: The key of a manifest for the files that identify a shop: the index is made of the products, and Lucene gives its
#: files other names for themselves each time. A shop of a version that had no such key is identified by all its files.
IDENTIFIED_BY = "identified_by"


def read_manifest(folder: Path) -> dict:
    """The manifest of a shop. Raises ``ShopError`` where there is none, or a damaged one, or another version's."""
    path = folder / MANIFEST
    if not path.is_file():
        raise ShopError(f"{folder}: no shop here ({MANIFEST} is missing); make one with jobs/prepare.py --out {folder}")
    manifest = read_object(path, REMEDY, error=ShopError)
    if manifest.get("format_version") != FORMAT_VERSION:
        version = manifest.get("format_version")
        raise ShopError(f"{path}: format version {version}, this code reads {FORMAT_VERSION}; {REMEDY}")
    files = manifest.get("files")
    identifying = manifest.get(IDENTIFIED_BY, [])
    right = are_file_entries(files) and isinstance(identifying, list)
    if not right or not all(name in list(files) for name in (PRODUCTS, GOALS, *identifying)):
        raise ShopError(f"{path}: damaged (it does not list a shop's files); {REMEDY}")
    return manifest


def fingerprint(manifest: Mapping, rules: ShopRules) -> str:
    """A short digest of what identifies a shop, and of its rules."""
    files = {name: manifest["files"][name]["sha256"] for name in sorted(manifest.get(IDENTIFIED_BY, manifest["files"]))}
    return hashlib.sha256(json.dumps([files, rules.identity]).encode()).hexdigest()[:16]


def verify_shop(folder: Path, manifest: Mapping, *, again: bool) -> None:
    """Compare all files of a shop with their checksums and validate its tables, if this machine did not do it yet.

    ``again`` does it in any case. Raises ``ShopError`` naming the file.
    """
    try:
        with phase(f"checking {folder}", at_once=False):
            verify_once(folder, lambda: _files(folder, manifest), lambda: _verify(folder, manifest), again=again)
    except OSError as error:
        raise ShopError(f"{error.filename or folder}: cannot be read ({error.strerror or error}); {REMEDY}") from None
    except ShopError:
        raise
    except UserError as error:  # of a folder's listing
        raise ShopError(str(error)) from None


def _files(folder: Path, manifest: Mapping) -> list[Path]:
    names = {MANIFEST, *manifest["files"]}
    if (folder / CONTENTS).is_file():
        names |= {CONTENTS, *read_contents(folder, REMEDY)}
    paths = [within(folder, name) for name in sorted(names)]
    for path in paths:
        if not path.is_file():
            raise ShopError(f"{path}: missing; {REMEDY}")
    return paths


def _verify(folder: Path, manifest: Mapping) -> None:
    listed = read_contents(folder, REMEDY) if verify_folder(folder, REMEDY) else None
    for name, entry in manifest["files"].items():
        path = within(folder, name)
        if listed is None:
            verify_file(path, entry, REMEDY)
        elif listed.get(name) != entry:
            raise ShopError(f"{path}: not the one that {MANIFEST} lists; {REMEDY}")
    for name, schema in ((PRODUCTS, PRODUCT_SCHEMA), (GOALS, GOAL_SCHEMA)):
        MappedTable(folder / name, schema).validate()


def files_of_manifest(folder: Path) -> set[str] | None:
    """The files of a shop by its manifest; None where there is none. Earlier versions wrote no other listing."""
    manifest = read_json(folder / MANIFEST)
    if (
        not isinstance(manifest, dict)
        or "format_version" not in manifest
        or not isinstance(manifest.get("files"), dict)
    ):
        return None
    return {MANIFEST, RECALL, *manifest["files"]}
