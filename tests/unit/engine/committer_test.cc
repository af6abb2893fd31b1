// Checks engine/committer: what waits becomes one group, in order, within the limits; an exclusive
// op runs alone. The process function holds the leader until the queue is as the test wants it;
// arrivals are seen by the committer itself, so nothing sleeps.
#include "engine/committer.h"

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/base/limits.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;

// Records groups; the first group waits at a gate.
class Recorder {
 public:
  void process(std::span<WriteOp* const> group) {
    std::unique_lock lock(mutex_);
    overlapped = overlapped || busy_;  // not CHECK: this is the writer's thread
    busy_ = true;
    std::vector<std::size_t> sizes;
    for (WriteOp* op : group) {
      sizes.push_back(op->bytes);
      op->result.rows = op->bytes;
      if (op->kind == WriteOp::Kind::exclusive) op->status = op->exclusive();
    }
    groups.push_back(sizes);
    started_.notify_all();
    gate_.wait(lock, [&] { return open_; });
    busy_ = false;
  }
  void wait_for_groups(std::size_t count) {
    std::unique_lock lock(mutex_);
    started_.wait(lock, [&] { return groups.size() >= count; });
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    gate_.notify_all();
  }

  std::vector<std::vector<std::size_t>> groups;  // op.bytes of each member
  bool overlapped = false;

 private:
  std::mutex mutex_;
  std::condition_variable started_;
  std::condition_variable gate_;
  bool open_ = false;
  bool busy_ = false;
};

// A writer thread whose op counts as `bytes`.
class Writer {
 public:
  Writer(Committer& committer, std::size_t bytes, WriteOp::Kind kind = WriteOp::Kind::upsert) {
    op_.bytes = bytes;
    op_.kind = kind;
    op_.exclusive = [] { return Status(StatusCode::not_found, "from inside"); };
    thread_ = std::thread([this, &committer] { committer.submit(op_); });
  }
  WriteOp& join() {
    thread_.join();
    return op_;
  }

 private:
  WriteOp op_;
  std::thread thread_;
};

TEST_CASE("committer: an op alone is a group of one, on its own thread", "[engine]") {
  std::thread::id worker;
  std::size_t size = 0;
  Committer committer([&](std::span<WriteOp* const> group) {
    worker = std::this_thread::get_id();
    size = group.size();
    group.front()->result.rows = 9;
  });
  WriteOp op;
  committer.submit(op);
  CHECK(op.done);
  CHECK(op.result.rows == 9);
  CHECK(size == 1);
  CHECK(worker == std::this_thread::get_id());
}

TEST_CASE("committer: exclusively returns what its body returns", "[engine]") {
  Committer committer(
      [](std::span<WriteOp* const> group) { group.front()->status = group.front()->exclusive(); });
  CHECK(committer.exclusively([] { return Status(); }).ok());
  CHECK(committer.exclusively([] { return Status(StatusCode::internal, "x"); }).message() == "x");
}

// Who comes while a group is under way can only be told from outside by waiting for it to queue;
// the count of ops in all groups tells afterwards that none was lost or done twice.
TEST_CASE("committer: every op is processed once, one group at a time", "[engine]") {
  constexpr int kThreads = 4;
  constexpr int kOps = 300;
  std::vector<std::size_t> order;
  std::atomic<int> inside{0};
  std::atomic<bool> overlapped{false};
  std::size_t largest = 0;
  Committer committer([&](std::span<WriteOp* const> group) {
    if (++inside != 1) overlapped = true;
    largest = std::max(largest, group.size());
    for (WriteOp* op : group) {
      order.push_back(op->bytes);
      op->result.rows = op->bytes;
    }
    std::this_thread::yield();
    --inside;
  });
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kOps; ++i) {
        WriteOp op;
        op.bytes = static_cast<std::size_t>(t * kOps + i);
        committer.submit(op);
        if (op.result.rows != op.bytes) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK_FALSE(overlapped);
  CHECK(wrong == 0);
  CHECK(largest <= kThreads);
  REQUIRE(order.size() == kThreads * kOps);
  // Ops of one thread keep their order.
  for (int t = 0; t < kThreads; ++t) {
    std::vector<std::size_t> mine;
    for (const std::size_t n : order) {
      if (n / kOps == static_cast<std::size_t>(t)) mine.push_back(n);
    }
    CHECK(std::is_sorted(mine.begin(), mine.end()));
    CHECK(mine.size() == kOps);
  }
}

// Ops whose queueing is certain before the first group ends: each waits in line behind the gate.
class Queued {
 public:
  explicit Queued(Recorder& recorder)
      : committer([&recorder](std::span<WriteOp* const> group) { recorder.process(group); }) {}

  Committer committer;
  std::vector<std::unique_ptr<Writer>> writers;

  void start(Recorder& recorder, std::size_t bytes) {
    writers.push_back(std::make_unique<Writer>(committer, bytes));
    recorder.wait_for_groups(1);
  }
  // Returns when the writer stands in the queue.
  void add(std::size_t bytes, WriteOp::Kind kind = WriteOp::Kind::upsert) {
    const std::size_t before = committer.waiting();
    writers.push_back(std::make_unique<Writer>(committer, bytes, kind));
    while (committer.waiting() == before) std::this_thread::yield();
  }
};

TEST_CASE("committer: what queues behind a group becomes the next one, in order", "[engine]") {
  Recorder recorder;
  Queued queued(recorder);
  queued.start(recorder, 1);
  for (std::size_t i = 2; i <= 6; ++i) queued.add(i);
  recorder.open();
  for (auto& writer : queued.writers) CHECK(writer->join().status.ok());
  using Groups = std::vector<std::vector<std::size_t>>;
  CHECK_FALSE(recorder.overlapped);
  CHECK(recorder.groups == Groups{{1}, {2, 3, 4, 5, 6}});
}

TEST_CASE("committer: a group ends before its bytes pass the limit, a large op goes alone",
          "[engine]") {
  Recorder recorder;
  Queued queued(recorder);
  const std::size_t most = limits::commit_bytes_max;
  queued.start(recorder, 1);
  for (const std::size_t bytes : {most - 10, std::size_t{10}, std::size_t{1}, most * 3, most}) {
    queued.add(bytes);
  }
  recorder.open();
  for (auto& writer : queued.writers) static_cast<void>(writer->join());
  using Groups = std::vector<std::vector<std::size_t>>;
  CHECK_FALSE(recorder.overlapped);
  CHECK(recorder.groups == Groups{{1}, {most - 10, 10}, {1}, {most * 3}, {most}});
}

TEST_CASE("committer: an exclusive op is a group of its own, in its place", "[engine]") {
  Recorder recorder;
  Queued queued(recorder);
  queued.start(recorder, 1);
  queued.add(2);
  queued.add(3, WriteOp::Kind::exclusive);
  queued.add(4, WriteOp::Kind::exclusive);
  queued.add(5);
  recorder.open();
  std::vector<StatusCode> codes;
  for (auto& writer : queued.writers) codes.push_back(writer->join().status.code());
  using Groups = std::vector<std::vector<std::size_t>>;
  CHECK_FALSE(recorder.overlapped);
  CHECK(recorder.groups == Groups{{1}, {2}, {3}, {4}, {5}});
  CHECK(codes == std::vector<StatusCode>{StatusCode::ok, StatusCode::ok, StatusCode::not_found,
                                         StatusCode::not_found, StatusCode::ok});
}

}  // namespace
