"""For programs run by root as another user: places that this user can reach.

A checkout may lie below a directory that only root may enter (/root, a mode of 700). What the other
user needs of it then lies in /var/tmp, in a directory named after a hash of the place it stands for.
"""

import hashlib
import os
import shutil
import stat
import tempfile
from pathlib import Path

from app.errors import ServerDidNotStart

SHARED = Path("/var/tmp")  # noqa: S108 - see `stand_in`: taken only when it is ours


def reachable(path: Path) -> bool:
    """Whether everyone may enter all directories above `path`."""
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in path.resolve().parents)


def stand_in(path: Path) -> Path:
    """The reachable directory that stands for `path`, made when missing.

    Raises ServerDidNotStart when another user made a directory of this name.
    """
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
    place = SHARED / f"sigstream-{digest}"
    place.mkdir(mode=0o711, exist_ok=True)
    found = place.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise ServerDidNotStart(f"{place} belongs to user {found.st_uid}: remove it, it is needed for {path}")
    place.chmod(0o711)
    return place


def reachable_copy(package: Path) -> Path:
    """A copy of an installed package that everyone may read; made once for a package of this age.

    What lies beside it as `<package>.libs` comes along: shared libraries of its wheel, which its
    programs find by a relative path.
    """
    place = stand_in(package)
    copy = place / str(package.stat().st_mtime_ns)
    if not copy.exists():
        fresh = Path(tempfile.mkdtemp(dir=place))
        for tree in (package, package.with_name(f"{package.name}.libs")):
            if tree.exists():
                shutil.copytree(tree, fresh / tree.name, symlinks=True)
        _open_up(fresh)
        _settle(fresh, copy)
    return copy / package.name


def _open_up(tree: Path) -> None:
    for directory, _, files in os.walk(tree):
        Path(directory).chmod(0o755)
        for name in files:
            file = Path(directory) / name
            if not file.is_symlink():
                file.chmod(0o755 if file.stat().st_mode & stat.S_IXUSR else 0o644)


def _settle(tree: Path, place: Path) -> None:
    try:
        tree.rename(place)
    except OSError:
        if not place.exists():
            raise
        shutil.rmtree(tree)  # another process was quicker, with the same content
