// Shows on small samples that each rule about a single file fires where it must and is silent where
// it must be. Comes beside tidy_test, which runs the same rules over the tree. Test thread only;
// touches no file. Always holds: what a rule may not see (comments, literals) is part of the
// samples.
#include "tests/tidy/code_rules.h"

#include <catch2/catch.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "tests/tidy/functions.h"

namespace vecserve::tidy {
namespace {

using Rule = void (*)(const Source&, std::vector<Finding>&);

std::vector<Finding> apply(Rule rule, const std::string& path, std::string_view text) {
  std::vector<Finding> findings;
  rule(make_source(path, text), findings);
  return findings;
}

bool fires(Rule rule, const std::string& path, std::string_view text) {
  CAPTURE(path, text);
  return !apply(rule, path, text).empty();
}

std::string repeat(const std::string& text, int count) {
  std::string all;
  for (int i = 0; i < count; ++i) all += text;
  return all;
}

}  // namespace

TEST_CASE("source: comments and literals are blanked, code stays", "[tidy]") {
  const Source source = make_source(
      "a.cc", "int a = 1'000;  // b\nauto c = \"d // e\"; char f = '\"';\n/* g\nh */ int i;\n");
  REQUIRE(source.code.size() == 4);
  CHECK(source.code[0] == "int a = 1'000;      ");
  CHECK(source.code[1] == "auto c =         ; char f =    ;");
  CHECK(source.code[2] == "    ");
  CHECK(source.code[3] == "     int i;");
  const Source raw = make_source("a.cc", "auto a = R\"x(b\n\")c)x\"; int d;");
  CHECK(raw.code[1].find("int d;") != std::string::npos);
  CHECK(raw.code[1].find('c') == std::string::npos);
}

TEST_CASE("opening: three lines of comment, and #pragma once in headers", "[tidy]") {
  CHECK_FALSE(fires(check_opening, "a.cc", "// a\n// b\n// c\nint x;\n"));
  CHECK(fires(check_opening, "a.cc", "// a\n// b\nint x;\n"));
  CHECK(fires(check_opening, "a.cc", "int x;\n// a\n// b\n// c\n"));
  CHECK_FALSE(fires(check_opening, "a.h", "// a\n// b\n// c\n#pragma once\n"));
  CHECK(fires(check_opening, "a.h", "// a\n// b\n// c\n"));
}

TEST_CASE("sizes: long lines and long files are found", "[tidy]") {
  CHECK_FALSE(fires(check_sizes, "a.cc", std::string(100, 'a')));
  CHECK(fires(check_sizes, "a.cc", std::string(101, 'a')));
  CHECK_FALSE(fires(check_sizes, "a.cc", "// " + repeat("\xC3\xA9", 97)));
  CHECK_FALSE(fires(check_sizes, "a.cc", repeat("int a;\n", 500)));
  CHECK(fires(check_sizes, "a.cc", repeat("int a;\n", 501)));
}

TEST_CASE("sizes: a function of more than 70 lines is found", "[tidy]") {
  const std::string at_limit = "void f() {\n" + repeat("  g();\n", 68) + "}\n";
  const std::string above = "void f() {\n" + repeat("  g();\n", 69) + "}\n";
  CHECK_FALSE(fires(check_sizes, "a.cc", at_limit));
  CHECK(fires(check_sizes, "a.cc", above));
  CHECK(fires(check_sizes, "a.cc", "namespace a {\nclass B {\n public:\n" + above + "};\n}\n"));
  CHECK(
      fires(check_sizes, "a.cc", "TEST_CASE(\"a\", \"[b]\") {\n" + repeat("  g();\n", 69) + "}\n"));
}

TEST_CASE("sizes: types, tables and namespaces are no functions", "[tidy]") {
  const std::string body = repeat("  int a;\n", 90);
  CHECK_FALSE(fires(check_sizes, "a.cc", "struct A {\n" + body + "};\n"));
  CHECK_FALSE(fires(check_sizes, "a.cc", "struct alignas(64) A {\n" + body + "};\n"));
  CHECK_FALSE(fires(check_sizes, "a.cc", "namespace a {\n" + body + "}\n"));
  CHECK_FALSE(fires(check_sizes, "a.cc", "extern \"C\" {\n" + body + "}\n"));
  CHECK_FALSE(fires(check_sizes, "a.cc", "constexpr int a[] = {\n" + repeat("1,\n", 90) + "};\n"));
}

TEST_CASE("functions: member initialisers belong to their constructor", "[tidy]") {
  const auto found = functions_of(make_source(
      "a.cc", "A::A()\n    : a_{1},\n      b_{2} {\n  f();\n}\n\nint g() { return 1; }\n"));
  REQUIRE(found.size() == 2);
  CHECK(found[0].first_line == 1);
  CHECK(found[0].last_line == 5);
  CHECK(found[1].first_line == 7);
  CHECK(found[1].last_line == 7);
}

TEST_CASE("banned: the product neither prints, ends, throws nor sleeps", "[tidy]") {
  for (const char* text :
       {"printf(a);", "std::fprintf(stderr, a);", "std::cout << a;", "std::cerr << a;", "abort();",
        "std::exit(1);", "std::terminate();", "throw a;", "assert(a);", "std::rand();",
        "thread.detach();", "std::this_thread::sleep_for(a);", "usleep(1);"}) {
    CHECK(fires(check_banned, "engine/a.cc", text));
    CHECK(fires(check_banned, "net/a.cc", text));
    CHECK(fires(check_banned, "include/vecserve/a.h", text));
  }
}

TEST_CASE("banned: what only looks like a banned call passes", "[tidy]") {
  for (const char* text :
       {"// throw a", "f(\"abort()\");", "static_assert(a);", "std::snprintf(a);", "int exits = 1;",
        "transaction.abort();", "store->exit();", "throw std::bad_alloc();", "throw;"}) {
    CHECK_FALSE(fires(check_banned, "engine/a.cc", text));
  }
  CHECK_FALSE(fires(check_banned, "engine/base/check.h", "std::fputs(a, stderr);"));
  CHECK_FALSE(fires(check_banned, "tools/a/a.cc", "std::cout << a;"));
}

TEST_CASE("banned: tests do not sleep, but may print", "[tidy]") {
  CHECK(fires(check_banned, "tests/system/a_test.cc", "std::this_thread::sleep_for(a);"));
  CHECK(fires(check_banned, "tests/programs/a.cc", "::nanosleep(a, b);"));
  CHECK_FALSE(fires(check_banned, "tests/unit/base/a_test.cc", "std::cout << a;"));
}

TEST_CASE("unfinished: each word is found in code and in comments", "[tidy]") {
  for (const std::string backwards : {"ODOT", "EMXIF", "KCAH", "redlohecalp", "won rof"}) {
    const std::string word(backwards.rbegin(), backwards.rend());
    CHECK(fires(check_finished, "a.cc", "int a;  // " + word + ": later"));
  }
  CHECK(fires(check_finished, "a.cc", "int a;  // " + std::string(3, 'X')));
  CHECK_FALSE(fires(check_finished, "a.cc", "f(\"a_" + std::string(6, 'X') + "\");"));
  CHECK_FALSE(fires(check_finished, "a.md", "a for nowhere, shackled"));
}

}  // namespace vecserve::tidy
