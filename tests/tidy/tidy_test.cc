// Runs every rule of the house over the tree it was built from and fails with one line per finding:
// "file:line: rule: text". Comes last, after source and the rules; test thread only. Invariant: an
// empty list of files is a failure, so that a wrong folder cannot pass.
#include <catch2/catch.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/tidy/code_rules.h"
#include "tests/tidy/layering.h"
#include "tests/tidy/source.h"
#include "tests/tidy/tree_rules.h"

namespace vecserve::tidy {
namespace {

const std::filesystem::path& top() {
  static const std::filesystem::path path = VECSERVE_SOURCE_DIR;
  return path;
}

const std::vector<Source>& code() {
  static const std::vector<Source> sources = read_code(top());
  return sources;
}

std::string report(const std::vector<Finding>& findings) {
  std::string text;
  for (const Finding& finding : findings) text += "\n" + to_string(finding);
  return text;
}

void expect_none(const std::vector<Finding>& findings) {
  INFO(findings.size() << " findings:" << report(findings));
  CHECK(findings.empty());
}

}  // namespace

TEST_CASE("tidy: the tree was found", "[tidy]") {
  REQUIRE(code().size() > 10);
  REQUIRE(read_texts(top()).size() > 5);
}

TEST_CASE("tidy: every include follows the layers", "[tidy]") {
  std::vector<Finding> findings;
  for (const Source& source : code()) check_includes(source, findings);
  expect_none(findings);
}

TEST_CASE("tidy: every file opens with its comment", "[tidy]") {
  std::vector<Finding> findings;
  for (const Source& source : code()) check_opening(source, findings);
  expect_none(findings);
}

TEST_CASE("tidy: lines, files and functions keep their sizes", "[tidy]") {
  std::vector<Finding> findings;
  for (const Source& source : code()) check_sizes(source, findings);
  expect_none(findings);
}

TEST_CASE("tidy: nothing banned is called", "[tidy]") {
  std::vector<Finding> findings;
  for (const Source& source : code()) check_banned(source, findings);
  expect_none(findings);
}

TEST_CASE("tidy: nothing is left unfinished", "[tidy]") {
  std::vector<Finding> findings;
  for (const Source& source : code()) check_finished(source, findings);
  for (const Source& source : read_texts(top())) check_finished(source, findings);
  expect_none(findings);
}

TEST_CASE("tidy: every source has its test, and every test is built", "[tidy]") {
  std::vector<Finding> findings;
  check_tested(code(), findings);
  check_built(code(), findings);
  expect_none(findings);
}

TEST_CASE("tidy: no text knows the machine it was written on", "[tidy]") {
  std::vector<Finding> findings;
  for (const Source& source : code()) check_paths(source, top().string(), findings);
  for (const Source& source : read_texts(top())) check_paths(source, top().string(), findings);
  expect_none(findings);
}

TEST_CASE("tidy: the top holds what the design names", "[tidy]") {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(top())) {
    names.push_back(entry.path().filename().string());
  }
  std::vector<Finding> findings;
  check_top(names, findings);
  expect_none(findings);
}

}  // namespace vecserve::tidy
