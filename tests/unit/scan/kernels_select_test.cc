// Checks engine/scan/kernels_select: names, the environment and the text of the refusal.
// Single-threaded: it sets an environment variable.
// Part of unit_scan, which links that layer and what is below it, nothing above.
#include <stdlib.h>

#include <catch2/catch.hpp>
#include <string>

#include "engine/scan/cpu_scanner.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;

TEST_CASE("kernels: every usable name is found and generic is last", "[scan]") {
  const auto names = kernel_names();
  REQUIRE_FALSE(names.empty());
  CHECK(names.back() == "generic");
  for (const std::string_view name : names) {
    const auto table = choose_kernels(name);
    REQUIRE(table.ok());
    CHECK(kernel_name(**table) == name);
  }
}

TEST_CASE("kernels: without a name the environment decides, without that the best", "[scan]") {
  const char* before = ::getenv("VECSERVE_KERNELS");
  const std::string kept = before == nullptr ? "" : before;
  ::unsetenv("VECSERVE_KERNELS");
  CHECK(kernel_name(**choose_kernels("")) == kernel_names().front());
  ::setenv("VECSERVE_KERNELS", "generic", 1);
  CHECK(kernel_name(**choose_kernels("")) == "generic");
  CHECK(kernel_name(**choose_kernels(kernel_names().front())) == kernel_names().front());
  ::setenv("VECSERVE_KERNELS", "abacus", 1);
  CHECK_FALSE(choose_kernels("").ok());
  if (before == nullptr) {
    ::unsetenv("VECSERVE_KERNELS");
  } else {
    ::setenv("VECSERVE_KERNELS", kept.c_str(), 1);
  }
}

TEST_CASE("kernels: an unknown name is an error that lists the usable ones", "[scan]") {
  const Status status = choose_kernels("abacus").status();
  CHECK(status.code() == StatusCode::invalid_argument);
  CHECK(status.field() == "kernels");
  CHECK(status.message().find("abacus") != std::string::npos);
  for (const std::string_view name : kernel_names()) {
    CHECK(status.message().find(name) != std::string::npos);
  }
}

}  // namespace
