"""Ceilings of a GPU and PyTorch's answer to the same question, beside the lines of bench_gpu.

Called by gpu.sh with the file of those lines. Measures, in the same run, a plain copy, a plain int8
and a plain bf16 matrix product, and matmul + topk in bf16; prints one row for each line. Invariant:
every ratio is of two figures of this run.
"""
import json
import sys

import torch


def seconds(body, times=20):
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


def read_gb_s():
    source = torch.empty(1 << 31, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return 2 * source.numel() / seconds(lambda: target.copy_(source)) / 1e9


def int8_tops():
    n = 8192
    a = torch.randint(-9, 9, (n, n), dtype=torch.int8, device="cuda")
    b = torch.randint(-9, 9, (n, n), dtype=torch.int8, device="cuda").t()
    return 2 * n**3 / seconds(lambda: torch._int_mm(a, b)) / 1e12


def torch_us(rows, dim, batch, k):
    data = torch.nn.functional.normalize(torch.randn(rows, dim, device="cuda")).bfloat16()
    queries = torch.nn.functional.normalize(torch.randn(batch, dim, device="cuda")).bfloat16()
    step = max(1, min(batch, (1 << 33) // (2 * rows)))

    def search():
        for first in range(0, batch, step):
            torch.topk(queries[first:first + step] @ data.t(), k, dim=1)

    return seconds(search, 5) * 1e6


def main():
    bandwidth = read_gb_s()
    rate = int8_tops()
    print(f"{torch.cuda.get_device_name()}: copy {bandwidth:.0f} GB/s, int8 product {rate:.0f} TOP/s")
    print("     rows   dim batch    k    p50 us  of copy  of int8  torch us  times torch")
    with open(sys.argv[1], encoding="utf-8") as lines:
        for line in lines:
            c = json.loads(line)
            peer = torch_us(c["rows"], c["dim"], c["batch"], c["k"])
            tops = 2 * c["rows"] * c["dim"] * c["batch"] / c["p50_us"] / 1e6
            print(f"{c['rows']:9d} {c['dim']:5d} {c['batch']:5d} {c['k']:4d} {c['p50_us']:9.1f} "
                  f"{c['gb_s'] / bandwidth:8.2f} {tops / rate:8.2f} {peer:9.1f} "
                  f"{peer / c['p50_us']:8.2f}")


if __name__ == "__main__":
    main()
