// One case of bench_gpu: the whole way through the program vecserve over loopback, at half of what
// it can do. Part of bench_support; gpu_loopback.cc where the store is built, gpu_loopback_off.cc
// where there is none, and so no server. Main thread, with loadgen's own beside it. Always holds:
// the server has the device for itself, so no other case may hold it.
#pragma once

#include <cstdint>

#include "tools/bench/bench_report.h"

namespace vecserve::bench {

struct LoopbackRequest {
  CommonFlags common;
  std::uint64_t rows = 0;  // coordinates evenly between -1 and 1: all directions alike
  std::uint32_t dim = 0;
  double seconds = 0.0;  // at half of the capacity
};

// A line: backend, who answered; capacity_qps; offered_qps, half of it; p50_us and p999_us of the
// answers from when they were due; or not_measured, why there is none.
void bench_loopback(const LoopbackRequest& request, Report& report);

}  // namespace vecserve::bench
