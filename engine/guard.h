// The border that no exception crosses: public calls run their body through guarded(). Memory that
// cannot be had becomes resource_exhausted, anything else a defect report. Runs on the caller's
// thread. Always holds: the body's own Status or Result passes through unchanged.
#pragma once

#include <exception>
#include <new>
#include <stdexcept>
#include <string>

#include "vecserve/status.h"

namespace vecserve::engine {

// The texts fit the small-string buffer, so that making them cannot fail for lack of memory; the
// Status itself is one small allocation, and when even that fails the process is out of memory for
// good: the exception is then the caller's.
template <typename F>
auto guarded(F&& body) -> decltype(body()) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return Status(StatusCode::resource_exhausted, "out of memory");
  } catch (const std::length_error&) {
    return Status(StatusCode::resource_exhausted, "out of memory");
  } catch (const std::exception& error) {
    return Status(StatusCode::internal, error.what());
  }
}

}  // namespace vecserve::engine
