// See tail_mark.h. A slot is 32 bytes: magic, commit sequence, a zero, and a checksum of the 24
// bytes before it; FORMAT.md has the offsets. The applying thread. Always holds: a slot whose
// checksum does not fit is as good as none.
#include "engine/store/tail_mark.h"

#include <algorithm>
#include <string_view>

#include "engine/base/coding.h"
#include "engine/store/checksum.h"
#include "engine/store/folder.h"

namespace vecserve::engine {
namespace {

constexpr std::string_view kMagic = "VECSTAIL";
constexpr std::size_t kSlotBytes = 32;
constexpr std::size_t kSlots = 2;
constexpr std::size_t kFileBytes = kSlotBytes * kSlots;

void encode_slot(std::uint64_t commit_sequence, std::string& slot) {
  slot.assign(kMagic);
  put_fixed(slot, commit_sequence);
  put_fixed(slot, std::uint64_t{0});
  put_fixed(slot, checksum(slot));
}

// 0 when it is no slot.
std::uint64_t decode_slot(std::string_view slot) {
  ByteReader in(slot.substr(std::min(slot.size(), kMagic.size())));
  std::uint64_t commit_sequence = 0;
  if (slot.size() != kSlotBytes || !in.fixed(commit_sequence)) return 0;
  std::string expected;
  encode_slot(commit_sequence, expected);
  return expected == slot ? commit_sequence : 0;
}

}  // namespace

void TailMark::open(rocksdb::FileSystem& fs, const std::string& folder) {
  const std::string path = folder + "/" + kTailName;
  const rocksdb::FileOptions options;
  slot_.reserve(kSlotBytes);
  if (!fs.FileExists(path, rocksdb::IOOptions(), nullptr).ok() &&
      !write_file(fs, folder, kTailName, std::string(kFileBytes, '\0')).ok()) {
    return;
  }
  if (!fs.NewRandomRWFile(path, options, &file_, nullptr).ok()) file_.reset();
}

void TailMark::note(std::uint64_t commit_sequence) {
  if (file_ == nullptr) return;
  encode_slot(commit_sequence, slot_);  // within what open() reserved: a note must not throw
  const std::uint64_t offset = notes_++ % kSlots * kSlotBytes;
  const rocksdb::IOStatus written = file_->Write(offset, slot_, rocksdb::IOOptions(), nullptr);
  if (!written.ok()) file_.reset();  // an old note stays true
}

std::uint64_t read_tail(rocksdb::FileSystem& fs, const std::string& folder) {
  const auto bytes = read_file(fs, folder + "/" + kTailName, kFileBytes);
  if (!bytes.ok() || bytes->size() != kFileBytes) return 0;
  const std::string_view view(*bytes);
  return std::max(decode_slot(view.substr(0, kSlotBytes)), decode_slot(view.substr(kSlotBytes)));
}

}  // namespace vecserve::engine
