// See input_file.h.
// One buffer of our own in front of the C library, so that a line costs a search and a copy. One
// thread. Always holds: begin_ <= end_ <= kBufferBytes.
#include "tools/vecctl/input_file.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "tools/vecctl/row_reader.h"

namespace vecserve::vecctl {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 18;  // a read of this size costs no seek

Status failed(const std::string& path, const char* what) {
  const StatusCode code = errno == ENOENT ? StatusCode::not_found : StatusCode::io_error;
  return {code, path + ": " + what + ": " + std::strerror(errno)};
}

}  // namespace

InputFile::InputFile(std::string path, std::FILE* file, std::uint64_t size)
    : path_(std::move(path)),
      file_(file),
      buffer_(std::make_unique<char[]>(kBufferBytes)),
      size_(size) {
  std::setvbuf(file, nullptr, _IONBF, 0);
}

Result<InputFile> InputFile::open(const std::string& path) {
  if (path == "-") return InputFile("standard input", stdin, 0);
  std::FILE* const file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) return failed(path, "cannot be opened");
  struct stat about {};
  if (::fstat(::fileno(file), &about) != 0 || S_ISDIR(about.st_mode)) {
    std::fclose(file);
    return Status::invalid_argument("file", path + " is not a file");
  }
  const std::uint64_t size = S_ISREG(about.st_mode) ? static_cast<std::uint64_t>(about.st_size) : 0;
  return InputFile(path, file, size);
}

Status InputFile::read(void* to, std::size_t count) {
  auto* out = static_cast<char*>(to);
  while (count > 0) {
    if (begin_ == end_) {
      begin_ = 0;
      end_ = std::fread(buffer_.get(), 1, kBufferBytes, file_.get());
      if (end_ == 0) {
        if (std::ferror(file_.get()) != 0) return failed(path_, "cannot be read");
        return Status::invalid_argument(
            "file",
            path_ + " ends at byte " + std::to_string(position_) + ", in the middle of a row");
      }
    }
    const std::size_t part = std::min(count, end_ - begin_);
    std::memcpy(out, buffer_.get() + begin_, part);
    begin_ += part;
    position_ += part;
    out += part;
    count -= part;
  }
  return {};
}

Result<bool> InputFile::raw_line(std::string& text) {
  text.clear();
  while (true) {
    if (begin_ == end_) {
      begin_ = 0;
      end_ = std::fread(buffer_.get(), 1, kBufferBytes, file_.get());
      if (end_ == 0) {
        if (std::ferror(file_.get()) != 0) return failed(path_, "cannot be read");
        return !text.empty();
      }
    }
    const char* const from = buffer_.get() + begin_;
    const void* const found = std::memchr(from, '\n', end_ - begin_);
    const std::size_t part =
        found == nullptr ? end_ - begin_
                         : static_cast<std::size_t>(static_cast<const char*>(found) - from) + 1;
    if (text.size() + part > kLineBytesMax) {
      return Status::invalid_argument(
          "file", path_ + ": a line of more than 8 MiB near byte " + std::to_string(position_));
    }
    text.append(from, part);
    begin_ += part;
    position_ += part;
    if (found != nullptr) return true;
  }
}

Result<bool> InputFile::line(std::string& text) {
  Result<bool> more = raw_line(text);
  if (more.ok() && text.ends_with('\n')) text.pop_back();
  if (more.ok() && text.ends_with('\r')) text.pop_back();
  return more;
}

}  // namespace vecserve::vecctl
