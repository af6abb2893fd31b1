// Pipe input and output of the records. Comes below the parts of crash_loop; send_event on any
// thread of a child, EventReader on the parent's main thread. Always holds: a torn record at the
// end is never delivered.
#include "tests/programs/support/crash_events.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "tests/programs/support/child_process.h"

namespace vecserve::test {

bool send_event(const Event& event) {
  for (;;) {
    const ssize_t written = write(kChildReportFd, &event, sizeof(event));
    if (written == static_cast<ssize_t>(sizeof(event))) return true;
    if (written < 0 && errno == EINTR) continue;
    return false;
  }
}

bool EventReader::read(std::vector<Event>& events, int timeout_ms) {
  pollfd waiting{fd_, POLLIN, 0};
  const int ready = poll(&waiting, 1, timeout_ms);
  if (ready == 0 || (ready < 0 && errno == EINTR)) return true;
  const ssize_t got = ::read(fd_, buffer_.data() + held_, buffer_.size() - held_);
  if (got < 0 && errno == EINTR) return true;
  if (got <= 0) return false;
  held_ += static_cast<std::size_t>(got);
  std::size_t used = 0;
  for (; used + sizeof(Event) <= held_; used += sizeof(Event)) {
    Event event;
    std::memcpy(&event, buffer_.data() + used, sizeof(Event));
    events.push_back(event);
  }
  std::memmove(buffer_.data(), buffer_.data() + used, held_ - used);
  held_ -= used;
  return true;
}

}  // namespace vecserve::test
