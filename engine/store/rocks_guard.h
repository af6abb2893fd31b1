// Turns exceptions into statuses at the border of the stores: RocksDB does not throw, but strings,
// vectors and threads may. Any thread.
// Always holds: what is called inside leaves no exception behind.
#pragma once

#include <exception>
#include <new>
#include <utility>

#include "vecserve/status.h"

namespace vecserve::engine {

template <typename T, typename F>
[[nodiscard]] Result<T> guarded_result(F&& f) noexcept {
  try {
    return std::forward<F>(f)();
  } catch (const std::bad_alloc&) {
    return Status(StatusCode::resource_exhausted, "out of memory in the store");
  } catch (const std::exception& error) {
    return Status(StatusCode::internal, error.what());
  }
}

template <typename F>
[[nodiscard]] Status guarded(F&& f) noexcept {
  try {
    return std::forward<F>(f)();
  } catch (const std::bad_alloc&) {
    return {StatusCode::resource_exhausted, "out of memory in the store"};
  } catch (const std::exception& error) {
    return {StatusCode::internal, error.what()};
  }
}

}  // namespace vecserve::engine
