#!/usr/bin/env python3
"""How fast are others at the same search? Runs vecserve and its peers side by side.

Canonical run: ./run bench peers --suite exact --data fashion-mnist, and --suite ann, where graphs
are compared at recall 0.95, 0.99 and 0.999 by batches of 1,000 queries (no call of Python between
them); ratio is then vecserve's qps by the best peer's at the same recall. Every engine is a process of
its own with the same rows and queries, the same k and as many threads; they take turns, round by
round, and the order turns too, so that a busy machine disturbs all alike. Each peer runs at its
best: the fastest BLAS core type and the faster of its ways for each size of batch are found first.
hnswlib and Faiss HNSW (M 16) search just hard enough for recall 0.95, 0.99 and 0.999.
Prints a table, or with --json - one line per case: engine, version, setting, threads, batch,
recall, qps (best round), qps_median, noise ((best - worst) / median), p50_us, p99_us. Writes
peers-*.md, .jsonl and .svg to the output folder.
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
from importlib.util import find_spec

sys.dont_write_bytecode = True  # the source tree stays as it is
import peers_plot  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
OURS = "vecserve"
CORE_TYPES = ["", "Haswell", "Zen", "SkylakeX", "Cooperlake", "SapphireRapids"]
RECALLS = [0.95, 0.99, 0.999]
EFS = [10, 14, 20, 28, 40, 56, 80, 113, 160, 226, 320, 453, 640, 905, 1280, 1810, 2560]
GRAPH_ROWS_MAX = 100_000  # building larger graphs takes long: name them in --engines
PROBE_BATCH = 250
GRAPHS = ("hnswlib", "faiss-hnsw", "usearch-hnsw")
# As fine as it takes for no engine to have to search much harder than it needs to.
ANN_EFS = sorted({round(10 * 1.1**i) for i in range(60)})


def say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


class Peer:
    """A running engine: lines in, JSON lines out."""

    def __init__(self, name: str, command: list[str], threads: int, core_type: str = ""):
        environment = dict(os.environ)
        for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            environment[variable] = str(threads)
        if core_type:
            environment["OPENBLAS_CORETYPE"] = core_type
        self.name = name
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.ready = self.read()

    def read(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.name} ended with code {self.process.wait()}")
        return json.loads(line)

    def ask(self, *words) -> dict:
        self.process.stdin.write(" ".join(str(word) for word in words) + "\n")
        self.process.stdin.flush()
        return self.read()

    def stop(self) -> None:
        self.process.stdin.close()
        self.process.wait()


class Contestant:
    """A peer, perhaps at one of several settings: what becomes one line per batch."""

    def __init__(self, engine: str, peer: Peer, ef: int = 0):
        self.engine = engine
        self.peer = peer
        self.ef = ef
        self.rounds: dict[int, list[dict]] = {}

    def run(self, k: int, batch: int, seconds: float) -> None:
        if self.ef:
            self.peer.ask("ef", self.ef)
        result = self.peer.ask(k, batch, seconds)
        if result.get("wrong"):
            sys.exit(f"{self.engine}: {result['wrong']} wrong answers in batches of {batch}")
        self.rounds.setdefault(batch, []).append(result)

    def figures(self, batch: int) -> dict:
        rounds = self.rounds[batch]
        speeds = [one["qps"] for one in rounds]
        middle = statistics.median(speeds)
        best = max(rounds, key=lambda one: one["qps"])
        return {
            "recall": min(one["recall"] for one in rounds),
            "qps": best["qps"],
            "qps_median": middle,
            "noise": (max(speeds) - min(speeds)) / middle,
            "p50_us": best["p50_us"],
            "p99_us": best["p99_us"],
            "checked": sum(one["checked"] for one in rounds),
            "setting": best.get("setting") or f"{best['kernel']} {best['planes']}",
        }


class Comparison:
    def __init__(self, flags):
        self.flags = flags
        name = flags.data.replace("/", "_") + (f"-{flags.rows}" if flags.rows else "")
        self.folder = flags.out / "peers" / name
        self.contestants: list[Contestant] = []
        self.peers: list[Peer] = []
        self.curves: dict[str, list[tuple[float, float]]] = {}

    # -- starting ---------------------------------------------------------------------------------

    def bench(self, *arguments: str) -> list[str]:
        data = ["--data", self.flags.data, "--folder", str(self.flags.out)]
        if self.flags.rows:
            data += ["--rows", str(self.flags.rows)]
        program = self.flags.bench
        if self.flags.suite == "ann" and "--export" not in arguments:
            program = program.with_name("bench_ann")
        return [str(program), *data, "--k", str(self.flags.k), *arguments]

    def worker(self, engine: str, core_type: str = "", setting: str = "") -> Peer:
        command = [sys.executable, str(HERE / "peers_worker.py"), engine]
        command += ["--folder", str(self.folder), "--threads", str(self.flags.threads)]
        return Peer(engine, [*command, "--setting", setting], self.flags.threads, core_type)

    def start(self, name: str, peer: Peer, ef: int = 0) -> Contestant:
        if peer not in self.peers:
            self.peers.append(peer)
        contestant = Contestant(name, peer, ef)
        self.contestants.append(contestant)
        return contestant

    def start_with_best_blas(self, engine: str) -> None:
        """OpenBLAS takes processors that it does not know for old ones: every core type that runs
        here is tried, and the fastest kept."""
        best, best_speed = None, 0.0
        for core_type in CORE_TYPES:
            if core_type == "SapphireRapids" and "amx" not in cpu_flags():
                continue
            if core_type in ("SkylakeX", "Cooperlake") and "avx512f" not in cpu_flags():
                continue
            peer = self.worker(engine, core_type)
            batch = min(PROBE_BATCH, max(self.flags.batch))
            speed = max(peer.ask(self.flags.k, batch, 0.2)["qps"] for _ in range(2))
            say(f"  {engine} with OPENBLAS_CORETYPE={core_type or '(its own choice)'}: {speed:.0f}")
            # A name that changes nothing must not win by noise.
            if best is None or speed > 1.03 * best_speed:
                if best:
                    best.stop()
                best, best_speed = peer, speed
            else:
                peer.stop()
        self.start(engine, best)

    def start_graph(self, engine: str) -> None:
        say(f"  building or loading {engine}")
        ours = engine == OURS
        if ours:
            serve = self.bench("--threads", str(self.flags.threads), "--serve")
            peer = Peer(OURS, serve, self.flags.threads)
        else:
            peer = self.worker(engine)
        found = []
        for ef in ANN_EFS if self.flags.suite == "ann" else EFS:
            if ef < self.flags.k:
                continue
            peer.ask("ef", ef)
            recall = peer.ask(self.flags.k, 1000, 0.0)["recall"]
            found.append((ef, recall))
            if recall >= max(RECALLS):
                break
        for wanted in RECALLS:
            efs = [ef for ef, recall in found if recall >= wanted]
            if efs:
                self.start(f"{engine}@{wanted}", peer, efs[0])
            else:
                say(f"  {engine} does not reach recall {wanted}")
        points = []
        for ef, recall in found:
            peer.ask("ef", ef)
            speed = max(peer.ask(self.flags.k, self.flags.batch[0], 0.1)["qps"] for _ in range(2))
            points.append((recall, speed))
        self.curves[engine] = points

    def start_all(self) -> None:
        say(f"exporting {self.flags.data}")
        subprocess.run(self.bench("--export", str(self.folder)), check=True)
        if self.flags.suite == "ann":
            self.start_graph(OURS)
        else:
            serve = self.bench("--threads", str(self.flags.threads), "--serve")
            self.start(OURS, Peer(OURS, serve, self.flags.threads))
        for engine in self.flags.engines:
            say(f"starting {engine}")
            if engine in ("faiss-flat", "numpy"):
                self.start_with_best_blas(engine)
            elif engine in GRAPHS:
                self.start_graph(engine)
            else:
                name, _, setting = engine.partition("-")
                self.start(engine, self.worker(name, setting=setting))

    # -- measuring --------------------------------------------------------------------------------

    def measure(self) -> None:
        for batch in self.flags.batch:
            for turn in range(self.flags.rounds):
                say(f"batch {batch}, round {turn + 1} of {self.flags.rounds}")
                shift = turn % len(self.contestants)
                for contestant in self.contestants[shift:] + self.contestants[:shift]:
                    contestant.run(self.flags.k, batch, self.flags.seconds)

    def lines(self) -> list[dict]:
        lines = []
        for batch in self.flags.batch:
            for contestant in self.contestants:
                ready = contestant.peer.ready
                lines.append(
                    {
                        "bench": "peers",
                        "suite": self.flags.suite,
                        "data": self.flags.data,
                        "metric": "l2",
                        "k": self.flags.k,
                        "engine": contestant.engine,
                        "version": ready.get("version", self.flags.version),
                        "exact": ready.get("exact", True),
                        "threads": self.flags.threads,
                        "batch": batch,
                        **contestant.figures(batch),
                        **{key: ready[key] for key in ("build_s", "memory_mib") if key in ready},
                        "cpu": cpu_model(),
                        "cores": os.cpu_count(),
                        "commit": self.flags.version,
                    }
                )
        if self.flags.suite == "ann":
            add_ratios(lines)
        return lines

    def stop(self) -> None:
        for peer in self.peers:
            peer.stop()

    # -- reporting --------------------------------------------------------------------------------

    def write(self, lines: list[dict]) -> None:
        stem = f"peers-{self.folder.name}-{self.flags.threads}t"
        if self.flags.suite == "ann":
            return self.write_ann(lines, stem.replace("peers-", "peers-ann-", 1))
        out = self.flags.out
        (out / f"{stem}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        (out / f"{stem}.md").write_text(table(lines))
        threads = f"{self.flags.threads} thread" + ("s" if self.flags.threads > 1 else "")
        bars: dict[str, dict[int, float]] = {}
        for line in lines:
            if is_exact(line):
                bars.setdefault(line["engine"], {})[line["batch"]] = line["qps"]
        title = f"{self.flags.data}: exact search, k = {self.flags.k}, {threads}"
        (out / f"{stem}-exact.svg").write_text(peers_plot.bar_plot(title, bars))
        single = {line["engine"]: line for line in lines if line["batch"] == 1}
        if OURS in single:
            curves = {OURS: [(1.0, single[OURS]["qps"])]}
            for name, line in single.items():
                if name != OURS and is_exact(line):
                    curves[name] = [(1.0, line["qps"])]
            curves.update(self.curves)
            title = f"{self.flags.data}: one query at a time, k = {self.flags.k}, {threads}"
            (out / f"{stem}-recall.svg").write_text(peers_plot.recall_plot(title, curves))
        say(f"tables and plots: {out}/{stem}*")


    def write_ann(self, lines: list[dict], stem: str) -> None:
        out = self.flags.out
        (out / f"{stem}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        (out / f"{stem}.md").write_text(ann_table(lines))
        title = f"{self.flags.data}: k = {self.flags.k}, {self.flags.threads} thread(s)"
        (out / f"{stem}-recall.svg").write_text(peers_plot.recall_plot(title, self.curves))
        say(f"tables and plots: {out}/{stem}*")


def add_ratios(lines: list[dict]) -> None:
    """What each engine's speed at a recall is to that of the best peer there."""
    for line in lines:
        line["engine"], _, wanted = line["engine"].partition("@")
        line["recall_wanted"] = float(wanted)
    for line in lines:
        peers = [
            other["qps"]
            for other in lines
            if other["engine"] != OURS and other["recall_wanted"] == line["recall_wanted"]
        ]
        line["ratio"] = line["qps"] / max(peers) if peers else None


