// Checks engine/runtime: why writes are refused, in which order, and that the first reason stays.
// Single-threaded.
// Always holds: no store is opened; a runtime alone answers.
#include "engine/runtime.h"

#include <catch2/catch.hpp>
#include <string>

#include "engine/scan/cpu_scanner.h"
#include "tests/support/failing_new.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;

DatabaseOptions one_thread() {
  DatabaseOptions options;
  options.threads = 1;
  return options;
}

TEST_CASE("runtime: a fresh one takes writes and knows its scanner", "[engine]") {
  const ManualClock clock;
  const Runtime runtime(one_thread(), **choose_kernels("generic"), clock);
  CHECK(runtime.writable().ok());
  CHECK(runtime.degraded().empty());
  CHECK(runtime.lanes.backend() == "cpu/coarse/generic");
  CHECK(runtime.pool.threads() == 1);
}

TEST_CASE("runtime: each reason to refuse writes has its code", "[engine]") {
  const ManualClock clock;
  Runtime runtime(one_thread(), **choose_kernels(""), clock);
  runtime.degrade("the disk failed");
  CHECK(runtime.writable().code() == StatusCode::io_error);
  CHECK(runtime.writable().message().find("the disk failed") != std::string::npos);
  runtime.read_only = true;
  CHECK(runtime.writable().code() == StatusCode::failed_precondition);
  runtime.closed = true;
  CHECK(runtime.writable().code() == StatusCode::unavailable);
}

TEST_CASE("runtime: the first reason stays, and there always is one", "[engine]") {
  const ManualClock clock;
  Runtime runtime(one_thread(), **choose_kernels(""), clock);
  runtime.degrade("first");
  runtime.degrade("second");
  CHECK(runtime.degraded() == "first");
  Runtime silent(one_thread(), **choose_kernels(""), clock);
  silent.degrade("");
  CHECK(silent.degraded() == "a write failed");
  CHECK(silent.writable().code() == StatusCode::io_error);
}

TEST_CASE("runtime: no memory for the reason does not hide that there is one", "[engine]") {
  const ManualClock clock;
  Runtime runtime(one_thread(), **choose_kernels(""), clock);
  const std::string long_reason(100, 'x');
  test::fail_allocation(0);
  runtime.degrade(long_reason);
  const bool met = !test::allocation_failure_pending();
  test::fail_allocation(-1);
  CHECK(met);
  CHECK(runtime.degraded() == "a write failed");
  CHECK(runtime.writable().code() == StatusCode::io_error);
}

}  // namespace
