// The newest commit, noted in place after each synced write: what the watermark, which costs an
// fsync and lags by up to a second, does not yet say. Written without a sync, so it survives a kill
// of the process but perhaps not a power loss, after which it may be older; it is never ahead of
// the log, which was synced before. Comes beside watermark; used by rocks_store, on the applying
// thread. Always holds: two slots written in turn, so that a torn one leaves the other; what cannot
// be read claims nothing, and what cannot be written costs detection, never a write.
#pragma once

#include <rocksdb/file_system.h>

#include <cstdint>
#include <memory>
#include <string>

namespace vecserve::engine {

inline constexpr char kTailName[] = "TAIL";

class TailMark {
 public:
  // Opens the file, or makes it. Without a file note() does nothing.
  void open(rocksdb::FileSystem& fs, const std::string& folder);
  void note(std::uint64_t commit_sequence);
  void close() { file_.reset(); }

 private:
  std::unique_ptr<rocksdb::FSRandomRWFile> file_;
  std::string slot_;  // being written
  std::uint64_t notes_ = 0;
};

// The newest commit noted in a folder; 0 when there is none to be read.
[[nodiscard]] std::uint64_t read_tail(rocksdb::FileSystem& fs, const std::string& folder);

}  // namespace vecserve::engine
