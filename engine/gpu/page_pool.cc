// See page_pool.h.
// Pure bookkeeping of host memory; called under the mirror's lock. Always holds: the sizes of free_
// and what is out add up to bytes().
#include "engine/gpu/page_pool.h"

#include <iterator>

namespace vecserve::engine::gpu {

namespace {

// 0 of nothing, and of so much that it cannot be rounded.
std::size_t rounded(std::size_t bytes) {
  return (bytes + PagePool::kAlignment - 1) / PagePool::kAlignment * PagePool::kAlignment;
}

}  // namespace

PagePool::PagePool(std::size_t bytes) : bytes_(bytes / kAlignment * kAlignment) {
  if (bytes_ != 0) free_[0] = bytes_;
}

std::optional<std::size_t> PagePool::take(std::size_t bytes) {
  const std::size_t size = rounded(bytes);
  if (size == 0) return std::nullopt;
  for (auto at = free_.begin(); at != free_.end(); ++at) {
    if (at->second < size) continue;
    const std::size_t offset = at->first;
    const std::size_t left = at->second - size;
    if (left != 0) free_.emplace_hint(std::next(at), offset + size, left);
    free_.erase(at);
    used_ += size;
    return offset;
  }
  return std::nullopt;
}

std::optional<std::size_t> PagePool::take_last(std::size_t bytes) {
  const std::size_t size = rounded(bytes);
  if (size == 0) return std::nullopt;
  for (auto at = free_.rbegin(); at != free_.rend(); ++at) {
    if (at->second < size) continue;
    at->second -= size;
    const std::size_t offset = at->first + at->second;
    if (at->second == 0) free_.erase(std::next(at).base());
    used_ += size;
    return offset;
  }
  return std::nullopt;
}

void PagePool::give_back(std::size_t offset, std::size_t bytes) {
  std::size_t size = rounded(bytes);
  used_ -= size;
  auto next = free_.lower_bound(offset);
  if (next != free_.end() && offset + size == next->first) {
    size += next->second;
    next = free_.erase(next);
  }
  if (next != free_.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second == offset) {
      before->second += size;
      return;
    }
  }
  free_.emplace_hint(next, offset, size);
}

}  // namespace vecserve::engine::gpu
