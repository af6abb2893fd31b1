// Hands out stretches of one large device allocation, so that nothing is allocated on the device
// while it serves. Comes below mirror. One thread at a time. Always holds: stretches that are out
// never overlap and begin at multiples of kAlignment; what was given back can be had again, joined
// with what is free beside it.
#pragma once

#include <cstddef>
#include <map>
#include <optional>

namespace vecserve::engine::gpu {

class PagePool {
 public:
  static constexpr std::size_t kAlignment = 256;

  explicit PagePool(std::size_t bytes);

  // The offset of a stretch of at least so many bytes, the first that fits; nothing when none does.
  // May throw std::bad_alloc.
  [[nodiscard]] std::optional<std::size_t> take(std::size_t bytes);
  // The same from the end of the last stretch that fits.
  [[nodiscard]] std::optional<std::size_t> take_last(std::size_t bytes);
  // What either gave for that many bytes.
  void give_back(std::size_t offset, std::size_t bytes);
  [[nodiscard]] std::size_t used() const { return used_; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  std::size_t bytes_;
  std::size_t used_ = 0;
  std::map<std::size_t, std::size_t> free_;  // offset to size; no two touch
};

}  // namespace vecserve::engine::gpu
