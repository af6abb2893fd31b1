#!/usr/bin/env python3
"""Makes the data set "sift": local descriptors of the photographs that the distribution packages.

SIFT as OpenCV computes it, 128 values between 0 and 255 each, over the largest version of every
picture below the folders of desktop backgrounds; up to a million rows, drawn evenly over all
pictures. Comes before bench_ann and peers.py, which read sift_rows.npy and sift_queries.npy from
the folder that is the only argument. Needs python3-opencv and the packages that ./run names.
Always holds: the same pictures give the same descriptors in the same order; 1,000 of them, drawn
with a fixed seed, are held out as queries, and of equal descriptors only one is kept.
"""

import pathlib
import sys

import cv2
import numpy as np

FOLDERS = ["/usr/share/backgrounds", "/usr/share/wallpapers"]
ENDINGS = {".jpg", ".jpeg", ".png", ".webp"}
ROWS_MAX = 1_000_000
QUERIES = 1000
PICTURE_MAX = 60_000  # descriptors of one picture
CONTRAST = 0.012  # below OpenCV's 0.04: fine textures count too
SEED = 1


def pictures() -> list[pathlib.Path]:
    """Of each folder of pictures that are versions of one, named by their size, the largest."""
    found: dict[str, pathlib.Path] = {}
    for folder in FOLDERS:
        for path in sorted(pathlib.Path(folder).rglob("*")):
            if path.suffix.lower() not in ENDINGS or path.is_symlink() or not path.is_file():
                continue
            sized = path.stem.replace("x", "").isdigit()
            if not sized and path.stem == "screenshot":
                continue
            key = str(path.parent if sized else path)
            before = found.get(key)
            if before is None or path.stat().st_size > before.stat().st_size:
                found[key] = path
    return [found[key] for key in sorted(found)]


def describe(path: pathlib.Path) -> np.ndarray:
    """Those of the strongest points first cut to PICTURE_MAX; none where nothing can be read."""
    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        print(f"passed over: {path}", file=sys.stderr)
        return np.empty((0, 128), np.uint8)
    _, values = cv2.SIFT_create(PICTURE_MAX, contrastThreshold=CONTRAST).detectAndCompute(
        picture, None
    )
    if values is None:
        return np.empty((0, 128), np.uint8)
    return np.unique(values.astype(np.uint8), axis=0)  # they are whole numbers already


def main() -> None:
    folder = pathlib.Path(sys.argv[1])
    parts = []
    for path in pictures():
        parts.append(describe(path))
        print(f"{len(parts[-1]):7d} {path}", file=sys.stderr)
    vectors = np.concatenate(parts) if parts else np.empty((0, 128), np.uint8)
    if len(vectors) < 100 * QUERIES:
        sys.exit(f"only {len(vectors)} descriptors: are the packages of photographs installed?")
    vectors = np.unique(vectors, axis=0)
    order = np.random.default_rng(SEED).permutation(len(vectors))[: ROWS_MAX + QUERIES]
    folder.mkdir(parents=True, exist_ok=True)
    # The rows last: their file says that the set is complete.
    np.save(folder / "sift_queries.npy", vectors[order[:QUERIES]].astype("<f4"))
    np.save(folder / "sift_rows.npy", vectors[order[QUERIES:]].astype("<f4"))
    print(f"{len(order) - QUERIES} rows, {QUERIES} queries", file=sys.stderr)


if __name__ == "__main__":
    main()
