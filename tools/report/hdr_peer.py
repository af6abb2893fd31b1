# Compares our histogram files with HdrHistogram's own port for Python (PyPI: hdrhistogram). With
# "make FOLDER" it writes peer.hlog and peer.hgrm, the golden files that the unit test reads; with
# "check FOLDER" it reads ours.hlog and ours.hgrm, which the unit test writes byte for byte, and
# exits with 1 when any count differs.
import random
import sys

from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

VALUE_MAX = (1 << 42) - 1


def sample(seed, count):
    histogram = HdrHistogram(1, VALUE_MAX, 2)
    chance = random.Random(seed)
    for _ in range(count):
        histogram.record_value(int(min(chance.lognormvariate(12.0, 1.5), VALUE_MAX)))
    return histogram


def make(folder):
    with open(folder + "/peer.hlog", "w", encoding="utf-8") as log:
        log.write("#[Histogram log format version 1.2]\n")
        log.write("#[StartTime: 1700000000.000 (seconds since epoch)]\n")
        log.write('"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"\n')
        for second in range(3):
            part = sample(second, 5000)
            log.write("Tag=response,%.3f,1.000,%.3f,%s\n" % (
                second, part.get_max_value() / 1e6, part.encode().decode()))
        other = HdrHistogram(1000, 3_600_000_000_000, 3)
        for value in (5_000, 1_000_000, 1_000_000, 2_000_000_000):
            other.record_value(value)
        log.write("3.000,1.000,2000.000,%s\n" % other.encode().decode())
        empty = HdrHistogram(1, VALUE_MAX, 2)
        log.write("4.000,1.000,0.000,%s\n" % empty.encode().decode())
    with open(folder + "/peer.hgrm", "wb") as table:
        sample(0, 5000).output_percentile_distribution(table, 1000.0, 5)


def check(folder):
    wrong = 0
    reader = HistogramLogReader(folder + "/ours.hlog", HdrHistogram(1, VALUE_MAX, 2))
    parts = []
    while True:
        part = reader.get_next_interval_histogram()
        if part is None:
            break
        parts.append(part)
    if len(parts) != 2 or parts[0].get_tag() != "service":
        sys.exit("ours.hlog: two intervals expected, the first with the tag service")
    # The unit test records i * i * 1000 for i in 1..1000 into the first, 0 and the largest into the
    # second.
    truth = HdrHistogram(1, VALUE_MAX, 2)
    for i in range(1, 1001):
        truth.record_value(i * i * 1000)
    for index in range(truth.counts_len):
        wrong += truth.get_count_at_index(index) != parts[0].get_count_at_index(index)
    wrong += parts[1].get_count_at_value(0) != 1
    wrong += parts[1].get_count_at_value(VALUE_MAX) != 1
    wrong += parts[1].get_total_count() != 2
    lines = 0
    with open(folder + "/ours.hgrm", encoding="utf-8") as table:
        for line in table:
            words = line.split()
            if line.startswith("#") or len(words) < 3 or words[0] == "Value":
                continue
            lines += 1
            value, quantile, count = float(words[0]), float(words[1]), int(words[2])
            theirs = sum(truth.get_count_at_index(i) for i in range(
                truth.get_counts_array_index(int(value * 1000)) + 1))
            wrong += count != theirs or count < quantile * truth.get_total_count() - 1e-6
    print("%d spectrum lines, %d differences" % (lines, wrong))
    sys.exit(1 if wrong or lines < 20 else 0)


if len(sys.argv) != 3 or sys.argv[1] not in ("make", "check"):
    sys.exit("usage: hdr_peer.py make|check FOLDER")
(make if sys.argv[1] == "make" else check)(sys.argv[2])
