"""Finished stages, one folder each, in a home and at a URL."""

from harness.store.gc import Garbage
from harness.store.home_id import HomeId, home_id, store_id
from harness.store.local import Attempt, Failure, Store, StoreAddress, find_damage, node_home
from harness.store.manifest import MANIFEST, Manifest, read_manifest
from harness.store.runs import run_in_progress, stages_in_progress
from harness.store.sharing import NONE, SharedStore, check_node, open_store, send_results, store_on_node, url_of

__all__ = [
    "MANIFEST", "NONE", "Attempt", "Failure", "Garbage", "HomeId", "Manifest", "SharedStore", "Store", "StoreAddress",
    "check_node", "find_damage", "home_id", "node_home", "open_store", "read_manifest", "run_in_progress",
    "send_results", "stages_in_progress", "store_id", "store_on_node", "url_of",
]  # fmt: skip
