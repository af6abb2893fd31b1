// See cache.h. A run: 16 bytes of head, then for each chunk its length, a checksum and its bytes,
// at the end a length of zero; FORMAT.md has the offsets. One thread at a time. Always holds: each
// checksum is seeded with the one before, so that chunks that are missing, come twice, or belong to
// another run show like damaged ones.
#include "engine/store/cache.h"

#include <algorithm>
#include <utility>

#include "engine/base/coding.h"
#include "engine/store/checksum.h"

namespace vecserve::engine {
namespace {

constexpr std::string_view kMagic = "VECSCACH";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kHeadBytes = 16;
constexpr std::size_t kFrameBytes = 12;
// Memory is taken as bytes come, not as a length says.
constexpr std::size_t kFillBytes = std::size_t{256} << 10;

std::string head_of(std::uint32_t collection) {
  std::string head(kMagic);
  put_fixed(head, kVersion);
  put_fixed(head, collection);
  return head;
}

Status damaged(const char* what) {
  return {StatusCode::data_loss, std::string("the cache of a collection ") + what};
}

}  // namespace

CacheWriter::CacheWriter(CacheSink sink, std::uint32_t collection)
    : sink_(std::move(sink)), collection_(collection) {}

Status CacheWriter::put(std::string_view chunk) {
  frame_.clear();
  if (!begun_) {
    frame_ = head_of(collection_);
    chain_ = checksum(frame_);
    begun_ = true;
  }
  chain_ = checksum(chunk, chain_);
  put_fixed(frame_, static_cast<std::uint32_t>(chunk.size()));
  put_fixed(frame_, chain_);
  VECSERVE_TRY(sink_.append(frame_));
  return chunk.empty() ? Status() : sink_.append(chunk);
}

Status CacheWriter::append(std::string_view chunk) {
  if (chunk.empty() || chunk.size() > kCacheChunkMax) {
    return {StatusCode::internal, "a cache chunk of " + std::to_string(chunk.size()) + " bytes"};
  }
  return put(chunk);
}

Status CacheWriter::finish() {
  VECSERVE_TRY(put({}));
  return sink_.finish();
}

CacheReader::CacheReader(CacheSource source, std::uint32_t collection)
    : source_(std::move(source)), collection_(collection) {}

Status CacheReader::fill(std::size_t bytes) {
  chunk_.clear();
  while (chunk_.size() < bytes) {
    const std::size_t held = chunk_.size();
    const std::size_t wanted = std::min(bytes - held, kFillBytes);
    chunk_.resize(held + wanted);
    const Result<std::size_t> got = source_({chunk_.data() + held, wanted});
    VECSERVE_TRY(got.status());
    if (*got != wanted) {
      chunk_.resize(held + std::min(*got, wanted));
      return damaged("ends too early");
    }
  }
  return {};
}

Result<std::string_view> CacheReader::next() {
  if (ended_) return std::string_view();
  if (!begun_) {
    VECSERVE_TRY(fill(kHeadBytes));
    if (chunk_ != head_of(collection_)) return damaged("begins with something else");
    chain_ = checksum(chunk_);
    begun_ = true;
  }
  VECSERVE_TRY(fill(kFrameBytes));
  ByteReader frame(chunk_);
  std::uint32_t bytes = 0;
  std::uint64_t sum = 0;
  if (!frame.fixed(bytes) || !frame.fixed(sum) || bytes > kCacheChunkMax) {
    return damaged("has a chunk of an impossible length");
  }
  VECSERVE_TRY(fill(bytes));
  chain_ = checksum(chunk_, chain_);
  if (chain_ != sum) return damaged("has a damaged chunk");
  if (bytes > 0) return std::string_view(chunk_);
  ended_ = true;
  char more = 0;
  const Result<std::size_t> got = source_({&more, 1});
  VECSERVE_TRY(got.status());
  if (*got != 0) return damaged("goes on behind its end");
  return std::string_view();
}

std::uint32_t fingerprint(std::uint64_t slot, std::string_view vector) {
  return static_cast<std::uint32_t>(checksum(vector, slot));
}

}  // namespace vecserve::engine
