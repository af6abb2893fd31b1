// A file read front to back: exact runs of bytes for binary formats, lines for text. Comes below
// the readers; one thread. No exception and no partial answer: a run is there whole or is an error.
// Always holds: a line is at most kLineBytesMax bytes, whatever the file holds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

#include "vecserve/status.h"

namespace vecserve::vecctl {

class InputFile {
 public:
  // A regular file, or "-" for standard input (whose size is 0, "not known").
  [[nodiscard]] static Result<InputFile> open(const std::string& path);

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::uint64_t size() const { return size_; }
  [[nodiscard]] std::uint64_t position() const { return position_; }

  // Exactly `count` bytes; invalid_argument when the file ends before.
  [[nodiscard]] Status read(void* to, std::size_t count);
  // The next line without its end ("\n" or "\r\n"); false at the end of the file.
  [[nodiscard]] Result<bool> line(std::string& text);
  // As line(), but keeps the end of the line in `text`.
  [[nodiscard]] Result<bool> raw_line(std::string& text);

 private:
  struct Closer {
    void operator()(std::FILE* file) const {
      if (file != stdin) std::fclose(file);
    }
  };
  InputFile(std::string path, std::FILE* file, std::uint64_t size);

  std::string path_;
  std::unique_ptr<std::FILE, Closer> file_;
  std::unique_ptr<char[]> buffer_;  // what is read ahead for lines
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::uint64_t size_ = 0;
  std::uint64_t position_ = 0;
};

}  // namespace vecserve::vecctl
