// The README's embed example is the program in examples/, which is built and run: what a newcomer
// copies is what was tested. Part of the tidy test; reads two files of the tree.
// Always holds: comparing starts behind the example's header comment.
#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>
#include <string>

namespace {

std::string read_file(const std::string& name) {
  std::ifstream file(std::string(VECSERVE_SOURCE_DIR) + "/" + name);
  REQUIRE(file.is_open());
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace

TEST_CASE("readme: its embed example is examples/embed_ten_lines.cc", "[tidy]") {
  const std::string readme = read_file("README.md");
  const std::string program = read_file("examples/embed_ten_lines.cc");
  const std::string fence = "```cpp\n";
  const std::size_t begin = readme.find(fence);
  REQUIRE(begin != std::string::npos);
  const std::size_t end = readme.find("```", begin + fence.size());
  REQUIRE(end != std::string::npos);
  const std::string shown = readme.substr(begin + fence.size(), end - begin - fence.size());
  CHECK(shown == program.substr(program.find("#include")));
}

TEST_CASE("readme: its two commands are commands of ./run", "[tidy]") {
  const std::string readme = read_file("README.md");
  const std::string script = read_file("run");
  CHECK(readme.find("\n    ./run  ") != std::string::npos);
  CHECK(readme.find("\n    ./run test ") != std::string::npos);
  CHECK(script.find("command_main()") != std::string::npos);
  CHECK(script.find("command_test()") != std::string::npos);
}
