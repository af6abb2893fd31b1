// What the harness programs share around their work: a folder that goes away, progress for people
// on standard error, and the report, as one JSON line or a readable list. Main thread. Always
// holds: with "--json -" standard output gets the JSON line and nothing else.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

namespace vecserve::test {

// A fresh folder, removed at the end unless somebody says keep(). `wanted` "" makes one under
// TMPDIR.
class ScratchFolder {
 public:
  ScratchFolder(const std::string& program, const std::string& wanted);
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }
  void keep() const { keep_ = true; }

 private:
  std::string path_;
  mutable bool keep_ = false;
};

// A line that rewrites itself on a terminal, and one line per tenth of the work elsewhere.
void show_progress(const char* program, std::uint64_t done, std::uint64_t total, std::uint64_t bad);

// `json`: "" for a list on standard output, "-" for one line there, else the file to append it to.
void print_report(const nlohmann::ordered_json& report, const std::string& json);

}  // namespace vecserve::test
