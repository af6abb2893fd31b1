// Assertions about our own mistakes. Input from outside never triggers one: it gets a Status.
// CHECK stays on in release builds where it is cheap; DCHECK costs nothing there.
// A failed check writes one line to standard error and traps: a wrong answer would be worse. That
// is the one exception to "the engine never aborts its host", for states that cannot occur.
#pragma once

#include <cstdio>

namespace vecserve::engine {

[[noreturn]] inline void check_failed(const char* file, int line, const char* what) {
  std::fputs("vecserve: internal check failed: ", stderr);
  std::fputs(what, stderr);
  std::fprintf(stderr, " (%s:%d)\n", file, line);
  __builtin_trap();
}

}  // namespace vecserve::engine

#define VECSERVE_CHECK(condition) \
  (static_cast<bool>(condition)   \
       ? static_cast<void>(0)     \
       : ::vecserve::engine::check_failed(__FILE__, __LINE__, #condition))

#ifdef NDEBUG
#define VECSERVE_DCHECK(condition) static_cast<void>(0)
#else
#define VECSERVE_DCHECK(condition) VECSERVE_CHECK(condition)
#endif
