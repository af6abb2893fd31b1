// Which names collections and payload fields may have. The set is narrow on purpose: such a name is
// safe in a path, a metric label, a filter expression and a shell. Used where options are
// validated. Pure, any thread. Always holds: the empty name is not valid.
#pragma once

#include <string_view>

#include "engine/base/limits.h"

namespace vecserve::engine {

[[nodiscard]] inline bool is_valid_name(std::string_view name) {
  if (name.empty() || name.size() > limits::name_bytes_max) {
    return false;
  }
  for (const char c : name) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool digit = c >= '0' && c <= '9';
    if (!letter && !digit && c != '_' && c != '-') {
      return false;
    }
  }
  return true;
}

}  // namespace vecserve::engine
