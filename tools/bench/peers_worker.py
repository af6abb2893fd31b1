"""One engine of a comparison in a process of its own, which answers rounds on demand.

Started by peers.py: `peers_worker.py ENGINE --folder F --threads N [--setting S]`, where F holds
rows.npy, queries.npy and truth.npy. Speaks the language of `bench_exact --serve`: one JSON line
when it is ready, then one for each line "K BATCH SECONDS" of standard input; "ef VALUE" sets how
hard a graph searches. Always holds: only the search call is timed, after one call that is not, and
every answer is checked against the truth; a tie in place of another counts as right.
"""

import argparse
import json
import os
import pathlib
import sys
import time

import numpy as np

HNSW_M = 16
HNSW_EF_CONSTRUCTION = 200
TIE = 1e-6  # relative: what rounding in floats can do to the distance at rank k
WARM_BATCH = 32  # wakes caches and threads as well as a large one, which may take many seconds
TRIED_BATCH = 250  # larger ones are searched the way that is best for this many
ROW_FLOATS_MAX = 64 << 20  # scores that numpy keeps at once


class Engine:
    """A data set behind search(queries, k), which returns row numbers."""

    name = ""
    exact = True
    cost: dict = {}  # of a graph: build_s and memory_mib

    def __init__(self, rows: np.ndarray, threads: int, setting: str, cache: pathlib.Path):
        raise NotImplementedError

    def version(self) -> str:
        raise NotImplementedError

    def setting(self) -> str:
        return ""

    def cached(self, path: pathlib.Path, build, load, save):
        """An index from its file, or built and timed; what that took stands beside the file."""
        notes = path.with_suffix(".json")
        if not (path.exists() and notes.exists()):
            start = time.perf_counter()
            index = build()
            seconds = time.perf_counter() - start
            save(index, str(path))
            notes.write_text(json.dumps({"build_s": seconds}))
        else:
            index = load(str(path))
        self.cost = json.loads(notes.read_text())
        # The file has what the memory has: vectors and lists.
        self.cost["memory_mib"] = path.stat().st_size / (1 << 20)
        return index

    def tune(self, batch: int) -> list[str]:
        """Choices worth trying for batches of this size; applied by use()."""
        return [""]

    def use(self, choice: str) -> None:
        pass

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        raise NotImplementedError


class FaissFlat(Engine):
    name = "faiss-flat"

    def __init__(self, rows, threads, setting, cache):
        import faiss

        self.faiss = faiss
        faiss.omp_set_num_threads(threads)
        self.index = faiss.IndexFlatL2(rows.shape[1])
        self.index.add(rows)

    def version(self):
        return self.faiss.__version__

    def setting(self):
        config = getattr(self.faiss, "SIMDConfig", None)
        level = config.get_level_name() if config else self.faiss.get_compile_options().strip()
        return f"simd={level} blas={os.environ.get('OPENBLAS_CORETYPE', 'auto')}"

    # Faiss itself goes to BLAS from 20 queries on; either way may be the faster one.
    def tune(self, batch):
        return ["blas", "loops"]

    def use(self, choice):
        self.faiss.cvar.distance_compute_blas_threshold = 1 if choice == "blas" else 1 << 30

    def search(self, queries, k):
        return self.index.search(queries, k)[1]


class FaissHnsw(Engine):
    name = "faiss-hnsw"
    exact = False

    def __init__(self, rows, threads, setting, cache):
        import faiss

        self.faiss = faiss
        faiss.omp_set_num_threads(threads)

        def build():
            index = faiss.IndexHNSWFlat(rows.shape[1], HNSW_M)
            index.hnsw.efConstruction = HNSW_EF_CONSTRUCTION
            index.add(rows)
            return index

        self.index = self.cached(
            cache / f"faiss-hnsw-{HNSW_M}-{HNSW_EF_CONSTRUCTION}-{threads}.index",
            build,
            lambda path: faiss.read_index(path),
            lambda index, path: faiss.write_index(index, path),
        )

    def version(self):
        return self.faiss.__version__

    def setting(self):
        return f"M={HNSW_M} ef={self.index.hnsw.efSearch}"

    def set_ef(self, ef):
        self.index.hnsw.efSearch = ef

    def search(self, queries, k):
        return self.index.search(queries, k)[1]


