"""Uninstalls from this environment what the product does not need at run time.

requirements.lock pins everything, test tools and embedded servers too. An image installs it whole, so
that every file is checked against the lock's hashes, then keeps `sigstream` and what it requires.
"""

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution, distributions

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def needed(name: str, extras: frozenset[str], seen: set[tuple[str, frozenset[str]]]) -> None:
    """Add `name` with `extras`, and all they require on this machine, to `seen`."""
    if (name, extras) in seen:
        return
    seen.add((name, extras))
    for text in distribution(name).requires or ():
        requirement = Requirement(text)
        if any(applies(requirement, extra) for extra in extras | {""}):
            needed(canonicalize_name(requirement.name), frozenset(requirement.extras), seen)


def applies(requirement: Requirement, extra: str) -> bool:
    """Whether it is required on this machine, with that extra."""
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def main() -> None:
    """Keep `sigstream` and what it needs."""
    seen: set[tuple[str, frozenset[str]]] = set()
    try:
        needed("sigstream", frozenset(), seen)
    except PackageNotFoundError as error:
        sys.exit(f"{error.name} is required but not installed: run `make lock`")
    kept = {name for name, _ in seen}
    # pip goes last, by its own hand.
    surplus = {canonicalize_name(found.metadata["Name"]) for found in distributions()} - kept - {"pip"}
    command = [sys.executable, "-m", "pip", "uninstall", "--quiet", "--yes", *sorted(surplus), "pip"]
    subprocess.run(command, check=True)  # noqa: S603 - names of installed packages


if __name__ == "__main__":
    main()
