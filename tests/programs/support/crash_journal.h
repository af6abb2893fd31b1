// The truth of crash_loop: what was acknowledged, kept in the process that is never killed. Takes
// the events of a worker, then the dump of a checker, and says what is missing, back again, or was
// never written. Comes last in a cycle; main thread. Always holds: an operation without a reply may
// be applied or not, but wholly; once a checker has seen it one way it must stay that way.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "tests/programs/support/crash_events.h"
#include "tests/support/coded_row.h"

namespace vecserve::test {

struct CrashFindings {
  std::uint64_t acked = 0;           // operations with a reply
  std::uint64_t lost = 0;            // acknowledged rows that are gone or old
  std::uint64_t resurrected = 0;     // erased or replaced rows that are back
  std::uint64_t phantom = 0;         // rows nobody ever wrote, torn ones included
  std::uint64_t half_batches = 0;    // operations of which a part is there
  std::uint64_t wrong_searches = 0;  // answers that differ from brute force, and wrong counts
  std::uint64_t wrong_replies = 0;   // codes or row counts that the journal does not expect
  std::uint64_t checkpoints = 0;     // acknowledged checkpoints that were compared as well

  // All that must not be.
  [[nodiscard]] std::uint64_t bad() const {
    return lost + resurrected + phantom + half_batches + wrong_searches + wrong_replies;
  }
  [[nodiscard]] bool clean() const { return bad() == 0; }
};

// The rows of one thread, and whether its second collection exists.
struct ThreadRows {
  using Key = std::pair<std::uint8_t, std::uint64_t>;  // collection, id
  std::map<Key, CodedVersions> rows;
  bool side_exists = false;
  friend bool operator==(const ThreadRows&, const ThreadRows&) = default;
};

// What a checker said about one database folder.
struct CrashDump {
  std::vector<ThreadRows> threads;
  std::uint64_t torn = 0;
  std::uint64_t wrong = 0;
  bool graph = false;     // a graph was looked over
  bool restored = false;  // and came from its copy
  bool done = false;
};

[[nodiscard]] CrashDump read_dump(std::span<const Event> events, std::uint32_t threads);

class CrashJournal {
 public:
  explicit CrashJournal(std::uint32_t threads) : threads_(threads) {}

  // One intent or reply of the worker, in pipe order.
  void add(const Event& event);
  // How many operations had no reply when the worker died.
  [[nodiscard]] std::size_t in_flight() const;
  // Acknowledged checkpoints of this cycle, by version; compare each with its dump.
  [[nodiscard]] std::vector<std::uint32_t> checkpoints() const;
  void judge_checkpoint(std::uint32_t version, const CrashDump& dump);
  // Compares, counts, and goes on from what the dump shows. Ends the cycle.
  void judge(const CrashDump& dump);

  [[nodiscard]] const CrashFindings& findings() const { return findings_; }
  [[nodiscard]] std::uint32_t version_max() const { return version_max_; }

 private:
  struct Thread {
    ThreadRows acked;
    std::optional<Event> pending;
  };
  // What a checkpoint must hold: the rows acknowledged when it began, but for those touched
  // meanwhile.
  struct Checkpoint {
    std::vector<ThreadRows> before;
    std::set<ThreadRows::Key> touched;
    bool side_touched = false;
    bool made = false;
  };

  void add_reply(Thread& thread, const Event& event);
  static void touch(Checkpoint& checkpoint, const Event& event);
  void judge_thread(const Thread& thread, const ThreadRows& found);
  void judge_row(const ThreadRows::Key& key, const CodedVersions* without,
                 const CodedVersions* with, const CodedVersions* found);

  std::vector<Thread> threads_;
  std::map<std::uint32_t, Checkpoint> checkpoints_;
  std::map<ThreadRows::Key, std::uint32_t> attempted_;  // the highest version ever meant for a row
  CrashFindings findings_;
  std::uint32_t version_max_ = 0;
};

}  // namespace vecserve::test
