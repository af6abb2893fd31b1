// Status: a code, a sentence and a field behind one pointer that is null when all is well.
// Part of the public API; used on every path. Any thread may read a Status that nobody changes.
// Always holds: detail_ is null if and only if the code is ok.
#include "vecserve/status.h"

#include <array>

namespace vecserve {

namespace {

constexpr std::array<std::string_view, 15> kNames = {
    "ok",
    "invalid_argument",
    "not_found",
    "already_exists",
    "failed_precondition",
    "resource_exhausted",
    "deadline_exceeded",
    "cancelled",
    "unavailable",
    "data_loss",
    "unimplemented",
    "internal",
    "io_error",
    "unauthenticated",
    "permission_denied",
};

const std::string kEmpty;

}  // namespace

std::string_view to_string(StatusCode code) {
  const auto index = static_cast<std::size_t>(code);
  return index < kNames.size() ? kNames[index] : "unknown";
}

Status::Status(StatusCode code, std::string message, std::string field) {
  if (code != StatusCode::ok) {
    detail_ = std::make_unique<Detail>(Detail{code, std::move(message), std::move(field)});
  }
}

Status::Status(const Status& other)
    : detail_(other.detail_ ? std::make_unique<Detail>(*other.detail_) : nullptr) {}

Status& Status::operator=(const Status& other) {
  if (this != &other) {
    detail_ = other.detail_ ? std::make_unique<Detail>(*other.detail_) : nullptr;
  }
  return *this;
}

Status::~Status() = default;

StatusCode Status::code() const {
  return detail_ ? detail_->code : StatusCode::ok;
}

const std::string& Status::message() const {
  return detail_ ? detail_->message : kEmpty;
}

const std::string& Status::field() const {
  return detail_ ? detail_->field : kEmpty;
}

std::string Status::to_string() const {
  std::string text(vecserve::to_string(code()));
  if (detail_ == nullptr) {
    return text;
  }
  for (const std::string* part : {&detail_->field, &detail_->message}) {
    if (!part->empty()) {
      text += ": ";
      text += *part;
    }
  }
  return text;
}

}  // namespace vecserve
