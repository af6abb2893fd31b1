// The cases of bench_gpu, each one or more lines of its report; see there for their columns. Part
// of bench_support. Main thread, and where rows are inserted one more. Always holds: a line is
// written only for answers that the device gave; what a case claims beside its times was checked.
#pragma once

#include <functional>

#include "engine/gpu/gpu.h"
#include "tools/bench/bench_report.h"
#include "tools/bench/gpu_rows.h"

namespace vecserve::bench {

struct GpuBench {
  std::shared_ptr<engine::gpu::Gpu> gpu;
  engine::Scanner& scanner;
  const GpuRows& rows;
  const char* data;               // what the lines call the rows
  std::uint32_t scans = 0;        // of one query, timed
  std::uint32_t tail_scans = 0;   // where the tail is asked for
  double seconds = 0.0;           // of searching beside inserts
  double insert_rate = 0.0;       // rows per second beside searches
  std::uint32_t insert_rows = 0;  // as fast as they go
  std::uint32_t delete_rows = 0;
  Report& report;
};

// Queries of a batch, answered and certified; a line of that case.
void bench_exact(const GpuBench& bench, const char* name, std::uint32_t batch, std::uint32_t k,
                 std::uint32_t scans);
// One query with a filter that keeps one row in a hundred, and without, in turns.
void bench_filter(const GpuBench& bench);
// Rows deleted at once, and a search after that.
void bench_delete(const GpuBench& bench);
// One query at a time, quiet and while rows are inserted at a steady rate, each acknowledged one of
// which the next search must find; then inserts as fast as they go.
void bench_insert(const GpuBench& bench);

}  // namespace vecserve::bench
