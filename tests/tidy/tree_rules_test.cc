// Shows on small samples that each rule about the whole tree fires where it must and is silent
// where it must be. Comes beside tidy_test, which runs the same rules over the tree. Test thread
// only; touches no file. Always holds: every sample tree is a list of paths with empty files.
#include "tests/tidy/tree_rules.h"

#include <catch2/catch.hpp>
#include <initializer_list>
#include <string>
#include <vector>

namespace vecserve::tidy {
namespace {

std::vector<Source> tree(std::initializer_list<const char*> paths) {
  std::vector<Source> sources;
  for (const char* path : paths) sources.push_back(make_source(path, ""));
  return sources;
}

std::size_t untested(std::initializer_list<const char*> paths) {
  std::vector<Finding> findings;
  check_tested(tree(paths), findings);
  return findings.size();
}

bool built(const char* path) {
  std::vector<Finding> findings;
  check_built(tree({path}), findings);
  return findings.empty();
}

}  // namespace

TEST_CASE("tested: a source without its test is found", "[tidy]") {
  CHECK(untested({"engine/rows/row_block.cc"}) == 1);
  CHECK(untested({"net/frame.cc", "tests/unit/net/request_test.cc"}) == 1);
  CHECK(untested({"engine/rows/row_block.cc", "tests/unit/rows/row_block_test.cc"}) == 0);
  CHECK(untested({"engine/rows/row_block.h", "tools/a/main.cc"}) == 0);
}

TEST_CASE("tested: kernel tables share a test, and off files need none", "[tidy]") {
  CHECK(untested({"engine/scan/kernels_avx2.cc"}) == 1);
  CHECK(untested({"engine/scan/kernels_avx2.cc", "tests/conformance/kernels_test.cc"}) == 0);
  CHECK(untested({"engine/gpu/gpu_scanner_off.cc"}) == 0);
}

TEST_CASE("built: a test outside the folders that are built is found", "[tidy]") {
  CHECK(built("tests/unit/base/check_test.cc"));
  CHECK(built("tests/system/model_test.cc"));
  CHECK(built("tests/support/store/fault.cc"));
  CHECK_FALSE(built("tests/unit/check_test.cc"));
  CHECK_FALSE(built("tests/unit/base/deep/check_test.cc"));
  CHECK_FALSE(built("tests/unit/base/check.cc"));
  CHECK_FALSE(built("tests/conformance/helpers.cc"));
}

TEST_CASE("paths: the checkout and home folders are found", "[tidy]") {
  std::vector<Finding> findings;
  check_paths(make_source("a.md", "see /some/checkout/file\n"), "/some/checkout", findings);
  CHECK(findings.size() == 1);
  const std::string home = "/ho" + std::string("me/");
  check_paths(make_source("a.md", "see " + home + "me\n"), "/some/checkout", findings);
  CHECK(findings.size() == 2);
  check_paths(make_source("a.md", "see /usr/lib and /src/a\n"), "/src", findings);
  CHECK(findings.size() == 2);
}

TEST_CASE("top: only what the design names, dot files and build trees", "[tidy]") {
  std::vector<Finding> findings;
  check_top({"engine", "README.md", ".ci", "build-asan", "run"}, findings);
  CHECK(findings.empty());
  check_top({"scripts", "docs"}, findings);
  CHECK(findings.size() == 2);
}

TEST_CASE("finding: reads as file, line, rule and text", "[tidy]") {
  CHECK(to_string(Finding{"a/b.cc", 7, "banned", "why"}) == "a/b.cc:7: banned: why");
}

}  // namespace vecserve::tidy
