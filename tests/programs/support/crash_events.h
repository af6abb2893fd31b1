// What the children of crash_loop tell their parent, as fixed-size records through a pipe. Every
// record is far below PIPE_BUF, so a write is whole or absent even when the child is killed in it,
// and what was written before the kill is not lost. Comes between crash_worker or crash_checker and
// crash_journal. Always holds: an operation is described completely by its record; the rows follow
// from id and version.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace vecserve::test {

enum class EventKind : std::uint8_t {
  ready,       // the worker has the database open
  intent,      // about to call
  reply,       // the call has returned
  collection,  // checker: a collection that exists; count is what count() said
  row,         // checker: a row; version and payload_version are what it says about itself
  torn,        // checker: a row whose vector or payload nobody ever wrote
  wrong_search,
  wrong_count,
  graph,  // checker: the graph is as it should be; count is how much of it a copy gave
  done,   // checker: everything was dumped
};

enum class Operation : std::uint8_t {
  upsert,
  insert,
  update_payload,
  erase,
  erase_group,  // erase_where on owner and group
  create_side,
  drop_side,
  checkpoint,
};

inline constexpr std::uint8_t kMainCollection = 0;
inline constexpr std::uint8_t kSideCollection = 1;

struct Event {
  EventKind kind = EventKind::ready;
  Operation operation = Operation::upsert;
  std::uint8_t thread = 0;
  std::uint8_t collection = kMainCollection;
  std::uint8_t code = 0;   // reply: the StatusCode
  std::uint8_t group = 0;  // erase_group
  std::uint16_t unused = 0;
  std::uint32_t version = 0;
  std::uint32_t payload_version = 0;
  std::uint64_t first_id = 0;  // rows [first_id, first_id + count)
  std::uint64_t count = 0;
  std::uint64_t affected = 0;  // reply: WriteResult::rows
  std::uint64_t sequence = 0;  // reply: WriteResult::sequence
};
static_assert(sizeof(Event) == 48, "no hidden padding goes through the pipe");

// Writes one record; false when the parent is gone. Any thread.
bool send_event(const Event& event);

// Reads records from one pipe.
class EventReader {
 public:
  explicit EventReader(int fd) : fd_(fd) {}
  // Appends what is there to `events`, waiting at most this long for the first. False at the end of
  // the pipe, which is when every process that had it open is gone.
  bool read(std::vector<Event>& events, int timeout_ms);

 private:
  int fd_;
  std::array<char, 48 * 512> buffer_{};
  std::size_t held_ = 0;  // bytes of an incomplete record
};

}  // namespace vecserve::test
