// One connection's side of the protocol, without its socket: takes whole frames, checks who asks
// and whether they may, hands works to the serving core, and puts replies into the outbox. Between
// FrameReader and the three dispatches; Asio-free, so that tests and fuzz targets drive it.
// Threads: on_frame, on_fault, drained and close by the connection's io thread; answers come from
// lanes. One mutex guards the table of unanswered requests.
// Always holds: nothing but a hello is decoded before the hello succeeded; each request is answered
// exactly once, except that nothing is answered after close().
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "net/frame.h"
#include "net/greeting.h"
#include "net/outbox.h"
#include "net/reply.h"
#include "net/request.h"
#include "net/server_shared.h"
#include "net/tokens.h"
#include "net/work.h"
#include "net/write_order.h"

namespace vecserve::net {

// A request as it came, with the memory that its views point into; never moved once decoded.
struct Arrived {
  FrameHeader header;
  std::string body;
  RequestBody request;
  TimePoint at{};

  [[nodiscard]] Deadline deadline() const;
};

class CallTask;
class ScanTask;

class Conversation : public std::enable_shared_from_this<Conversation> {
 public:
  // `address` is for the guard and logs. `wake` as in Outbox.
  Conversation(ServerShared& shared, std::string address, std::function<void()> wake);
  ~Conversation();
  Conversation(const Conversation&) = delete;
  Conversation& operator=(const Conversation&) = delete;

  // -- The io thread ----------------------------------------------------------------------------

  // False: nothing more is to be read; close once the outbox is empty.
  [[nodiscard]] bool on_frame(Frame frame);
  // From here on on_frame() may leave a short search of an idle server to run_left(), which must
  // follow after every on_frame(), once for those that arrived together.
  void leave_short_searches() { leaves_ = true; }
  void run_left();
  // The bytes cannot be followed: says so if it can be said. Nothing more is to be read.
  void on_fault(FrameFault fault, const FrameHeader& header);
  // The outbox has room again: scans that paused go on.
  void drained();
  // Hung up: cancels everything, answers nothing more. Again is harmless.
  void close();

  [[nodiscard]] Outbox& outbox() { return outbox_; }
  [[nodiscard]] bool greeted() const { return greeted_; }
  [[nodiscard]] std::size_t body_bytes_max() const;
  [[nodiscard]] std::size_t unanswered() const;
  [[nodiscard]] const std::string& address() const { return address_; }

  // -- Works, on lanes --------------------------------------------------------------------------

  // Each answers one request and forgets it.
  void answer(const Arrived& arrived, const Outcome& outcome, const ReplyBody& body);
  void answer_search(const Arrived& arrived, const Outcome& outcome, const SearchSlice& slice);
  void answer_error(const Arrived& arrived, const Outcome& outcome);
  // A page of a scan, with more to come: not forgotten.
  void answer_page(const Arrived& arrived, const Outcome& outcome, const RowsReply& page);
  // Hands in the next page's work, or leaves the scan to drained() while the outbox is full.
  void continue_scan(std::shared_ptr<ScanTask> task);

  [[nodiscard]] ServerShared& shared() { return shared_; }
  [[nodiscard]] const PeerSet& peers() const { return peers_; }
  [[nodiscard]] const Identity& identity() const { return greeting_.identity; }

 private:
  // A request that is not answered yet.
  struct Open {
    std::shared_ptr<Work> work;  // none while a scan pauses
    Dispatch* dispatch = nullptr;
    std::shared_ptr<ScanTask> scan;  // if it is one
    std::size_t bytes = 0;
    std::optional<std::uint64_t> write;  // its number in the order of writes, if it is one
  };

  using OpenTable = std::unordered_map<std::uint64_t, Open>;

  [[nodiscard]] bool greet(const Frame& frame);
  [[nodiscard]] bool decode(std::unique_ptr<Arrived>& arrived);
  [[nodiscard]] Status check_allowed(Verb verb, const RequestBody& request) const;
  [[nodiscard]] Status enter(const Arrived& arrived);
  void leave(std::uint64_t request_id);
  // Out of the table; mutex_ must be held.
  [[nodiscard]] Open take(OpenTable::iterator at);

  void dispatch(std::unique_ptr<Arrived> arrived);
  void start_search(std::unique_ptr<Arrived> arrived);
  void start_call(std::unique_ptr<Arrived> arrived);
  void start_scan(std::unique_ptr<Arrived> arrived);
  void start_write(const std::shared_ptr<CallTask>& work);
  // Whose turn has come; each is submitted, or leaves the order for the next.
  void begin_writes(std::vector<std::uint64_t> ready);
  // A write that waits for others is taken out of held_; null: it does not. mutex_ must be held.
  [[nodiscard]] std::shared_ptr<CallTask> drop_held(Open& open);
  void cancel(const Arrived& arrived);
  void submit(Dispatch& dispatch, const std::shared_ptr<Work>& work, const Arrived& arrived,
              bool* guest = nullptr);
  // The same, but the caller answers a refusal and forgets the request.
  [[nodiscard]] std::optional<Refusal> try_submit(Dispatch& dispatch,
                                                  const std::shared_ptr<Work>& work,
                                                  const Arrived& arrived, bool* guest);

  void reply_now(const Arrived& arrived, const ReplyBody& body);
  void refuse(const Arrived& arrived, const ErrorReply& error);
  void refuse(const Arrived& arrived, const Status& status);
  void refuse(const Arrived& arrived, const Refusal& refusal);
  [[nodiscard]] ReplyEnvelope envelope_of(const Arrived& arrived, TimePoint done,
                                          bool more = false) const;
  void deliver(const Arrived& arrived, StatusCode code, const ServedStages& served,
               std::string bytes);
  void record(const Arrived& arrived, StatusCode code, const ServedStages& served);

  const std::shared_ptr<ServerShared> owned_;  // first, so that it goes last
  ServerShared& shared_;
  const std::string address_;
  Outbox outbox_;

  // The io thread's own.
  bool greeted_ = false;
  bool ended_ = false;
  bool leaves_ = false;       // see leave_short_searches()
  bool left_ = false;         // run_left() has something to run
  std::uint32_t faults_ = 0;  // bad bodies in a row

  // Set by the hello, constant afterwards.
  Greeting greeting_;
  PeerSet peers_;

  mutable std::mutex mutex_;
  std::unordered_map<std::uint64_t, Open> open_;   // by request id; guarded by mutex_
  std::size_t open_bytes_ = 0;                     // guarded by mutex_
  std::uint32_t scans_ = 0;                        // guarded by mutex_
  std::vector<std::shared_ptr<ScanTask>> paused_;  // guarded by mutex_
  bool closed_ = false;                            // guarded by mutex_

  // Writes; guarded by mutex_.
  WriteOrder order_;
  std::uint64_t next_write_ = 0;
  // By number: those that wait for others; null: no longer wanted.
  std::unordered_map<std::uint64_t, std::shared_ptr<CallTask>> held_;
};

}  // namespace vecserve::net
