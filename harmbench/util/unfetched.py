"""Files whose content was not fetched: links of git-annex, pointer files, broken links."""

from __future__ import annotations

from pathlib import Path

_MAX_POINTER = 4096  # bytes
_LFS = b"version https://git-lfs"


def why_unfetched(path: Path) -> str | None:
    """Return why a file has no content although its name exists, with the cure; else None.

    DataLad and git-annex leave a link to nothing, or a small text in place of an unlocked file,
    until a file is fetched. Git LFS leaves a small text.

    Returns
    -------
    str or None
        A sentence without a subject, such as `"is a broken link: ..."`.
    """
    if path.is_symlink() and not path.exists():
        if "annex/objects/" in path.readlink().as_posix():
            return f"is a broken link, since git-annex has not fetched it: `datalad get {path}`"
        return "is a broken link: fetch its content or remove it"
    try:
        if not path.is_file() or path.stat().st_size > _MAX_POINTER:
            return None
        content = path.read_bytes()
    except OSError:
        return None
    first_line = content.partition(b"\n")[0]
    if first_line.startswith(b"/annex/objects/") or b".git/annex/objects/" in first_line:
        return f"is a git-annex pointer, whose content is not fetched: `datalad get {path}`"
    if first_line.startswith(_LFS):
        return f"is a Git LFS pointer, whose content is not fetched: `git lfs pull -I {path.name}`"
    return None
