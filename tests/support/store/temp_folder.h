// A folder of one test's own, gone with everything in it at the end; and whole files read and
// written at once, to look at and to damage. One thread.
// Always holds: path() does not exist before the test makes it; root() does.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace vecserve::engine {

class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  [[nodiscard]] const std::filesystem::path& root() const { return root_; }
  [[nodiscard]] std::string path(const std::string& name = "db") const {
    return (root_ / name).string();
  }

 private:
  std::filesystem::path root_;
};

// What a file holds; and replacing it.
[[nodiscard]] std::string file_bytes(const std::filesystem::path& path);
void set_file_bytes(const std::filesystem::path& path, const std::string& bytes);

// The files of a folder whose names start and end like this, sorted.
[[nodiscard]] std::vector<std::filesystem::path> files_like(const std::filesystem::path& folder,
                                                            const std::string& start,
                                                            const std::string& end);

}  // namespace vecserve::engine
