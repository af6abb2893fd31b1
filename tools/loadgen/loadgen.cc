// The load generator: sends requests at planned times, whether or not earlier ones came back, and
// says what the tail looks like and whether that may be believed. A program; the main thread sends
// or waits for the thread that does. Always holds: standard output carries nothing but the report.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <new>

#include "tools/loadgen/commands.h"

namespace {

// For the check that sending allocates nothing.
thread_local std::uint64_t allocations = 0;

void* counted(std::size_t bytes) {
  ++allocations;
  void* const memory = std::malloc(bytes == 0 ? 1 : bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

// Not inlined, or the compiler takes malloc and delete for a mismatched pair.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  return counted(bytes);
}
[[gnu::noinline]] void* operator new[](std::size_t bytes) {
  return counted(bytes);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete[](void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete[](void* memory, std::size_t) noexcept {
  std::free(memory);
}

int main(int argc, char** argv) {
  using namespace vecserve::loadgen;
  CLI::App app("loadgen: open-loop load, and the truth about its latencies");
  Settings settings;
  add_flags(app, settings);
  CLI11_PARSE(app, argc, argv);
  settings.allocations = [] { return allocations; };
  try {
    return run_command(settings);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "loadgen: %s\n", error.what());
    return 1;
  }
}
