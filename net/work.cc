// See work.h.
// Names and sentences on any thread; a Ticket belongs to whoever holds it. Always holds: a released
// ticket gives nothing back a second time.
#include "net/work.h"

#include <string>
#include <utility>

#include "net/admission.h"

namespace vecserve::net {

std::string_view to_string(RefusalReason reason) {
  switch (reason) {
    case RefusalReason::queue_time:
      return "queue_time";
    case RefusalReason::deadline:
      return "deadline";
    case RefusalReason::share:
      return "share";
    case RefusalReason::count:
      return "count";
    case RefusalReason::bytes:
      return "bytes";
    case RefusalReason::draining:
      return "draining";
  }
  return "unknown";
}

Status to_status(const Refusal& refusal) {
  switch (refusal.reason) {
    case RefusalReason::queue_time:
      return {StatusCode::resource_exhausted, "too much waits already; try again later"};
    case RefusalReason::deadline:
      return {StatusCode::deadline_exceeded, "it cannot be done by its deadline; nothing was done"};
    case RefusalReason::share:
      return {StatusCode::resource_exhausted,
              "this connection holds more than its share; wait for replies"};
    case RefusalReason::count:
      return {StatusCode::resource_exhausted, "too many requests in flight; wait for replies"};
    case RefusalReason::bytes:
      return {StatusCode::resource_exhausted, "too many bytes in flight; wait for replies"};
    case RefusalReason::draining:
      return {StatusCode::unavailable, "the server is shutting down; try another"};
  }
  return {StatusCode::internal, "refused for an unknown reason"};
}

Ticket::Ticket(std::shared_ptr<Budget> budget, std::size_t bytes)
    : budget_(std::move(budget)), bytes_(bytes) {}

Ticket::Ticket(Ticket&& other) noexcept : budget_(std::move(other.budget_)), bytes_(other.bytes_) {
  other.budget_.reset();
}

Ticket& Ticket::operator=(Ticket&& other) noexcept {
  if (this != &other) {
    release();
    budget_ = std::move(other.budget_);
    bytes_ = other.bytes_;
    other.budget_.reset();
  }
  return *this;
}

void Ticket::release() noexcept {
  if (budget_ == nullptr) return;
  budget_->give(bytes_);
  budget_.reset();
}

Work::Work(std::shared_ptr<Peer> peer, const WorkTerms& terms)
    : peer_(std::move(peer)), terms_(terms) {}

Work::~Work() = default;

}  // namespace vecserve::net
