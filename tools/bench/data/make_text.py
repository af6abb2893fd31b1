#!/usr/bin/env python3
"""Makes the data set "text": descriptions of the distribution's packages as vectors.

Tf-idf over the words of each package's description, reduced to 256 dimensions by a truncated
singular value decomposition and scaled to unit length: what a small search over texts works on.
Comes before bench_exact, which reads text_rows.npy and text_queries.npy from the folder that is
the only argument. Needs numpy, scipy and scikit-learn, and apt's lists. Always holds: the same
lists give the same packages in the same order; 1,000 of them, drawn with a fixed seed, are held
out as queries. Packages that share a description are kept: real data has ties.
"""

import pathlib
import re
import subprocess
import sys

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

DIMENSIONS = 256
QUERIES = 1000
SEED = 1


def descriptions() -> list[str]:
    """One text per package name, the first one listed, in the order of the names."""
    listing = subprocess.run(
        ["apt-cache", "dumpavail"], check=True, capture_output=True, encoding="utf-8"
    ).stdout
    found: dict[str, str] = {}
    for stanza in listing.split("\n\n"):
        name = re.search(r"^Package: (\S+)", stanza, re.MULTILINE)
        text = re.search(r"^Description(?:-en)?: (.*(?:\n .*)*)", stanza, re.MULTILINE)
        if name and text:
            found.setdefault(name.group(1), text.group(1))
    return [found[name] for name in sorted(found)]


def main() -> None:
    folder = pathlib.Path(sys.argv[1])
    texts = descriptions()
    if len(texts) < 10 * QUERIES:
        sys.exit(f"only {len(texts)} packages are known here: run apt-get update")
    print(f"{len(texts)} descriptions", file=sys.stderr)
    weights = TfidfVectorizer(sublinear_tf=True, min_df=2).fit_transform(texts)
    vectors = TruncatedSVD(DIMENSIONS, random_state=SEED).fit_transform(weights)
    lengths = np.linalg.norm(vectors, axis=1)
    kept = lengths > 1e-9  # a description of words that no other one has is no vector
    vectors = (vectors[kept] / lengths[kept, None]).astype("<f4")
    order = np.random.default_rng(SEED).permutation(len(vectors))
    queries = np.sort(order[:QUERIES])
    folder.mkdir(parents=True, exist_ok=True)
    # The rows last: their file says that the set is complete.
    np.save(folder / "text_queries.npy", vectors[queries])
    np.save(folder / "text_rows.npy", np.delete(vectors, queries, axis=0))
    print(f"{len(vectors) - QUERIES} rows, {QUERIES} queries", file=sys.stderr)


if __name__ == "__main__":
    main()
