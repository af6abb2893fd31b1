// The flags and files that all tools with load share: each flag lands in its place, an empty path
// writes nothing, lines of JSON are added, and what cannot be written is said by name. Main thread;
// files in a folder of the test's own.
#include "tools/loadgen/run_files.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/support/temporary_folder.h"

using namespace vecserve;
using namespace vecserve::loadgen;

namespace {

std::string text_of(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

}  // namespace

TEST_CASE("run files: each flag names its file") {
  CLI::App app;
  RunFiles files;
  add_file_flags(app, files);
  app.parse("--json a --csv b --hgrm c --hlog d --svg e --html f");
  CHECK(files.json == "a");
  CHECK(files.csv == "b");
  CHECK(files.hgrm == "c");
  CHECK(files.hlog == "d");
  CHECK(files.svg == "e");
  CHECK(files.html == "f");
}

TEST_CASE("run files: JSON is added line by line, other files begin anew") {
  const test::TemporaryFolder folder;
  const std::string json = folder.at("lines.json"), other = folder.at("other");
  append_json("", {{"n", 0}});
  append_json(json, {{"n", 1}});
  append_json(json, {{"n", 2}});
  CHECK(text_of(json) == "{\"n\":1}\n{\"n\":2}\n");
  write_to(other, [](std::ostream& out) { out << "first, and longer"; });
  write_to(other, [](std::ostream& out) { out << "second"; });
  CHECK(text_of(other) == "second");
  write_to("", [](std::ostream&) { FAIL("an empty path was written to"); });
}

TEST_CASE("run files: what cannot be written is said by name") {
  const test::TemporaryFolder folder;
  const std::string nowhere = folder.at("none/file");
  CHECK_THROWS_WITH(write_to(nowhere, [](std::ostream& out) { out << 1; }),
                    Catch::Contains(nowhere));
  CHECK_THROWS_WITH(append_json(nowhere, {{"n", 1}}), Catch::Contains(nowhere));
}