class Hnswlib(Engine):
    name = "hnswlib"
    exact = False

    def __init__(self, rows, threads, setting, cache):
        import hnswlib

        def empty():
            return hnswlib.Index(space="l2", dim=rows.shape[1])

        def build():
            index = empty()
            index.init_index(
                len(rows), ef_construction=HNSW_EF_CONSTRUCTION, M=HNSW_M, random_seed=1
            )
            index.add_items(rows, num_threads=threads)
            return index

        def load(path):
            index = empty()
            index.load_index(path)
            return index

        self.index = self.cached(
            cache / f"hnswlib-{HNSW_M}-{HNSW_EF_CONSTRUCTION}-{threads}.bin",
            build,
            load,
            lambda index, path: index.save_index(path),
        )
        self.index.set_num_threads(threads)
        self.ef = 10

    def version(self):
        from importlib.metadata import version

        return version("hnswlib")

    def setting(self):
        return f"M={HNSW_M} ef={self.ef}"

    def set_ef(self, ef):
        self.ef = ef
        self.index.set_ef(ef)

    def search(self, queries, k):
        return self.index.knn_query(queries, k)[0].astype(np.int64)


class Usearch(Engine):
    """Its exact search, over an array or over an index, in the type that `setting` names; types
    that cannot hold the data exactly do not count as exact. Bytes from 0 to 255 become i8 by a
    shift, which changes no l2 distance (it takes numpy's unsigned bytes for packed bits)."""

    name = "usearch"

    def __init__(self, rows, threads, setting, cache):
        import usearch
        from usearch.index import Index, MetricKind, search

        self.usearch = usearch
        self.array_search = search
        self.metric = MetricKind.L2sq
        self.type = setting or "f32"
        self.dtype = {"f32": np.float32, "f16": np.float16, "i8": np.int8}[self.type]
        self.shift = 128 if self.type == "i8" else 0
        self.rows = self.convert(rows)
        self.threads = threads
        self.exact = bool(np.array_equal(self.rows.astype(np.float32) + self.shift, rows))
        # The graph is as poor as can be, since an exact search does not use it.
        self.index = Index(
            ndim=rows.shape[1],
            metric=self.metric,
            dtype=self.type,
            connectivity=2,
            expansion_add=1,
        )
        self.index.add(np.arange(len(rows)), self.rows)
        self.by_index = False

    def convert(self, vectors):
        if self.shift:
            vectors = vectors - np.float32(self.shift)
        return np.ascontiguousarray(vectors.astype(self.dtype, copy=False))

    def version(self):
        return self.usearch.__version__

    def setting(self):
        return f"{self.type} by"

    def tune(self, batch):
        return ["array", "index"]

    def use(self, choice):
        self.by_index = choice == "index"

    def search(self, queries, k):
        queries = self.convert(queries)
        if self.by_index:
            found = self.index.search(queries, k, exact=True, threads=self.threads)
        else:
            found = self.array_search(
                self.rows, queries, k, self.metric, exact=True, threads=self.threads
            )
        return np.atleast_2d(found.keys).astype(np.int64)


class UsearchHnsw(Engine):
    """Its graph over the vectors as they are."""

    name = "usearch-hnsw"
    exact = False

    def __init__(self, rows, threads, setting, cache):
        import usearch
        from usearch.index import Index, MetricKind

        self.usearch = usearch
        self.threads = threads

        def build():
            index = Index(
                ndim=rows.shape[1],
                metric=MetricKind.L2sq,
                dtype="f32",
                connectivity=HNSW_M,
                expansion_add=HNSW_EF_CONSTRUCTION,
            )
            index.add(np.arange(len(rows)), rows, threads=threads)
            return index

        self.index = self.cached(
            cache / f"usearch-hnsw-{HNSW_M}-{HNSW_EF_CONSTRUCTION}-{threads}.index",
            build,
            lambda path: Index.restore(path),
            lambda index, path: index.save(path),
        )

    def version(self):
        return self.usearch.__version__

    def setting(self):
        return f"M={HNSW_M} ef={self.index.expansion_search}"

    def set_ef(self, ef):
        self.index.expansion_search = ef

    def search(self, queries, k):
        found = self.index.search(queries, k, threads=self.threads)
        return np.atleast_2d(found.keys).astype(np.int64)


