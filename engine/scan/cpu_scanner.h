// The scanner that is always there: full-plane scan on the CPU over a table of kernels, split over
// the worker pool. Implements Scanner; see its contract and thread rule there.
// Always holds: it supports every shape that a collection can have.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/worker_pool.h"
#include "engine/scan/scanner.h"
#include "vecserve/status.h"

namespace vecserve::engine {

struct KernelTable;

// The tables that this machine can run, best first; "generic" is always the last.
[[nodiscard]] std::vector<std::string_view> kernel_names();

// The table of that name; "" means what VECSERVE_KERNELS names or, without it, the best. An unknown
// or unsupported name is invalid_argument("kernels") and the text lists the names that would work.
[[nodiscard]] Result<const KernelTable*> choose_kernels(std::string_view name);

[[nodiscard]] std::string_view kernel_name(const KernelTable& table);

// `pool` may be shared by many scanners and must outlive them.
[[nodiscard]] std::unique_ptr<Scanner> make_cpu_scanner(const KernelTable& table, WorkerPool& pool);

}  // namespace vecserve::engine