def ann_table(lines: list[dict]) -> str:
    """One row per engine and recall; ratio is to the best peer at the same recall."""
    first = lines[0]
    rows = [
        f"# {first['data']}, k = {first['k']}, threads = {first['threads']}, {first['cpu']}",
        "",
        "| recall wanted | engine | version | setting | recall | qps | noise | ratio | build s "
        "| memory MiB |",
        "|---:|---|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for line in sorted(lines, key=lambda line: (line["recall_wanted"], -line["qps"])):
        ratio = f"{line['ratio']:.2f}" if line["ratio"] else ""
        rows.append(
            f"| {line['recall_wanted']} | {line['engine']} | {line['version']} "
            f"| {line['setting']} | {line['recall']:.5f} | {line['qps']:.0f} "
            f"| {line['noise']:.0%} | {ratio} | {line['build_s']:.1f} "
            f"| {line['memory_mib']:.0f} |"
        )
    return "\n".join(rows) + "\n"


def is_exact(line: dict) -> bool:
    """By construction: it compares the query with every vector as given. Such an engine may still
    miss a few neighbours to the rounding of its floats, which its recall tells; it is compared with
    all the same, for leaving it out would flatter us."""
    return line["exact"] and line["recall"] > 0.99


def table(lines: list[dict]) -> str:
    """One row per engine and batch, with how many times faster than it vecserve is."""
    first = lines[0]
    rows = [
        f"# {first['data']}, k = {first['k']}, threads = {first['threads']}, {first['cpu']}",
        "",
        "| batch | engine | version | setting | recall | qps | median | noise | vecserve is |",
        "|---:|---|---|---|---:|---:|---:|---:|---:|",
    ]
    ours = {line["batch"]: line["qps"] for line in lines if line["engine"] == OURS}
    for line in lines:
        ratio = ours[line["batch"]] / line["qps"]
        rows.append(
            f"| {line['batch']} | {line['engine']} | {line['version']} | {line['setting']} "
            f"| {line['recall']:.5f} | {line['qps']:.0f} | {line['qps_median']:.0f} "
            f"| {line['noise']:.0%} | {ratio:.2f}x |"
        )
    rows.append("")
    for batch in ours:
        peers = [x for x in lines if x["batch"] == batch and x["engine"] != OURS and is_exact(x)]
        if peers:
            best = max(peers, key=lambda line: line["qps"])
            ratio = ours[batch] / best["qps"]
            rows.append(
                f"Batch {batch}: {ratio:.2f}x the best exact peer ({best['engine']}, "
                f"recall {best['recall']:.5f})."
            )
    return "\n".join(rows) + "\n"


def cpu_info(key: str) -> str:
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.lower().startswith(key):
            return line.partition(":")[2].strip()
    return platform.machine()


def cpu_model() -> str:
    return cpu_info("model name")


def cpu_flags() -> str:
    return cpu_info("flags")


def commit() -> str:
    found = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], cwd=HERE, capture_output=True, text=True
    )
    return found.stdout.strip() or "unknown"