class Numpy(Engine):
    """|x|^2 - 2 q.x by one matrix product, then argpartition."""

    name = "numpy"

    def __init__(self, rows, threads, setting, cache):
        self.rows = rows
        self.columns = np.ascontiguousarray(rows.T)
        self.squares = np.einsum("ij,ij->i", rows, rows)
        self.transposed = False

    def version(self):
        return np.__version__

    def setting(self):
        return f"blas={os.environ.get('OPENBLAS_CORETYPE', 'auto')}"

    def tune(self, batch):
        return ["rows", "columns"]

    def use(self, choice):
        self.transposed = choice == "columns"

    def search(self, queries, k):
        step = max(1, ROW_FLOATS_MAX // len(self.rows))
        parts = [self.some(queries[i : i + step], k) for i in range(0, len(queries), step)]
        return np.concatenate(parts)

    def some(self, queries, k):
        scores = queries @ (self.columns if self.transposed else self.rows.T)
        scores *= -2.0
        scores += self.squares
        best = np.argpartition(scores, k - 1, axis=1)[:, :k]
        order = np.argsort(np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
        return np.take_along_axis(best, order, axis=1)


ENGINES = {
    engine.name: engine
    for engine in (FaissFlat, FaissHnsw, Hnswlib, Usearch, UsearchHnsw, Numpy)
}


class Data:
    def __init__(self, folder: pathlib.Path):
        self.rows = np.load(folder / "rows.npy")
        self.queries = np.load(folder / "queries.npy")
        self.truth = np.load(folder / "truth.npy").astype(np.int64)

    def recall(self, first: int, ids: np.ndarray) -> float:
        """Of the answers to the queries from `first` on, going round at the end."""
        right = 0
        for i, got in enumerate(ids):
            query = (first + i) % len(self.queries)
            wanted = self.truth[query, : len(got)]
            right += int(np.isin(got, wanted).sum())
            others = np.setdiff1d(got, wanted)
            others = others[(others >= 0) & (others < len(self.rows))]
            if len(others):
                asked = self.queries[query].astype(np.float64)
                last = ((self.rows[wanted[-1]] - asked) ** 2).sum()
                distances = ((self.rows[others] - asked) ** 2).sum(axis=1)
                right += int((distances <= last * (1.0 + TIE)).sum())
        return right / ids.size


class Rounds:
    """Batches of queries in turn."""

    def __init__(self, data: Data, engine: Engine):
        self.data = data
        self.engine = engine
        self.twice = np.concatenate([data.queries, data.queries])
        self.choices: dict[int, str] = {}

    def batch(self, first: int, size: int) -> np.ndarray:
        if size <= len(self.data.queries):
            return self.twice[first : first + size]
        return np.resize(self.twice, (size, self.twice.shape[1]))

    def timed(self, first: int, size: int, k: int) -> tuple[float, np.ndarray]:
        queries = np.ascontiguousarray(self.batch(first, size))
        start = time.perf_counter()
        ids = self.engine.search(queries, k)
        return time.perf_counter() - start, ids

    def choose(self, size: int, k: int) -> None:
        """The fastest way for this size of batch, found once."""
        if size not in self.choices:
            seconds = {}
            for choice in self.engine.tune(size):
                self.engine.use(choice)
                repeats = 5 if size < 100 else 2
                tried = min(size, TRIED_BATCH)
                seconds[choice] = min(self.timed(0, tried, k)[0] for _ in range(repeats))
            self.choices[size] = min(seconds, key=seconds.get)
        self.engine.use(self.choices[size])

    def run(self, k: int, size: int, seconds: float) -> dict:
        self.choose(size, k)
        count = len(self.data.queries)
        first, taken, recalls = 0, [], []
        self.timed(0, min(size, WARM_BATCH), k)
        while not taken or sum(taken) < seconds:
            one, ids = self.timed(first, size, k)
            taken.append(one)
            recalls.append(self.data.recall(first, ids))
            first = (first + size) % count
        chosen = self.choices[size]
        return {
            "qps": len(taken) * size / sum(taken),
            "p50_us": float(np.percentile(taken, 50) * 1e6),
            "p99_us": float(np.percentile(taken, 99) * 1e6),
            "recall": float(np.mean(recalls)),
            "checked": len(taken) * size,
            "setting": " ".join(x for x in (self.engine.setting(), chosen) if x),
        }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("engine", choices=sorted(ENGINES))
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--setting", default="")
    flags = parser.parse_args()
    data = Data(flags.folder)
    engine = ENGINES[flags.engine](data.rows, flags.threads, flags.setting, flags.folder)
    rounds = Rounds(data, engine)
    ready = {"ready": flags.engine, "version": engine.version(), "exact": engine.exact}
    ready.update(engine.cost)
    print(json.dumps(ready), flush=True)
    for line in sys.stdin:
        words = line.split()
        if words[0] == "ef":
            engine.set_ef(int(words[1]))
            print("{}", flush=True)
        else:
            result = rounds.run(int(words[0]), int(words[1]), float(words[2]))
            print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
