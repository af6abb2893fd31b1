// Shows on small samples that each line of the include tables lets the right edge pass and stops a
// wrong one. Comes beside tidy_test, which runs the same rule over the tree. Test thread only;
// touches no file. Always holds: a sample that must fire names the rule it fires.
#include "tests/tidy/layering.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

namespace vecserve::tidy {
namespace {

std::vector<Finding> judge(const std::string& path, const std::string& header) {
  std::vector<Finding> findings;
  const bool outside = !header.starts_with("engine/") && !header.starts_with("vecserve/") &&
                       !header.starts_with("net/") && !header.starts_with("tests/");
  const std::string quoted = outside ? "<" + header + ">" : "\"" + header + "\"";
  check_includes(make_source(path, "// A sample.\n#include " + quoted + "\n"), findings);
  return findings;
}

bool passes(const std::string& path, const std::string& header) {
  CAPTURE(path, header);
  return judge(path, header).empty();
}

}  // namespace

TEST_CASE("layering: a layer may include itself and those below", "[tidy]") {
  CHECK(passes("engine/base/a.h", "vecserve/types.h"));
  CHECK(passes("engine/rows/a.cc", "engine/base/check.h"));
  CHECK(passes("engine/scan/a.cc", "engine/rows/row_block.h"));
  CHECK(passes("engine/payload/a.cc", "engine/base/limits.h"));
  CHECK(passes("engine/store/a.cc", "engine/base/coding.h"));
  CHECK(passes("engine/collection.cc", "engine/store/store.h"));
  CHECK(passes("engine/collection.cc", "engine/plan.h"));
  CHECK(passes("net/frame.cc", "engine/base/coding.h"));
  CHECK(passes("tools/vecserve/main.cc", "net/server.h"));
  CHECK(passes("tools/bench/bench_scan.cc", "engine/scan/scanner.h"));
  CHECK(passes("examples/quickstart.cc", "vecserve/vecserve.h"));
  CHECK(passes("tests/unit/scan/topk_test.cc", "engine/scan/topk.h"));
}

TEST_CASE("layering: an edge upwards or sideways is found", "[tidy]") {
  CHECK_FALSE(passes("include/vecserve/types.h", "engine/base/check.h"));
  CHECK_FALSE(passes("engine/base/a.h", "engine/rows/row_block.h"));
  CHECK_FALSE(passes("engine/rows/a.h", "engine/scan/topk.h"));
  CHECK_FALSE(passes("engine/scan/a.h", "engine/gpu/device.h"));
  CHECK_FALSE(passes("engine/scan/a.h", "engine/collection.h"));
  CHECK_FALSE(passes("engine/payload/a.h", "engine/store/store.h"));
  CHECK_FALSE(passes("engine/store/a.h", "engine/scan/topk.h"));
  CHECK_FALSE(passes("net/lane.cc", "engine/collection.h"));
  CHECK_FALSE(passes("tools/vecctl/main.cc", "engine/scan/topk.h"));
  CHECK_FALSE(passes("examples/quickstart.cc", "engine/base/check.h"));
  CHECK_FALSE(passes("engine/base/a.cc", "tests/support/data.h"));
  CHECK_FALSE(passes("somewhere/else.cc", "engine/base/check.h"));
}

TEST_CASE("layering: each third-party name has its one place", "[tidy]") {
  CHECK(passes("engine/store/rocks_store.cc", "rocksdb/db.h"));
  CHECK(passes("tests/support/store/fault.cc", "rocksdb/env.h"));
  CHECK_FALSE(passes("engine/collection.cc", "rocksdb/db.h"));
  CHECK_FALSE(passes("tests/support/data.cc", "rocksdb/db.h"));
  CHECK(passes("engine/scan/kernels_highway.cc", "hwy/highway.h"));
  CHECK_FALSE(passes("engine/rows/row_block.cc", "hwy/highway.h"));
  CHECK_FALSE(passes("tools/bench/bench_scan.cc", "catch2/catch.hpp"));
  CHECK_FALSE(passes("engine/rows/row_block.cc", "xxhash.h"));
  CHECK(passes("engine/payload/document.cc", "simdjson.h"));
  CHECK_FALSE(passes("engine/payload/document.cc", "nlohmann/json.hpp"));
  CHECK_FALSE(passes("engine/store/record.cc", "nlohmann/json.hpp"));
  CHECK_FALSE(passes("net/frame.cc", "asio.hpp"));
  CHECK_FALSE(passes("engine/scan/scanner.h", "cuda_runtime.h"));
}

TEST_CASE("layering: public headers and examples know the standard library only", "[tidy]") {
  CHECK(passes("include/vecserve/types.h", "vector"));
  CHECK_FALSE(passes("include/vecserve/types.h", "unistd.h"));
  CHECK_FALSE(passes("examples/quickstart.cc", "sys/stat.h"));
  CHECK(passes("engine/store/durable_file.cc", "sys/stat.h"));
}

TEST_CASE("layering: a header that no table knows is found", "[tidy]") {
  CHECK_FALSE(passes("engine/base/a.cc", "boost/asio.hpp"));
  CHECK_FALSE(passes("engine/base/a.cc", "mystery.h"));
}

TEST_CASE("layering: a file of one instruction set shares nothing inline", "[tidy]") {
  CHECK(passes("engine/scan/kernels_avx2.cc", "immintrin.h"));
  CHECK(passes("engine/scan/kernels_avx2.cc", "engine/scan/kernels.h"));
  CHECK_FALSE(passes("engine/scan/kernels_avx2.cc", "vector"));
}

TEST_CASE("layering: an include in a comment is no include", "[tidy]") {
  std::vector<Finding> findings;
  check_includes(
      make_source("engine/base/a.h", "// #include \"net/frame.h\"\n/*\n#include <x.h>\n*/"),
      findings);
  CHECK(findings.empty());
}

}  // namespace vecserve::tidy
