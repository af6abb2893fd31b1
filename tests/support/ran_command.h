// Runs a command of vecctl as the program does, and keeps what it said. For the tests of
// tools/vecctl; header only, the test's thread. Always holds: `out` is all that was printed,
// without what is for people who wait.
#pragma once

#include <catch2/catch.hpp>
#include <cstdio>
#include <memory>
#include <string>

#include "tools/vecctl/commands.h"

namespace vecserve::test {

struct Ran {
  Status status;
  std::string out;
};

inline Ran run_quietly(vecctl::Arguments arguments) {
  arguments.quiet = true;
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::tmpfile(), std::fclose);
  REQUIRE(file != nullptr);
  Ran ran;
  ran.status = vecctl::run_command(arguments, file.get());
  ran.out.resize(static_cast<std::size_t>(std::ftell(file.get())));
  std::rewind(file.get());
  REQUIRE(std::fread(ran.out.data(), 1, ran.out.size(), file.get()) == ran.out.size());
  return ran;
}

}  // namespace vecserve::test