def default_engines(flags) -> list[str]:
    """All that are installed and make sense for this data."""
    if flags.suite == "ann":
        present = [name for name in GRAPHS if find_spec(name.partition("-")[0])]
        for name in set(GRAPHS) - set(present):
            say(f"not installed, left out: {name}")
        return present
    engines = ["faiss-flat", "numpy", "usearch-f32", "usearch-f16"]
    if flags.data == "fashion-mnist":
        engines.append("usearch-i8")  # bytes hold this set exactly
    if flags.data in ("fashion-mnist", "text") or 0 < flags.rows <= GRAPH_ROWS_MAX:
        engines += ["hnswlib", "faiss-hnsw"]
    present = [name for name in engines if find_spec(name.partition("-")[0])]
    for name in engines:
        if name not in present:
            say(f"not installed, left out: {name}")
    return present


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="vecserve and its peers, side by side")
    parser.add_argument("--suite", choices=["exact", "ann"], default="exact")
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--rows", type=int, default=0)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--threads", default="1")
    parser.add_argument("--batch", default="", help="1,10,250,1000; of suite ann 1000")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="of a round, at least")
    parser.add_argument("--engines", default="", help="faiss-flat,usearch-f32,numpy,hnswlib,...")
    parser.add_argument("--json", default="", help="- or a file: one line per case")
    parser.add_argument("--bench", type=pathlib.Path, default="build/bin/bench_exact")
    parser.add_argument("--out", type=pathlib.Path, default="build/bench")
    flags = parser.parse_args()
    flags.batch = flags.batch or ("1000" if flags.suite == "ann" else "1,10,250,1000")
    flags.batch = [int(word) for word in flags.batch.split(",")]
    flags.engines = flags.engines.split(",") if flags.engines else default_engines(flags)
    flags.version = commit()
    return flags


def main() -> None:
    flags = parse()
    for threads in [int(word) for word in flags.threads.split(",")]:
        flags.threads = threads
        comparison = Comparison(flags)
        comparison.start_all()
        comparison.measure()
        lines = comparison.lines()
        comparison.stop()
        comparison.write(lines)
        if flags.json:
            text = "".join(json.dumps(line) + "\n" for line in lines)
            if flags.json == "-":
                sys.stdout.write(text)
            else:
                with open(flags.json, "a") as out:
                    out.write(text)
        else:
            sys.stdout.write(ann_table(lines) if flags.suite == "ann" else table(lines))


if __name__ == "__main__":
    main()
