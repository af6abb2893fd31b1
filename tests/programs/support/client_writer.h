// A writing client of server_crash_loop: one thread with ids of its own, whose calls go through a
// Client that several such threads share, and whose server is killed under it. Comes before
// crash_journal, which is told of every call before and after. The threads run in the process that
// is never killed.
// Always holds: pause() returns when the thread is between two calls; a call whose outcome the
// client could not learn stays pending in the journal, and is the thread's last until resume().
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>

#include "tests/programs/support/crash_events.h"
#include "tests/programs/support/crash_journal.h"
#include "tests/support/coded_row.h"
#include "tests/support/dice.h"
#include "vecserve/client.h"

namespace vecserve::test {

// What all writers tell together; guarded by its mutex.
struct WriterBook {
  std::mutex mutex;
  CrashJournal& journal;
  std::uint64_t replies = 0;
  std::uint64_t replayed = 0;    // the server remembered the request id
  std::uint64_t sent_again = 0;  // calls that took more than one attempt
  std::uint64_t unknown = 0;     // calls whose outcome stayed open
  std::uint64_t unexpected = 0;  // errors that no kill explains
  std::uint32_t version_next = 1;
};

class ClientWriter {
 public:
  ClientWriter(Client& client, WriterBook& book, std::uint32_t thread, std::uint64_t seed);
  ~ClientWriter();
  ClientWriter(const ClientWriter&) = delete;
  ClientWriter& operator=(const ClientWriter&) = delete;

  void ask_to_pause();
  void wait_paused();
  void resume();
  // A call has begun and not returned.
  [[nodiscard]] bool calling() const { return calling_.load(std::memory_order_acquire); }

 private:
  void run();
  void step();
  void write(Operation operation, std::uint64_t count);
  void erase(std::uint64_t count);
  void erase_group();
  [[nodiscard]] Event intent(Operation operation, std::uint64_t count);
  void begin(const Event& event);
  void end(Event event, const Reply<WriteResult>& reply);

  Client& client_;
  WriterBook& book_;
  const std::uint32_t thread_;
  Dice dice_;
  CodedBatch batch_;
  std::atomic<bool> calling_{false};

  // Guarded by mutex_.
  std::mutex mutex_;
  std::condition_variable changed_;
  bool pause_ = false;
  bool paused_ = false;
  bool stop_ = false;
  bool open_outcome_ = false;  // nothing more until the journal knows

  std::thread runner_;
};

}  // namespace vecserve::test
