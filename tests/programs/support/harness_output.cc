// The folder, the progress line and the report of the harness programs. Main thread. Always holds:
// a folder that existed before is never removed, only the one made inside it. Standard output is
// written only by print_report.
#include "tests/programs/support/harness_output.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <stdexcept>

namespace vecserve::test {

ScratchFolder::ScratchFolder(const std::string& program, const std::string& wanted) {
  std::string pattern =
      (wanted.empty() ? std::filesystem::temp_directory_path().string() : wanted) + "/" + program +
      "-XXXXXX";
  if (!wanted.empty()) std::filesystem::create_directories(wanted);
  if (mkdtemp(pattern.data()) == nullptr) {
    throw std::runtime_error("cannot make a folder at " + pattern);
  }
  path_ = pattern;
}

ScratchFolder::~ScratchFolder() {
  if (keep_) return;
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void show_progress(const char* program, std::uint64_t done, std::uint64_t total,
                   std::uint64_t bad) {
  const bool terminal = isatty(STDERR_FILENO) != 0;
  const std::uint64_t tenth = total < 10 ? 1 : total / 10;
  if (!terminal && done % tenth != 0 && done != total) return;
  std::fprintf(stderr, "%s%s: %llu of %llu, %llu bad%s", terminal ? "\r" : "", program,
               static_cast<unsigned long long>(done), static_cast<unsigned long long>(total),
               static_cast<unsigned long long>(bad), terminal && done != total ? "" : "\n");
}

void print_report(const nlohmann::ordered_json& report, const std::string& json) {
  if (json.empty()) {
    for (const auto& [name, value] : report.items()) {
      std::cout << name << ": " << value.dump() << '\n';
    }
  } else if (json == "-") {
    std::cout << report.dump() << std::endl;
  } else {
    std::ofstream(json, std::ios::app) << report.dump() << '\n';
  }
}

}  // namespace vecserve::test
