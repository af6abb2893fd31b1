"""Ceilings of a GPU and PyTorch's answer to the same question, beside the lines of bench_gpu.

Called by gpu.sh with the file of those lines. Measures, in the same run, a plain copy, a plain int8
and a plain bf16 matrix product, and matmul + topk in bf16 with the share of the true neighbours
that it finds; prints one row for each line, then the goals with what they came to. Invariant: every
ratio is of two figures of this run; a goal without its lines is "not measured".
"""
import json
import sys


def seconds(torch, body, times=20):
    for _ in range(3):
        body()
    begin = [torch.cuda.Event(enable_timing=True) for _ in range(times)]
    end = [torch.cuda.Event(enable_timing=True) for _ in range(times)]
    for i in range(times):
        begin[i].record()
        body()
        end[i].record()
    torch.cuda.synchronize()
    return sorted(b.elapsed_time(e) for b, e in zip(begin, end))[times // 2] / 1e3


def read_gb_s(torch):
    source = torch.empty(1 << 31, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return 2 * source.numel() / seconds(torch, lambda: target.copy_(source)) / 1e9


def int8_tops(torch):
    n = 8192
    a = torch.randint(-9, 9, (n, n), dtype=torch.int8, device="cuda")
    b = torch.randint(-9, 9, (n, n), dtype=torch.int8, device="cuda").t()
    return 2 * n**3 / seconds(torch, lambda: torch._int_mm(a, b)) / 1e12


class Peer:
    """matmul + topk in bf16 over random unit vectors of one shape, made once for all its lines."""

    def __init__(self, torch, rows, dim):
        self.torch = torch
        self.rows = rows
        exact = torch.nn.functional.normalize(torch.randn(rows, dim, device="cuda"))
        self.data = exact.bfloat16()
        self.probes = torch.nn.functional.normalize(torch.randn(64, dim, device="cuda"))
        # In doubles, a part of the rows at a time.
        scores = torch.cat([self.probes.double() @ part.double().t()
                            for part in exact.split(1 << 18)], dim=1)
        self.truth = torch.topk(scores, 100, dim=1).indices
        del scores, exact

    def us(self, batch, k):
        torch = self.torch
        queries = torch.nn.functional.normalize(
            torch.randn(batch, self.data.shape[1], device="cuda")).bfloat16()
        step = max(1, min(batch, (1 << 33) // (2 * self.rows)))

        def search():
            for first in range(0, batch, step):
                torch.topk(queries[first:first + step] @ self.data.t(), k, dim=1)

        return seconds(torch, search, 5) * 1e6

    def recall(self, k):
        torch = self.torch
        found = torch.topk(self.probes.bfloat16() @ self.data.t(), k, dim=1).indices
        truth = self.truth[:, :k]
        hits = sum(len(set(f.tolist()) & set(t.tolist())) for f, t in zip(found, truth))
        return hits / truth.numel()


def exact_rows(torch, lines, bandwidth, rate):
    """Prints a row for each line of exact searches; returns them with what the peer took."""
    print("     data     rows   dim batch    k    p50 us   scan us  of copy  of int8  torch us"
          "  x torch  recall  tail certified")
    shape = None
    peer = None
    rows = []
    for c in lines:
        if c["case"] != "exact":
            continue
        if shape != (c["rows"], c["dim"]):
            shape = (c["rows"], c["dim"])
            peer = None  # gives its memory back first
            peer = Peer(torch, *shape)
        c["torch_us"] = peer.us(c["batch"], c["k"])
        c["torch_recall"] = peer.recall(c["k"])
        c["of_copy"] = c["gb_s"] / bandwidth
        c["of_int8"] = c["tops"] / rate
        c["times_torch"] = c["torch_us"] / c["p50_us"]
        rows.append(c)
        print(f"{c['data']:>9s} {c['rows']:8d} {c['dim']:5d} {c['batch']:5d} {c['k']:4d} "
              f"{c['p50_us']:9.1f} {c['scan_us']:9.1f} {c['of_copy']:8.2f} {c['of_int8']:8.2f} "
              f"{c['torch_us']:9.1f} {c['times_torch']:8.2f} {c['torch_recall']:7.3f} "
              f"{c['tail']:5.2f} {c['certified']:9.4f}")
    return rows


def goals(exact, lines, bandwidth):
    """Name, goal and figure (None: not measured) of each goal."""

    def of(rows, dim, batch, data="unit", k=None):
        return [c for c in exact if (c["rows"], c["dim"], c["batch"], c["data"]) ==
                (rows, dim, batch, data) and k in (None, c["k"])]

    def others(case):
        return [c for c in lines if c["case"] == case]

    def least(figures):
        return min(figures, default=None)

    def most(figures):
        return max(figures, default=None)

    for rows, dim in ((1_000_000, 768), (10_000_000, 128)):
        yield (f"one query, {rows} x {dim}: share of the copy", ">= 0.85",
               least(c["of_copy"] for c in of(rows, dim, 1)))
    # A bf16 pass reads 2 bytes of each coordinate.
    yield ("decaying, 1000000 x 768: share of a bf16 pass", "<= 0.25",
           most(c["p50_us"] / (2 * 1e6 * 768 / bandwidth / 1e3)
                for c in of(1_000_000, 768, 1, "decaying")))
    yield ("p99.9 over p50 of 100,000 searches", "<= 1.5",
           most(c["tail"] for c in exact if c["scans"] >= 100_000))
    yield ("batch 64 over one query", "<= 1.3",
           most(b["p50_us"] / a["p50_us"] for a in exact for b in exact
                if a["batch"] == 1 and b["batch"] == 64 and
                all(a[f] == b[f] for f in ("rows", "dim", "data", "k")) and a["data"] == "unit"))
    yield ("batch 1,024 and 4,096: share of the int8 rate", ">= 0.35",
           least(c["of_int8"] for dim in (128, 768) for batch in (1_024, 4_096)
                 for c in of(1_000_000, dim, batch)))
    for batches, goal in (((1,), ">= 2"), ((64,), ">= 5"), ((1_024, 4_096), ">= 4")):
        yield (f"times PyTorch, batch {batches[0]} on", goal,
               least(c["times_torch"] for c in exact
                     if c["batch"] in batches and c["data"] == "unit"))
    for dim in (128, 768):
        for batch in (64, 1_024, 4_096):
            by = {kernel: least(c["scan_us"] for c in others("groups") if
                                (c["dim"], c["batch"], c["kernel"]) == (dim, batch, kernel))
                  for kernel in ("mma", "wgmma")}
            yield (f"mma over wgmma, batch {batch}, x {dim}", ">= 1",
                   by["mma"] / by["wgmma"] if by["mma"] and by["wgmma"] else None)
    for batch in (1, 64, 1_024, 4_096):
        for k in (10, 100):
            by = {there: least(c["p50_us"] for c in others("vectors") if
                               (c["batch"], c["k"], c["vectors"] > 0) == (batch, k, there))
                  for there in (False, True)}
            yield (f"vectors on the device over not, batch {batch}, k {k}", "<= 1",
                   by[True] / by[False] if by[True] and by[False] else None)
    yield ("search p99 beside 200,000 rows/s", "<= 1.2", most(c["ratio"] for c in others("insert")))
    yield ("rows/s really inserted beside", ">= 200000", least(c["rows_s"] for c in others("insert")))
    yield ("acknowledged rows not found", "0", most(c["missed"] for c in others("insert")))
    yield ("inserts x 128, rows/s", ">= 1000000",
           most(c["rows_s"] for c in others("insert_fast") if c["dim"] == 128))
    yield ("delete of 100,000 rows, us", "<= 2000",
           most(c["bits_us"] + c["mirror_us"] for c in others("delete")))
    yield ("a filter that keeps 1%, over none", "<= 1", most(c["ratio"] for c in others("filter")))
    yield ("share certified at once", "1.0",
           least(c["certified"] for c in exact))
    # On the device, or it is another figure; a tree without the store has none.
    served = [c for c in others("loopback") if c.get("backend", "").startswith("gpu")]
    yield ("end to end on loopback, p50, us", "<= 500", most(c["p50_us"] for c in served))
    yield ("end to end on loopback, p99.9, us", "<= 2000", most(c["p999_us"] for c in served))


def main():
    import torch
    with open(sys.argv[1], encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    bandwidth = read_gb_s(torch)
    rate = int8_tops(torch)
    commits = sorted({str(c.get("commit", "?")) for c in lines})
    print(f"{torch.cuda.get_device_name()}, commit {' '.join(commits)}: copy {bandwidth:.0f} GB/s, "
          f"int8 product {rate:.0f} TOP/s")
    exact = exact_rows(torch, lines, bandwidth, rate)
    print(f"\n{'goal':55s} {'is to be':>12s} {'is':>12s}")
    for name, goal, figure in goals(exact, lines, bandwidth):
        print(f"{name:55s} {goal:>12s} "
              f"{'not measured' if figure is None else format(figure, '.4g'):>12s}")


if __name__ == "__main__":
    main()
