// How calls report failure. No call of this library throws across its surface: it returns a Status,
// or a Result<T> that holds either a value or a Status. Both are [[nodiscard]].
// The numbers of the codes are sent over the wire: they never change and are never used again.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "vecserve/export.h"

namespace vecserve {

// Each code says what the caller can do about it.
enum class StatusCode : std::uint8_t {
  ok = 0,
  invalid_argument = 1,  // the request is wrong; Status::field() names what; mend it
  not_found = 2,         // a named collection, row or file does not exist
  already_exists = 3,    // a collection or row of that name exists; nothing was changed
  failed_precondition =
      4,                   // the state forbids it (closed, read-only, other dim); change that first
  resource_exhausted = 5,  // a limit or a disk is full; retry later, or with less
  deadline_exceeded = 6,   // the deadline of the request passed; a write may yet not have started
  cancelled = 7,           // the caller cancelled it
  unavailable = 8,         // closing, or not ready; retry elsewhere or after reopening
  data_loss = 9,           // stored data is damaged; restore a checkpoint; nothing was served
  unimplemented = 10,      // not in this build or version
  internal = 11,           // a defect of ours or an unexpected failure of the system; report it
  io_error = 12,           // the disk failed; the database is read-only until it is opened again
  unauthenticated = 13,    // who you are is not known here (server only)
  permission_denied = 14,  // you may not do this (server only)
};

[[nodiscard]] VECSERVE_API std::string_view to_string(StatusCode code);

// A code, a sentence for people, and for invalid_argument the name of the offending field. The ok
// Status is one null pointer.
class [[nodiscard]] VECSERVE_API Status {
 public:
  Status() = default;
  Status(StatusCode code, std::string message, std::string field = {});
  Status(const Status& other);
  Status& operator=(const Status& other);
  Status(Status&&) noexcept = default;
  Status& operator=(Status&&) noexcept = default;
  ~Status();

  [[nodiscard]] static Status invalid_argument(std::string field, std::string message) {
    return {StatusCode::invalid_argument, std::move(message), std::move(field)};
  }

  [[nodiscard]] bool ok() const { return detail_ == nullptr; }
  [[nodiscard]] StatusCode code() const;
  [[nodiscard]] const std::string& message() const;  // "" when ok
  [[nodiscard]] const std::string& field() const;    // "" when no field is to blame
  [[nodiscard]] std::string to_string() const;       // "invalid_argument: k: must be at least 1"

 private:
  struct Detail {
    StatusCode code;
    std::string message;
    std::string field;
  };
  std::unique_ptr<Detail> detail_;
};

// A value, or the Status that says why there is none.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}         // NOLINT
  Result(Status status) : state_(std::in_place_index<1>, std::move(status)) {}  // NOLINT
  Result(StatusCode code, std::string message)
      : state_(std::in_place_index<1>, Status(code, std::move(message))) {}

  [[nodiscard]] bool ok() const { return state_.index() == 0; }
  [[nodiscard]] explicit operator bool() const { return ok(); }
  [[nodiscard]] Status status() const { return ok() ? Status() : std::get<1>(state_); }

  // Only when ok(); like std::optional, nothing checks it for you in a release build.
  [[nodiscard]] T& value() & { return *std::get_if<0>(&state_); }
  [[nodiscard]] const T& value() const& { return *std::get_if<0>(&state_); }
  [[nodiscard]] T value() && { return std::move(*std::get_if<0>(&state_)); }  // by value: a
  // reference into a temporary would dangle in a range-for
  [[nodiscard]] T& operator*() & { return value(); }
  [[nodiscard]] const T& operator*() const& { return value(); }
  [[nodiscard]] T operator*() && { return std::move(*this).value(); }
  [[nodiscard]] T* operator->() { return &value(); }
  [[nodiscard]] const T* operator->() const { return &value(); }

 private:
  std::variant<T, Status> state_;
};

}  // namespace vecserve

// Returns from the enclosing function when `expression`, a Status, is not ok.
#define VECSERVE_TRY(expression)                            \
  do {                                                      \
    ::vecserve::Status vecserve_try_status_ = (expression); \
    if (!vecserve_try_status_.ok()) {                       \
      return vecserve_try_status_;                          \
    }                                                       \
  } while (false)
